package checker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"

	"golang.org/x/net/http2/hpack"
)

// frameType is what a frame of HTTP/2 is (RFC 9113 section 6).
type frameType uint8

const (
	frameHeaders      frameType = 0x1
	frameReset        frameType = 0x3
	frameSettings     frameType = 0x4
	framePing         frameType = 0x6
	frameGoAway       frameType = 0x7
	frameContinuation frameType = 0x9
)

const (
	flagAck        = 0x1 // SETTINGS and PING
	flagEndStream  = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20

	settingHeaderTableSize, settingEnablePush = 0x1, 0x2 // RFC 9113 section 6.5.2

	// preface begins a connection (section 3.4).
	preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	// longestFrame is what a server may send without having been told more.
	longestFrame = 16 << 10
	// onlyStream is the one request's.
	onlyStream = 1
)

// frame is one frame without its length.
type frame struct {
	kind   frameType
	flags  uint8
	stream uint32
	text   []byte
}

func (f frame) write(w io.Writer) error {
	head := make([]byte, 9, 9+len(f.text))
	binary.BigEndian.PutUint32(head, uint32(len(f.text))<<8|uint32(f.kind))
	head[4] = f.flags
	binary.BigEndian.PutUint32(head[5:], f.stream)
	_, err := w.Write(append(head, f.text...))
	return err
}

func readFrame(r io.Reader) (frame, error) {
	var head [9]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return frame{}, err
	}
	length := binary.BigEndian.Uint32(head[:4]) >> 8
	if length > longestFrame {
		return frame{}, fmt.Errorf("malformed HTTP/2 answer: a frame of %d bytes", length)
	}
	f := frame{kind: frameType(head[3]), flags: head[4], stream: binary.BigEndian.Uint32(head[5:]) &^ (1 << 31), text: make([]byte, length)}
	_, err := io.ReadFull(r, f.text)
	return f, err
}

// askTwo asks for a path in HTTP/2 and returns the status of the answer.
func askTwo(conn io.ReadWriter, authority, path string) (int, error) {
	if err := begin(conn, authority, path); err != nil {
		return 0, err
	}
	var fields []byte // of a header that goes on
	for {
		f, err := readFrame(conn)
		if err != nil {
			return 0, err
		}
		switch {
		case f.kind == frameSettings && f.flags&flagAck == 0:
			err = frame{kind: frameSettings, flags: flagAck}.write(conn)
		case f.kind == framePing && f.flags&flagAck == 0:
			err = frame{kind: framePing, flags: flagAck, text: f.text}.write(conn)
		case f.kind == frameGoAway && len(f.text) >= 8 && binary.BigEndian.Uint32(f.text)&^(1<<31) < onlyStream:
			return 0, fmt.Errorf("no answer: HTTP/2 error %d", binary.BigEndian.Uint32(f.text[4:]))
		case f.kind == frameReset && f.stream == onlyStream && len(f.text) == 4:
			return 0, fmt.Errorf("no answer: HTTP/2 error %d", binary.BigEndian.Uint32(f.text))
		case f.kind == frameHeaders && f.stream == onlyStream:
			fields, err = f.fields()
		case f.kind == frameContinuation && f.stream == onlyStream:
			fields = append(fields, f.text...)
		default:
			continue
		}
		if err != nil {
			return 0, err
		}
		if (f.kind == frameHeaders || f.kind == frameContinuation) && f.flags&flagEndHeaders != 0 {
			if status, err := readStatusTwo(fields); err != nil || !interim(status) {
				return status, err
			}
		}
	}
}

// begin sends the preface, without a table of headers, so that each answer can be read by
// itself, and the request.
func begin(w io.Writer, authority, path string) error {
	settings := binary.BigEndian.AppendUint16(nil, settingHeaderTableSize)
	settings = binary.BigEndian.AppendUint32(settings, 0)
	settings = binary.BigEndian.AppendUint16(settings, settingEnablePush)
	settings = binary.BigEndian.AppendUint32(settings, 0)
	if _, err := io.WriteString(w, preface); err != nil {
		return err
	}
	if err := (frame{kind: frameSettings, text: settings}).write(w); err != nil {
		return err
	}
	var header writer
	encoder := hpack.NewEncoder(&header)
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "GET"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: authority},
		{Name: ":path", Value: path}, {Name: "user-agent", Value: userAgent}} {
		if err := encoder.WriteField(f); err != nil {
			return err
		}
	}
	return frame{kind: frameHeaders, flags: flagEndStream | flagEndHeaders, stream: onlyStream, text: header}.write(w)
}

// writer keeps what is written.
type writer []byte

func (w *writer) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

// fields are the header fields of a frame that begins a header, without what may stand
// around them (RFC 9113 section 6.2).
func (f frame) fields() ([]byte, error) {
	text, padding := f.text, 0
	if f.flags&flagPadded != 0 && len(text) > 0 {
		padding, text = int(text[0]), text[1:]
	}
	if f.flags&flagPriority != 0 {
		text = text[min(5, len(text)):]
	}
	if padding > len(text) {
		return nil, errors.New("malformed HTTP/2 answer: more padding than text")
	}
	return text[: len(text)-padding : len(text)-padding], nil
}

// readStatusTwo finds the status of an answer in its header fields, of which it is the first.
func readStatusTwo(fields []byte) (int, error) {
	status, first := 0, true
	decoder := hpack.NewDecoder(0, func(f hpack.HeaderField) {
		if code, err := strconv.Atoi(f.Value); first && f.Name == ":status" && err == nil && len(f.Value) == 3 && code >= 100 {
			status = code
		}
		first = false
	})
	decoder.SetMaxStringLength(maxRead)
	if _, err := decoder.Write(fields); err != nil {
		return 0, fmt.Errorf("malformed HTTP/2 answer: %w", err)
	}
	if err := decoder.Close(); err != nil {
		return 0, fmt.Errorf("malformed HTTP/2 answer: %w", err)
	}
	if status == 0 {
		return 0, errors.New("malformed HTTP/2 answer: no status")
	}
	return status, nil
}
