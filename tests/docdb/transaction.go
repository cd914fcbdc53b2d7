package docdb

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/juju/mgo/v3/bson"
)

// transaction is what a session does as a whole or not at all. It has the server's turn.
type transaction struct {
	session bson.D // as clients name it: lsid
	number  int64  // txnNumber, unique in the session
	client  *client
	changes []change
	expiry  *time.Timer
}

// envelope says what session and transaction a command belongs to.
type envelope struct {
	Session    bson.D `bson:"lsid"`
	Number     int64  `bson:"txnNumber"`
	Autocommit *bool  `bson:"autocommit"` // false within a transaction, otherwise not there
	Start      bool   `bson:"startTransaction"`
}

// within tells whether the command is one of a transaction.
func (e envelope) within() bool { return e.Autocommit != nil && !*e.Autocommit }

// owns tells whether the command is one of t, which may be nil.
func (e envelope) owns(t *transaction) bool {
	return t != nil && t.number == e.Number && equal(t.session, e.Session)
}

// errNoTransaction is the error that mgo.IsTxnAborted recognises.
var errNoTransaction = &fault{code: 251, name: "NoSuchTransaction", message: "the transaction is not in progress; it may have been aborted"}

// take waits for the server's turn. It fails when ctx ends.
func (s *Server) take(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errShutdown
	}
}

// alone runs a command outside of transactions.
func (s *Server) alone(op *operation, run runner) (bson.D, error) {
	if err := s.take(op.client.ctx); err != nil {
		return nil, err
	}
	defer func() { <-s.turn }()
	s.mu.Lock()
	defer s.mu.Unlock()
	var changes []change
	op.changes = &changes
	reply, err := run(op)
	s.events.publish(changes, nil)
	return reply, err
}

// inTransaction runs a command of a transaction, the first of which begins it. As in a real
// server the transaction is aborted by any command that fails.
func (s *Server) inTransaction(op *operation, e envelope, run runner) (bson.D, error) {
	if e.Start {
		if err := s.begin(op.client, e); err != nil {
			return nil, err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.current
	if !e.owns(t) {
		return nil, errNoTransaction
	}
	op.changes = &t.changes
	reply, err := run(op)
	if (err != nil || op.failed) && s.current == t {
		s.abort()
	}
	return reply, err
}

// begin waits for the turn and begins a transaction. One that the session has is aborted.
func (s *Server) begin(c *client, e envelope) error {
	s.abortIf(func(t *transaction) bool { return equal(t.session, e.Session) })
	if err := s.take(c.ctx); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &transaction{session: e.Session, number: e.Number, client: c}
	t.expiry = time.AfterFunc(s.config.TransactionLifetime, func() { s.expire(t) })
	s.current = t
	return nil
}

// expire aborts a transaction that lasts too long, if it still does.
func (s *Server) expire(t *transaction) {
	s.abortIf(func(current *transaction) bool {
		if current == t {
			s.config.Report(fmt.Errorf("cannot keep a transaction open: it was not ended within %s", s.config.TransactionLifetime))
		}
		return current == t
	})
}

// abandon aborts the transaction of a client that has gone.
func (s *Server) abandon(c *client) {
	s.abortIf(func(t *transaction) bool { return t.client == c })
}

// abortIf aborts the transaction if there is one and the condition holds for it.
func (s *Server) abortIf(holds func(*transaction) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && holds(s.current) {
		s.abort()
	}
}

// abort undoes what the transaction did and ends it. The caller has mu.
func (s *Server) abort() {
	for _, c := range slices.Backward(s.current.changes) {
		c.undo()
	}
	s.end()
}

// commit publishes what the transaction did and ends it. The caller has mu.
func (s *Server) commit() {
	s.events.publish(s.current.changes, s.current)
	s.end()
}

func (s *Server) end() {
	s.current.expiry.Stop()
	s.current = nil
	<-s.turn
}

// commitTransaction and abortTransaction are run as commands of their transaction.
func commitTransaction(op *operation, _ noOptions) (bson.D, error) {
	op.server.commit()
	return bson.D{}, nil
}

func abortTransaction(op *operation, _ noOptions) (bson.D, error) {
	op.server.abort()
	return bson.D{}, nil
}
