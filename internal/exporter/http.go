package exporter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"keepalived-charm/internal/metrics"
)

// maxRequest bounds a request, its headers included, in bytes.
const maxRequest = 8 << 10

// request is what counts of a request (RFC 9112 section 3).
type request struct {
	method, target, version string
	// long tells one that is longer than maxRequest.
	long bool
}

// The answers (RFC 9110 section 15).
const (
	ok         = "200 OK"
	bad        = "400 Bad Request"
	notFound   = "404 Not Found"
	notAllowed = "405 Method Not Allowed"
	tooLong    = "431 Request Header Fields Too Large"
	failed     = "503 Service Unavailable"
)

// readRequest reads a request up to the end of its headers, which say nothing that matters.
func readRequest(from io.Reader) (request, error) {
	var b [maxRequest]byte
	for n := 0; ; {
		if n == len(b) {
			return request{long: true}, nil
		}
		read, err := from.Read(b[n:])
		n += read
		if bytes.Contains(b[:n], []byte("\r\n\r\n")) || bytes.Contains(b[:n], []byte("\n\n")) {
			line, _, _ := strings.Cut(string(b[:n]), "\n")
			return parseRequest(strings.TrimSuffix(line, "\r")), nil
		}
		if err != nil {
			return request{}, err
		}
		if read == 0 {
			return request{}, errors.New("there is nothing to read")
		}
	}
}

func parseRequest(line string) request {
	words := strings.Split(line, " ")
	if len(words) != 3 {
		return request{}
	}
	return request{method: words[0], target: words[1], version: words[2]}
}

// status is how a request is answered.
func (r request) status() string {
	path, _, _ := strings.Cut(r.target, "?")
	switch {
	case r.long:
		return tooLong
	case r.version != "HTTP/1.1" && r.version != "HTTP/1.0":
		return bad
	case path != "/metrics":
		return notFound
	case r.method != "GET" && r.method != "HEAD":
		return notAllowed
	}
	return ok
}

// respond is the whole answer.
func respond(r request, status string, text []byte, now time.Time) []byte {
	kind, allow := metrics.ContentType, ""
	if status != ok {
		kind = "text/plain; charset=utf-8"
	}
	if text == nil {
		text = []byte(status + "\n")
	}
	if status == notAllowed {
		allow = "Allow: GET, HEAD\r\n"
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %s\r\nDate: %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%sX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n",
		status, now.UTC().Format("Mon, 02 Jan 2006 15:04:05 GMT"), kind, len(text), allow)
	if r.method != "HEAD" {
		b.Write(text)
	}
	return b.Bytes()
}
