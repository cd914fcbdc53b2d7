package docdb

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/juju/mgo/v3/bson"
)

// Bounds that a real server tells its clients in answer to ismaster.
const (
	maxMessageBytes  = 48_000_000
	maxDocumentBytes = 16 << 20
	maxNesting       = 180 // documents within documents, and names of a path
)

// The operation codes of the wire protocol that mgo uses with a server of version 4.4.
const (
	opReply       = 1
	opQuery       = 2004
	opKillCursors = 2007
)

// message is what a client sent: a command, or else cursors to forget, which has no reply.
type message struct {
	id       int32
	database string
	command  []byte // a valid BSON document that is not empty
	kill     []int64
}

// errMalformed is what a client's message is that does not follow the protocol.
var errMalformed = errors.New("message is malformed")

func malformed(format string, args ...any) error {
	return fmt.Errorf("cannot read message: %w: %s", errMalformed, fmt.Sprintf(format, args...))
}

func isMalformed(err error) bool { return errors.Is(err, errMalformed) }

// readMessage reads one message. It allocates no more than a small multiple of what there is to
// read, whatever the message says of its length. Its errors are the reader's or errMalformed.
func readMessage(r io.Reader) (message, error) {
	var header struct{ Length, ID, ResponseTo, Code int32 }
	if err := binary.Read(r, binary.LittleEndian, &header); err != nil {
		return message{}, err
	}
	size := int64(header.Length) - int64(binary.Size(header))
	if size < 0 || header.Length > maxMessageBytes {
		return message{}, malformed("length %d", header.Length)
	}
	body, err := io.ReadAll(io.LimitReader(r, size))
	if err != nil {
		return message{}, err
	}
	if int64(len(body)) < size {
		return message{}, io.ErrUnexpectedEOF
	}
	switch header.Code {
	case opQuery:
		return parseQuery(header.ID, body)
	case opKillCursors:
		return parseKillCursors(header.ID, body)
	}
	return message{}, malformed("unsupported operation code %d", header.Code)
}

// parseQuery reads the body of OP_QUERY: flags, collection, skip, limit, query and perhaps a
// selector. A query is a command where the collection is $cmd, and nothing else is known.
func parseQuery(id int32, body []byte) (message, error) {
	if len(body) < 4 {
		return message{}, malformed("query of %d bytes", len(body))
	}
	collection, rest, ok := bytes.Cut(body[4:], []byte{0})
	database, isCommand := strings.CutSuffix(string(collection), ".$cmd")
	if !ok || !isCommand {
		return message{}, malformed("query of %q, which is no $cmd", collection)
	}
	if len(rest) < 8 {
		return message{}, malformed("query without a document")
	}
	// mgo repeats find's projection as selector, which means nothing to a command.
	command := rest[8:]
	if len(command) >= 4 {
		command = command[:min(int64(binary.LittleEndian.Uint32(command)), int64(len(command)))]
	}
	if err := checkDocument(command, 0); err != nil {
		return message{}, err
	}
	if len(command) == emptyDocument {
		return message{}, malformed("empty command")
	}
	return message{id: id, database: database, command: command}, nil
}

// parseKillCursors reads the body of OP_KILL_CURSORS: zero, a count and that many cursors.
func parseKillCursors(id int32, body []byte) (message, error) {
	if len(body) < 8 || len(body)%8 != 0 || int(binary.LittleEndian.Uint32(body[4:])) != len(body)/8-1 {
		return message{}, malformed("list of cursors in %d bytes", len(body))
	}
	m := message{id: id}
	for b := body[8:]; len(b) > 0; b = b[8:] {
		m.kill = append(m.kill, int64(binary.LittleEndian.Uint64(b)))
	}
	return m, nil
}

// emptyDocument is the size of a BSON document without elements, in bytes.
const emptyDocument = 5

