package docdb

import (
	"fmt"
	"time"

	"github.com/juju/mgo/v3/bson"
)

// firstBatchSize is how many documents a find returns at once unless it says otherwise.
const firstBatchSize = 101

// batch is a part of a result, encoded.
type batch struct {
	documents []bson.Raw
	bytes     int
}

func (b *batch) add(d bson.D) error {
	data, err := bson.Marshal(d)
	if err != nil {
		return fmt.Errorf("cannot encode result: %w", err)
	}
	b.documents = append(b.documents, bson.Raw{Kind: kindDocument, Data: data})
	b.bytes += len(data)
	return nil
}

// full tells whether there are size documents, unless size is 0, or as many bytes as a reply
// may have.
func (b *batch) full(size int) bool {
	return size > 0 && len(b.documents) >= size || b.bytes >= maxDocumentBytes
}

// cursor is a result that has not been read to its end.
type cursor struct {
	namespace string
	rest      []bson.D // the documents as they were when they were found
	stream    *stream  // nil for a find
}

// read takes a batch of size documents from a find's; 0 is as many as fit.
func (c *cursor) read(size int) (batch, error) {
	var b batch
	for len(c.rest) > 0 && !b.full(size) {
		if err := b.add(c.rest[0]); err != nil {
			return b, err
		}
		c.rest = c.rest[1:]
	}
	return b, nil
}

// open keeps a cursor for getMore and returns its number. The caller has mu.
func (s *Server) open(c *cursor) int64 {
	s.lastCursor++
	s.cursors[s.lastCursor] = c
	return s.lastCursor
}

// kill forgets cursors and returns those that there were.
func (s *Server) kill(ids []int64) (killed []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if s.cursors[id] != nil {
			killed = append(killed, id)
			delete(s.cursors, id)
		}
	}
	return killed
}

// reply is that of a command that returns a batch of the cursor, whose number is 0 at its end.
// It says where to resume a change stream.
func (c *cursor) reply(id int64, batchName string, b batch) bson.D {
	if b.documents == nil {
		b.documents = []bson.Raw{}
	}
	body := document("id", id, "ns", c.namespace, batchName, b.documents)
	if c.stream != nil {
		body = append(body, document("postBatchResumeToken", resumeToken(c.stream.next-1))...)
	}
	return document("cursor", body)
}

// firstReply is a reply with the first size documents of a result, which a cursor is opened for
// if there are more. The caller has mu.
func (s *Server) firstReply(namespace string, result []bson.D, size int, single bool) (bson.D, error) {
	c := &cursor{namespace: namespace, rest: result}
	b, err := c.read(size)
	if err != nil {
		return nil, err
	}
	var id int64
	if len(c.rest) > 0 && !single {
		id = s.open(c)
	}
	return c.reply(id, "firstBatch", b), nil
}

type getMoreCommand struct {
	Cursor     int64  `bson:"getMore"`
	Collection string `bson:"collection"`
	BatchSize  int    `bson:"batchSize"`
	MaxTimeMS  int64  `bson:"maxTimeMS"`
}

// getMore returns the next batch of a cursor. On a change stream without events it waits for
// one, for maxTimeMS milliseconds (1 s unless it says, a minute at most), but not in a
// transaction.
func getMore(op *operation, args getMoreCommand) (bson.D, error) {
	if op.changes != nil {
		reply, _, err := op.server.readCursor(args, true)
		return reply, err
	}
	if args.MaxTimeMS <= 0 {
		args.MaxTimeMS = 1000
	}
	late := time.NewTimer(time.Duration(min(args.MaxTimeMS, 60_000)) * time.Millisecond)
	defer late.Stop()
	for last := false; ; {
		op.server.mu.Lock()
		reply, more, err := op.server.readCursor(args, last)
		op.server.mu.Unlock()
		if reply != nil || err != nil {
			return reply, err
		}
		select {
		case <-more:
		case <-late.C:
			last = true
		case <-op.client.ctx.Done():
			return nil, errShutdown
		}
	}
}

// readCursor is the reply to getMore. It is nil for a change stream without events, unless even
// that is to be told; more is then closed when there may be some. The caller has mu.
func (s *Server) readCursor(args getMoreCommand, tellNone bool) (reply bson.D, more <-chan struct{}, err error) {
	c := s.cursors[args.Cursor]
	switch {
	case c == nil:
		return nil, nil, &fault{code: 43, name: "CursorNotFound", message: fmt.Sprintf("cursor id %d not found", args.Cursor)}
	case c.stream == nil:
		b, err := c.read(args.BatchSize)
		id := args.Cursor
		if len(c.rest) == 0 {
			delete(s.cursors, id)
			id = 0
		}
		return c.reply(id, "nextBatch", b), nil, err
	}
	b, err := c.stream.read(&s.events, args.BatchSize)
	if err == nil && len(b.documents) == 0 && !tellNone {
		return nil, s.events.more, nil
	}
	return c.reply(args.Cursor, "nextBatch", b), nil, err
}
