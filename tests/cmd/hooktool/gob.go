package main

import (
	"errors"
	"io"
)

// Numbers of gob's own types (encoding/gob, Encoding Details), and those that the
// definitions below give to the client's.
const (
	gobBool, gobInt, gobUint, gobBytes, gobString = 1, 2, 3, 5, 6
	gobHead, gobRequest, gobStrings               = 65, 66, 67
)

// A message is one message of a gob stream as it is written.
type message []byte

// value begins a message with a value of a type, or with the definition of one: then the
// number is negative.
func value(number int) message { return message{}.int(number) }

func (m message) uint(n uint64) message {
	if n < 0x80 {
		return append(m, byte(n))
	}
	size := 1
	for n>>(8*size) != 0 && size < 8 {
		size++
	}
	m = append(m, byte(-size))
	for i := size - 1; i >= 0; i-- {
		m = append(m, byte(n>>(8*i)))
	}
	return m
}

func (m message) int(n int) message {
	if n < 0 {
		return m.uint(uint64(^n)<<1 | 1)
	}
	return m.uint(uint64(n) << 1)
}

func (m message) text(s string) message { return append(m.uint(uint64(len(s))), s...) }

// end ends a struct.
func (m message) end() message { return append(m, 0) }

// A fieldType is a struct's field as its definition says it.
type fieldType struct {
	name   string
	number int
}

// structType is the definition of a struct. Every 1 says that the next field follows,
// more that some are left out.
func structType(number int, name string, fields ...fieldType) message {
	m := value(-number).uint(3) // wireType.StructT
	m = m.uint(1).uint(1).text(name).uint(1).int(number).end()
	m = m.uint(1).uint(uint64(len(fields)))
	for _, f := range fields {
		m = m.uint(1).text(f.name).uint(1).int(f.number).end()
	}
	return m.end().end()
}

// sliceType is the definition of a slice.
func sliceType(number int, name string, element int) message {
	m := value(-number).uint(2) // wireType.SliceT
	return m.uint(1).uint(1).text(name).uint(1).int(number).end().uint(1).int(element).end().end()
}

// definitions precede the first call.
func definitions() []message {
	return []message{
		structType(gobHead, "Request", fieldType{"ServiceMethod", gobString}, fieldType{"Seq", gobUint}),
		structType(gobRequest, "Request",
			fieldType{"ContextId", gobString}, fieldType{"Dir", gobString}, fieldType{"CommandName", gobString},
			fieldType{"Args", gobStrings}, fieldType{"StdinSet", gobBool}, fieldType{"Stdin", gobBytes},
			fieldType{"Token", gobString}),
		sliceType(gobStrings, "[]string", gobString),
	}
}

// A fields collects a struct's: those that are zero are left out.
type fields struct {
	message
	skipped uint64
}

func (f *fields) next(zero bool) bool {
	f.skipped++
	if zero {
		return false
	}
	f.message = f.uint(f.skipped)
	f.skipped = 0
	return true
}

func (f *fields) string(s string) {
	if f.next(s == "") {
		f.message = f.text(s)
	}
}

func (f *fields) strings(all []string) {
	if f.next(len(all) == 0) {
		f.message = f.uint(uint64(len(all)))
		for _, s := range all {
			f.message = f.text(s)
		}
	}
}

func (f *fields) number(n uint64) {
	if f.next(n == 0) {
		f.message = f.uint(n)
	}
}

// head is net/rpc's Request.
func head(sequence uint64) message {
	f := fields{message: value(gobHead)}
	f.string("Jujuc.Main")
	f.number(sequence)
	return f.end()
}

func (r request) message() message {
	f := fields{message: value(gobRequest)}
	f.string(r.ContextId)
	f.string(r.Dir)
	f.string(r.CommandName)
	f.strings(r.Args)
	set := uint64(0)
	if r.StdinSet {
		set = 1
	}
	f.number(set)
	f.string(string(r.Stdin))
	f.string(r.Token)
	return f.end()
}

// stream is the messages one after another, each after its length.
func stream(messages ...message) []byte {
	var all message
	for _, m := range messages {
		all = append(all.uint(uint64(len(m))), m...)
	}
	return all
}

var errGob = errors.New("cannot read the unit agent's answer: not what gob writes")

// A reader reads values of structs from a gob stream, without their definitions: what the
// agent sends is known.
type reader struct{ from io.Reader }

// read returns the fields of the next value: numbers and texts, as text says of each.
func (r reader) read(text ...bool) (numbers []uint64, texts [][]byte, err error) {
	for {
		m, err := r.next()
		if err != nil {
			return nil, nil, err
		}
		number, ok := m.takeUint()
		if ok && number&1 == 1 {
			continue // a definition
		}
		numbers, texts = make([]uint64, len(text)), make([][]byte, len(text))
		for field := -1; ok; {
			var skip, n uint64
			if skip, ok = m.takeUint(); !ok || skip == 0 {
				break
			}
			if skip > uint64(len(text)-1-field) {
				return nil, nil, errGob
			}
			field += int(skip)
			if n, ok = m.takeUint(); !ok {
				break
			}
			if numbers[field] = n; text[field] {
				if n > uint64(len(m)) {
					return nil, nil, errGob
				}
				texts[field], m = m[:n], m[n:]
			}
		}
		if !ok {
			return nil, nil, errGob
		}
		return numbers, texts, nil
	}
}

// longest bounds a message, in bytes: no tool prints as much.
const longest = 64 << 20

func (r reader) next() (message, error) {
	var first [9]byte
	if _, err := io.ReadFull(r.from, first[:1]); err != nil {
		return nil, err
	}
	size := 1
	if first[0] >= 0x80 {
		if size += 0x100 - int(first[0]); size > len(first) {
			return nil, errGob
		}
		if _, err := io.ReadFull(r.from, first[1:size]); err != nil {
			return nil, err
		}
	}
	m := message(first[:size])
	length, ok := m.takeUint()
	if !ok || length > longest {
		return nil, errGob
	}
	m = make(message, length)
	_, err := io.ReadFull(r.from, m)
	return m, err
}

// takeUint cuts a number from the front.
func (m *message) takeUint() (n uint64, ok bool) {
	if len(*m) == 0 {
		return 0, false
	}
	first := (*m)[0]
	if first < 0x80 {
		*m = (*m)[1:]
		return uint64(first), true
	}
	size := 0x100 - int(first)
	if size > 8 || size >= len(*m) {
		return 0, false
	}
	for _, b := range (*m)[1 : 1+size] {
		n = n<<8 | uint64(b)
	}
	*m = (*m)[1+size:]
	return n, true
}
