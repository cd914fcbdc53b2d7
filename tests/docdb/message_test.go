package docdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/juju/mgo/v3/bson"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// query is a message as mgo sends it.
func query(t testing.TB, collection string, document any) []byte {
	body, err := bson.Marshal(document)
	require.NoError(t, err)
	return frame(opQuery, append(append([]byte("\x00\x00\x00\x00"+collection+"\x00"), make([]byte, 8)...), body...))
}

// frame puts a header before a message's body.
func frame(code int32, body []byte) []byte {
	var b bytes.Buffer
	for _, n := range []int32{int32(16 + len(body)), 7, 0, code} {
		_ = binary.Write(&b, binary.LittleEndian, n)
	}
	return append(b.Bytes(), body...)
}

// nested is a document in n others.
func nested(n int) bson.D {
	d := bson.D{}
	for range n {
		d = bson.D{{Name: "d", Value: d}}
	}
	return d
}

// raw is a BSON document with such elements, right or wrong.
func raw(elements string) bson.Raw {
	b := binary.LittleEndian.AppendUint32(nil, uint32(4+len(elements)+1))
	return bson.Raw{Kind: kindDocument, Data: append(append(b, elements...), 0)}
}

func TestMessagesAreReadOrRefused(t *testing.T) {
	ping := bson.D{{Name: "ping", Value: 1}}
	for _, test := range []struct {
		claim string
		data  []byte
		want  error // nil reads a message
	}{
		{"a command", query(t, "admin.$cmd", ping), nil},
		{"cursors to forget", frame(opKillCursors, binary.LittleEndian.AppendUint64([]byte{0, 0, 0, 0, 1, 0, 0, 0}, 9)), nil},
		{"nothing", nil, io.EOF},
		{"half a header", make([]byte, 9), io.ErrUnexpectedEOF},
		{"half a body", query(t, "admin.$cmd", ping)[:40], io.ErrUnexpectedEOF},
		{"a length that is too small", make([]byte, 16), errMalformed},
		{"a length of 2 GB", []byte{0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0xd4, 7, 0, 0}, errMalformed},
		{"a negative length", []byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0xd4, 7, 0, 0}, errMalformed},
		{"another operation", frame(2013, nil), errMalformed},
		{"a query of a collection", query(t, "juju.units", ping), errMalformed},
		{"a query without an end of its name", frame(opQuery, []byte("\x00\x00\x00\x00admin.$cmd")), errMalformed},
		{"a query without a document", frame(opQuery, []byte("\x00\x00\x00\x00admin.$cmd\x00")), errMalformed},
		{"an empty query", frame(opQuery, nil), errMalformed},
		{"an empty command", query(t, "admin.$cmd", bson.D{}), errMalformed},
		{"a list of cursors without them", frame(opKillCursors, []byte{0, 0, 0, 0, 1, 0, 0, 0}), errMalformed},
		{"deep documents", query(t, "admin.$cmd", nested(maxNesting)), nil},
		{"deeper documents", query(t, "admin.$cmd", nested(maxNesting+1)), errMalformed},
		{"a long path", query(t, "admin.$cmd", bson.M{strings.Repeat(".", maxNesting-1): 1}), nil},
		{"a longer path", query(t, "admin.$cmd", bson.M{strings.Repeat(".", maxNesting): 1}), errMalformed},
		{"a string without an end", query(t, "admin.$cmd", raw("\x02a\x00\x02\x00\x00\x00xy")), errMalformed},
		{"a string that is longer than its document", query(t, "admin.$cmd", raw("\x02a\x00\xff\xff\xff\x7fx\x00")), errMalformed},
		{"a string of negative length", query(t, "admin.$cmd", raw("\x02a\x00\xff\xff\xff\xffx\x00")), errMalformed},
		{"a number without its bytes", query(t, "admin.$cmd", raw("\x12a\x00\x01\x02")), errMalformed},
		{"a regular expression without an end", query(t, "admin.$cmd", raw("\x0ba\x00xy")), errMalformed},
		{"a bool of 2", query(t, "admin.$cmd", raw("\x08a\x00\x02")), errMalformed},
		{"an unknown kind", query(t, "admin.$cmd", raw("\x20a\x00")), errMalformed},
		{"an element without a name", query(t, "admin.$cmd", raw("\x10a")), errMalformed},
	} {
		t.Run(test.claim, func(t *testing.T) {
			_, err := readMessage(bytes.NewReader(test.data))
			assert.ErrorIs(t, err, test.want)
		})
	}
}

