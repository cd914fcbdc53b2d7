// Package docdb is a document database in memory that speaks as much of MongoDB's wire
// protocol as the controllers of Juju 3.5 and 3.6 ask of it through github.com/juju/mgo/v3:
// commands in OP_QUERY, answers in OP_REPLY. It says that it is a server of version 4.4.
// Whatever it does not know, be it a command, an option, an operator or a stage, it answers with
// an error that names it, and tells Config.Report, so that the test that came upon it fails.
//
// What a replica set does otherwise:
//
//   - Its transactions run side by side, each on a snapshot, and fail with WriteConflict
//     (labelled TransientTransactionError) where two write the same document; those outside of
//     transactions read what was last committed. Here transactions are serial: one has the
//     whole database from its first command to its end, and everybody else waits, for reads
//     too. A client that waits, within a transaction, for what it does in another session,
//     waits until Config.TransactionLifetime aborts the transaction.
//   - It keeps the transaction of a client that disconnected until its lifetime ends. Here it
//     is aborted at once. A commit whose answer got lost is not remembered, so its repetition
//     fails.
//   - Its change streams read an oplog that is bounded in bytes, and look an updated document
//     up when the event is read. Here the last eventLimit events are kept at least, with the
//     document as the event left it; updateDescription tells what differs, not what was set.
//   - Documents expire by index and capped collections forget their oldest. Here such indexes
//     and collections can be made, and keep everything.
//   - A find may answer in the order of an index. Here the order is that of insertion, except
//     for a choice of _id.
//   - It closes cursors that nobody read for ten minutes. Here they stay until Close.
package docdb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Config says where a server listens and whom it tells.
type Config struct {
	// Listener accepts the connections; nil is a loopback TCP port of the kernel's choice.
	// Its connections must buffer, as sockets do: the client sends its next command before it
	// reads an answer.
	Listener net.Listener
	// Report is told of everything that a client asked and that is unknown here or was wrong,
	// and of transactions that nobody ended. It is called by many goroutines, not after Close,
	// and must not wait for the server. Nil tells nobody.
	Report func(error)
	// TransactionLifetime bounds how long a transaction keeps everybody else waiting; then it
	// is aborted. Zero is 10 s, which is less than the time after which mgo gives up a socket.
	TransactionLifetime time.Duration
}

// Server is a running database. All of its methods may be called by many goroutines.
type Server struct {
	config   Config
	ctx      context.Context // ends with Close
	cancel   context.CancelFunc
	routines sync.WaitGroup

	// turn is full while a command, or a transaction over many commands, has the database to
	// itself. Those who wait get it in the order they came. It is taken before mu.
	turn chan struct{}
	// mu guards what follows; it is held for moments only.
	mu          sync.Mutex
	collections map[namespace]*collection
	current     *transaction // nil outside of transactions
	events      eventLog
	cursors     map[int64]*cursor
	lastCursor  int64
}

// Start begins to serve an empty database. Its only errors are those of listening.
func Start(config Config) (*Server, error) {
	if config.Listener == nil {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("cannot listen for database clients: %w", err)
		}
		config.Listener = l
	}
	if config.TransactionLifetime == 0 {
		config.TransactionLifetime = 10 * time.Second
	}
	if config.Report == nil {
		config.Report = func(error) {}
	}
	s := &Server{
		config:      config,
		turn:        make(chan struct{}, 1),
		collections: map[namespace]*collection{},
		events:      newEventLog(),
		cursors:     map[int64]*cursor{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.routines.Go(s.accept)
	return s, nil
}

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.config.Listener.Addr() }

// Close ends the server: every connection is closed, open transactions are aborted, and all
// goroutines are gone when it returns. It may be called again.
func (s *Server) Close() error {
	s.cancel()
	err := s.config.Listener.Close()
	s.routines.Wait()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("cannot stop listening for database clients: %w", err)
	}
	return nil
}

// accept serves every connection until the listener is closed.
func (s *Server) accept() {
	for {
		conn, err := s.config.Listener.Accept()
		if err != nil {
			if s.ctx.Err() == nil {
				s.config.Report(fmt.Errorf("cannot accept database clients: %w", err))
			}
			return
		}
		s.routines.Go(func() { s.serve(conn) })
	}
}

// client is one connection of a client.
type client struct {
	conn net.Conn
	ctx  context.Context // ends with the connection
}

// serve answers a connection's messages, one after the other, until the client or Close ends
// it. The transaction that it then leaves open is aborted.
func (s *Server) serve(conn net.Conn) {
	ctx, cancel := context.WithCancel(s.ctx)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	c := &client{conn: conn, ctx: ctx}
	messages := make(chan message)
	// Reading goes on while a command waits, which so learns that its client has gone.
	s.routines.Go(func() {
		defer close(messages)
		defer cancel()
		s.read(c, messages)
	})
	for m := range messages {
		if err := s.answer(c, m); err != nil {
			break
		}
	}
	cancel()
	conn.Close()
	for range messages { // until the reader has ended
	}
	s.abandon(c)
}

// read passes a client's messages on until there is no more or one is malformed.
func (s *Server) read(c *client, messages chan<- message) {
	for {
		m, err := readMessage(c.conn)
		if err != nil {
			if isMalformed(err) {
				s.config.Report(err)
			}
			return
		}
		select {
		case messages <- m:
		case <-c.ctx.Done():
			return
		}
	}
}

// answer runs what a message asks for and writes the reply, if it has one.
func (s *Server) answer(c *client, m message) error {
	if m.command == nil {
		s.kill(m.kill)
		return nil
	}
	reply, err := encodeReply(m.id, s.respond(c, m))
	if err != nil {
		s.config.Report(err)
		return err
	}
	_, err = c.conn.Write(reply)
	return err
}
