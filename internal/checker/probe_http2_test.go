package checker

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2/hpack"

	"keepalived-charm/internal/healthcheck"
)

// twoOnly is a service that takes HTTP/2 alone and does refuse to a client of another kind;
// it counts its connections.
func twoOnly(t *testing.T, strict bool, refuse func(net.Conn), handler http.HandlerFunc) (at string, connections *atomic.Int32) {
	config := &tls.Config{Certificates: []tls.Certificate{cheapCertificate(t)}, NextProtos: []string{"h2"}}
	if strict {
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if len(hello.SupportedProtos) == 0 {
				return nil, errors.New("no protocol")
			}
			return nil, nil
		}
	}
	connections = &atomic.Int32{}
	return stall(t, func(conn net.Conn) {
		connections.Add(1)
		secure := tls.Server(conn, config)
		if secure.Handshake() != nil {
			conn.Close()
			return
		}
		if secure.ConnectionState().NegotiatedProtocol != "h2" {
			refuse(secure)
			secure.Close()
			return
		}
		over := make(chan struct{})
		server := http.Server{Handler: handler, Protocols: &http.Protocols{}, ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateClosed {
				close(over)
			}
		}}
		server.Protocols.SetHTTP2(true)
		_ = server.Serve(&single{secure, over})
	}), connections
}

// single is a listener with one connection, which ends with it.
type single struct {
	conn net.Conn
	over chan struct{}
}

func (s *single) Accept() (conn net.Conn, err error) {
	if s.conn == nil {
		<-s.over
		return nil, io.EOF
	}
	conn, s.conn = s.conn, nil
	return conn, nil
}

func (s *single) Close() error { return nil }

func (s *single) Addr() net.Addr { return &net.TCPAddr{} }

func secured(t *testing.T, at string) prober {
	p, err := newProber(healthcheck.Config{Check: healthcheck.Check{Type: healthcheck.HTTPS, Target: at, Path: "/health?a=b", Host: "app.example", ExpectStatus: healthcheck.StatusRange{Min: 200, Max: 399}}})
	require.NoError(t, err)
	return p
}

func TestAServiceOfHTTP2AloneIsHealthy(t *testing.T) {
	asked := func(c net.Conn) { asked(c) }
	for claim, row := range map[string]struct {
		strict bool
		refuse func(net.Conn)
	}{
		"it refuses in the handshake":    {strict: true},
		"it closes":                      {refuse: func(net.Conn) {}},
		"it closes after the request":    {refuse: asked},
		"it answers with a status":       {refuse: func(c net.Conn) { asked(c); io.WriteString(c, "HTTP/1.0 403 Forbidden\r\n\r\n") }},
		"it says goodbye in HTTP/2":      {refuse: func(c net.Conn) { asked(c); frame{kind: frameGoAway, text: make([]byte, 8)}.write(c) }},
		"it says in HTTP/2 what it does": {refuse: func(c net.Conn) { frame{kind: frameSettings}.write(c); asked(c) }},
	} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			var status atomic.Int32
			status.Store(http.StatusOK)
			at, connections := twoOnly(t, row.strict, row.refuse, func(w http.ResponseWriter, r *http.Request) {
				if r.Host != "app.example" || r.RequestURI != "/health?a=b" || r.Method != http.MethodGet || r.UserAgent() != userAgent || r.Proto != "HTTP/2.0" {
					w.WriteHeader(http.StatusBadRequest)
					return
				}
				w.WriteHeader(http.StatusEarlyHints)
				w.Header().Set("X-Long", strings.Repeat("x", 3*longestFrame)) // goes on in other frames
				w.WriteHeader(int(status.Load()))
			})
			p := secured(t, at)
			_, err := p.probe(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 2, connections.Load())
			_, err = p.probe(t.Context())
			require.NoError(t, err)
			require.EqualValues(t, 3, connections.Load(), "it is asked right the next time")
			status.Store(http.StatusServiceUnavailable)
			_, err = p.probe(t.Context())
			require.EqualError(t, err, "https://"+at+"/health?a=b answered with status 503")
			_, err = secured(t, at).probe(t.Context())
			require.ErrorContains(t, err, "answered with status", "which says more than that HTTP/1.1 is refused")
		})
	}
}

// TestAServiceThatGoesBackToHTTP1IsHealthy, such as one that was configured anew.
func TestAServiceThatGoesBackToHTTP1IsHealthy(t *testing.T) {
	config := &tls.Config{Certificates: []tls.Certificate{cheapCertificate(t)}}
	at := stall(t, func(conn net.Conn) {
		secure := tls.Server(conn, config)
		defer secure.Close()
		if secure.Handshake() == nil {
			asked(secure)
			io.WriteString(secure, "HTTP/1.1 200 OK\r\n\r\n")
		}
	})
	p := secured(t, at).(*httpProber)
	p.two.Store(true)
	_, err := p.probe(t.Context())
	require.NoError(t, err)
	require.False(t, p.two.Load())
}