func TestALengthAllocatesNothing(t *testing.T) {
	for _, length := range []uint32{maxMessageBytes, 1<<31 - 1} {
		data := binary.LittleEndian.AppendUint32(nil, length)
		data = append(data, frame(opQuery, make([]byte, 100))[4:]...)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readMessage(bytes.NewReader(data))
		runtime.ReadMemStats(&after)
		require.Error(t, err)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<10), "length %d", length)
	}
}

// seeds are commands of all kinds.
var seeds = []any{
	bson.D{{Name: "ping", Value: 1}},
	bson.D{{Name: "find", Value: "c"}, {Name: "filter", Value: bson.D{{Name: "a.0", Value: bson.D{{Name: "$in", Value: []any{1, 2.5, "x", nil, bson.RegEx{Pattern: "a"}}}}}}}},
	bson.D{{Name: "insert", Value: "c"}, {Name: "documents", Value: []any{bson.D{{Name: "_id", Value: bson.NewObjectId()}, {Name: "b", Value: []byte{1}}, {Name: "t", Value: true}}}}},
	bson.D{{Name: "update", Value: "c"}, {Name: "updates", Value: []any{bson.D{{Name: "q", Value: bson.D{}}, {Name: "u", Value: bson.D{{Name: "$push", Value: bson.D{{Name: "l.x", Value: int64(1)}}}}}, {Name: "upsert", Value: true}}}}},
	bson.D{{Name: "findAndModify", Value: "c"}, {Name: "update", Value: bson.D{{Name: "$inc", Value: bson.D{{Name: "n", Value: 1}}}}}, {Name: "upsert", Value: true}, {Name: "new", Value: true}},
	bson.D{{Name: "aggregate", Value: 1}, {Name: "pipeline", Value: []any{bson.D{{Name: "$changeStream", Value: bson.D{{Name: "fullDocument", Value: "updateLookup"}}}}}}},
	bson.D{{Name: "aggregate", Value: "c"}, {Name: "pipeline", Value: []any{bson.D{{Name: "$group", Value: bson.D{{Name: "_id", Value: "$a"}, {Name: "n", Value: bson.D{{Name: "$sum", Value: 1}}}}}}}}},
	bson.D{{Name: "createIndexes", Value: "c"}, {Name: "indexes", Value: []any{bson.D{{Name: "name", Value: "x"}, {Name: "key", Value: bson.D{{Name: "x", Value: 1}}}, {Name: "unique", Value: true}}}}},
}

// FuzzMessage: no message makes the server panic, and a command that is read is a document that
// mgo's decoder reads as well, and is answered.
func FuzzMessage(f *testing.F) {
	for _, seed := range seeds {
		f.Add(query(f, "juju.$cmd", seed))
	}
	f.Add(frame(opKillCursors, make([]byte, 8)))
	f.Fuzz(run)
}

// FuzzCommand: the same for the elements of a command, whose lengths are right.
func FuzzCommand(f *testing.F) {
	for _, seed := range seeds {
		data, err := bson.Marshal(seed)
		require.NoError(f, err)
		f.Add(data[4 : len(data)-1])
	}
	f.Fuzz(func(t *testing.T, elements []byte) { run(t, query(t, "juju.$cmd", raw(string(elements)))) })
}

// run reads a message and has a server of its own answer it.
func run(t *testing.T, data []byte) {
	m, err := readMessage(bytes.NewReader(data))
	if err != nil {
		if !isMalformed(err) && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
		return
	}
	if m.command == nil {
		return
	}
	var d bson.D
	if err := bson.Unmarshal(m.command, &d); err != nil {
		t.Fatal(err)
	}
	s, err := Start(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c := &client{ctx: s.ctx}
	defer s.abandon(c)
	if _, err := encodeReply(m.id, s.respond(c, m)); err != nil {
		t.Fatal(err)
	}
}