// checkDocument fails unless b is, exactly, one BSON document that mgo's decoder can read. The
// decoder is recursive and a stack that overflows ends the process, so nesting is bounded.
func checkDocument(b []byte, nesting int) error {
	switch {
	case nesting > maxNesting:
		return malformed("more than %d documents in each other", maxNesting)
	case len(b) < emptyDocument || int64(binary.LittleEndian.Uint32(b)) != int64(len(b)) || b[len(b)-1] != 0:
		return malformed("document of %d bytes has no end", len(b))
	}
	for b = b[4 : len(b)-1]; len(b) > 0; {
		e, rest, err := cutElement(b)
		if err != nil {
			return err
		}
		if e.kind == kindDocument || e.kind == kindArray {
			if err := checkDocument(e.value, nesting+1); err != nil {
				return err
			}
		}
		b = rest
	}
	return nil
}

// Kinds of BSON elements (bsonspec.org).
const (
	kindString   = 0x02
	kindDocument = 0x03
	kindArray    = 0x04
	kindBinary   = 0x05
	kindBool     = 0x08
	kindRegEx    = 0x0b
)

// fixedSizes are the sizes of elements that have one, in bytes: numbers, null, object ID, bool,
// time and so on. Code with scope, pointers and what is deprecated is not among the known.
var fixedSizes = map[byte]int{0x01: 8, 0x06: 0, 0x07: 12, kindBool: 1, 0x09: 8, 0x0a: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16, 0x7f: 0, 0xff: 0}

// element is a part of a BSON document.
type element struct {
	kind  byte
	name  string
	value []byte
}

// cutElement reads the first element of b, which is not empty.
func cutElement(b []byte) (element, []byte, error) {
	name, value, ok := bytes.Cut(b[1:], []byte{0})
	if !ok {
		return element{}, nil, malformed("element without a name")
	}
	if bytes.Count(name, []byte(".")) >= maxNesting {
		return element{}, nil, malformed("path of more than %d names", maxNesting)
	}
	e := element{kind: b[0], name: string(name)}
	size, err := valueSize(e.kind, value)
	if err != nil {
		return element{}, nil, err
	}
	if size > len(value) {
		return element{}, nil, malformed("%q needs %d bytes", e.name, size)
	}
	e.value = value[:size]
	switch {
	case e.kind == kindBool && e.value[0] > 1:
		return element{}, nil, malformed("%q is no bool", e.name)
	case e.kind == kindString && e.value[size-1] != 0:
		return element{}, nil, malformed("%q has no end", e.name)
	}
	return e, value[size:], nil
}

// valueSize is how long a value is, by its kind or by what it says itself.
func valueSize(kind byte, value []byte) (int, error) {
	if size, ok := fixedSizes[kind]; ok {
		return size, nil
	}
	if kind == kindRegEx { // pattern and options, each ended by zero
		pattern := bytes.IndexByte(value, 0)
		options := bytes.IndexByte(value[pattern+1:], 0)
		if pattern < 0 || options < 0 {
			return 0, malformed("regular expression without an end")
		}
		return pattern + 1 + options + 1, nil
	}
	if len(value) < 4 {
		return 0, malformed("value without a length")
	}
	length := int(int32(binary.LittleEndian.Uint32(value)))
	switch {
	case kind == kindString && length >= 1:
		return 4 + length, nil
	case kind == kindBinary && length >= 0:
		if len(value) > 4 && value[4] == 2 { // the old subtype repeats its length
			return 0, malformed("unsupported binary subtype 2")
		}
		return 5 + length, nil
	case (kind == kindDocument || kind == kindArray) && length >= emptyDocument:
		return length, nil
	}
	return 0, malformed("unsupported element of kind %#x and length %d", kind, length)
}

// encodeReply is an OP_REPLY of one document to the request with that ID.
func encodeReply(request int32, d bson.D) ([]byte, error) {
	body, err := bson.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("cannot encode reply: %w", err)
	}
	reply := struct {
		Length, ID, ResponseTo, Code, Flags int32
		Cursor                              int64 // of no meaning in replies to commands
		From, Documents                     int32
	}{ResponseTo: request, Code: opReply, Documents: 1}
	reply.Length = int32(binary.Size(reply) + len(body))
	var b bytes.Buffer
	if err := binary.Write(&b, binary.LittleEndian, reply); err != nil {
		return nil, fmt.Errorf("cannot encode reply: %w", err)
	}
	b.Write(body)
	return b.Bytes(), nil
}