// header is a frame that begins a header.
func header(flags uint8, fields ...string) frame {
	var text bytes.Buffer
	encoder := hpack.NewEncoder(&text)
	for n := 0; n < len(fields); n += 2 {
		encoder.WriteField(hpack.HeaderField{Name: fields[n], Value: fields[n+1]})
	}
	return frame{kind: frameHeaders, flags: flags, stream: 1, text: text.Bytes()}
}

// around is a header with padding and a priority.
func around(f frame) frame {
	f.flags |= flagPadded | flagPriority
	f.text = append(append([]byte{2, 0, 0, 0, 0, 9}, f.text...), 0, 0)
	return f
}

func texts(frames ...frame) []byte {
	var text bytes.Buffer
	for _, f := range frames {
		f.write(&text)
	}
	return text.Bytes()
}

func TestAnswersInHTTP2(t *testing.T) {
	ok := header(flagEndHeaders, ":status", "200", "server", "x")
	part, rest := header(0, ":status", "299", "server", "x"), frame{kind: frameContinuation, flags: flagEndHeaders, stream: 1}
	rest.text, part.text = part.text[2:], part.text[:2]
	other := ok
	other.stream = 3
	for claim, row := range map[string]struct {
		text   []byte
		status int
		err    string
	}{
		"at once":                      {texts(ok), 200, ""},
		"after settings and a ping":    {texts(frame{kind: frameSettings}, frame{kind: framePing, text: make([]byte, 8)}, frame{kind: 0x42}, ok), 200, ""},
		"with padding and priority":    {texts(around(ok)), 200, ""},
		"in two frames":                {texts(part, rest), 299, ""},
		"after an interim one":         {texts(header(flagEndHeaders, ":status", "103"), ok), 200, ""},
		"of another stream":            {texts(other), 0, "EOF"},
		"a goodbye after the request":  {texts(frame{kind: frameGoAway, text: []byte{0, 0, 0, 1, 0, 0, 0, 0}}, ok), 200, ""},
		"a goodbye before the request": {texts(frame{kind: frameGoAway, text: []byte{0, 0, 0, 0, 0, 0, 0, 13}}), 0, "no answer: HTTP/2 error 13"},
		"a refusal of the request":     {texts(frame{kind: frameReset, stream: 1, text: []byte{0, 0, 0, 7}}), 0, "no answer: HTTP/2 error 7"},
		"without a status":             {texts(header(flagEndHeaders, "server", "x")), 0, "malformed HTTP/2 answer: no status"},
		"with a late status":           {texts(header(flagEndHeaders, "server", "x", ":status", "200")), 0, "malformed HTTP/2 answer: no status"},
		"with an odd status":           {texts(header(flagEndHeaders, ":status", "+20")), 0, "malformed HTTP/2 answer: no status"},
		"with too much padding":        {texts(frame{kind: frameHeaders, flags: flagPadded, stream: 1, text: []byte{9, 1}}), 0, "malformed HTTP/2 answer: more padding than text"},
		"with fields that are none":    {texts(frame{kind: frameHeaders, flags: flagEndHeaders, stream: 1, text: []byte{0xff, 0xff, 0xff}}), 0, "malformed HTTP/2 answer: "},
		"of a frame too long":          {[]byte("HTTP/1.1 400 Bad Request\r\n\r\n"), 0, "malformed HTTP/2 answer: a frame of 4740180 bytes"},
		"cut short":                    {texts(ok)[:11], 0, "unexpected EOF"},
	} {
		status, err := askTwo(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(row.text), io.Discard}, "x", "/")
		if row.err == "" {
			require.NoError(t, err, claim)
		} else {
			require.ErrorContains(t, err, row.err, claim)
		}
		require.Equal(t, row.status, status, claim)
	}
}

func FuzzAnswerInHTTP2(f *testing.F) {
	f.Add(texts(frame{kind: frameSettings}, around(header(flagEndHeaders, ":status", "200"))))
	f.Add(texts(header(0, ":status", "103"), frame{kind: frameContinuation, flags: flagEndHeaders, stream: 1}))
	f.Fuzz(func(t *testing.T, text []byte) {
		status, err := askTwo(struct {
			io.Reader
			io.Writer
		}{&io.LimitedReader{R: bytes.NewReader(text), N: maxRead}, io.Discard}, "x", "/")
		if err == nil && (status < 100 || status > 999) {
			t.Fatal(status)
		}
	})
}
