package checker

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/textproto"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"keepalived-charm/internal/healthcheck"
)

// maxRead bounds what a check reads of an answer: its status line, and all of the interim
// answers before it.
const maxRead = 64 << 10

// httpProber asks for one path and looks at the status of the answer. It speaks on its
// own connection: an http.Transport leaves one that is still being made to itself when a
// request is given up. Of package http it would need the reading of a status line, which
// is not worth what that package does at the start of every hook.
type httpProber struct {
	*aim
	path   *url.URL
	scheme string
	// host is the name or address that a certificate is verified for, and named the same
	// as URLs have it; both are empty for the target.
	host, named string
	expect      healthcheck.StatusRange
	tls         *tls.Config // nil: http
	// two tells that the last good answer was of HTTP/2, with which the next check begins.
	two atomic.Bool
}

// userAgent is who asks.
const userAgent = "keepalived-charm"

// newHTTPProber reads the CA.
func newHTTPProber(c healthcheck.Check, aim *aim) (prober, error) {
	path, err := url.ParseRequestURI(cmp.Or(c.Path, "/"))
	if err != nil {
		return nil, fmt.Errorf("check path %q is not a URL path", c.Path)
	}
	p := &httpProber{aim: aim, path: path, scheme: string(c.Type), host: c.Host, named: c.Host, expect: c.ExpectStatus}
	if a, err := netip.ParseAddr(c.Host); err == nil && a.Is6() {
		p.named = "[" + c.Host + "]" // RFC 3986 section 3.2.2
	}
	if c.Type == healthcheck.HTTPS {
		if p.tls, err = tlsConfig(c); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// tlsConfig verifies nothing unless a CA is given: a check asks whether the
// service works here, not who it is.
func tlsConfig(c healthcheck.Check) (*tls.Config, error) {
	config := &tls.Config{InsecureSkipVerify: c.CA == ""}
	if c.CA == "" {
		// Nor how old a service's TLS is.
		config.MinVersion = tls.VersionTLS10
		for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
			config.CipherSuites = append(config.CipherSuites, suite.ID)
		}
		return config, nil
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return nil, fmt.Errorf("cannot read check CA: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	if !config.RootCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("cannot use check CA %s: it holds no certificate", c.CA)
	}
	return config, nil
}

// wrongStatus is an answer, and none that counts as healthy.
type wrongStatus struct {
	url    *url.URL
	status int
}

func (w wrongStatus) Error() string {
	return fmt.Sprintf("%s answered with status %d", w.url, w.status)
}

// probe asks in HTTP/1.1, and an https service that gives no good answer also in HTTP/2:
// there are some that take nothing else, and say so by anything from a reset to a status.
// What answered well is tried first the next time.
func (p *httpProber) probe(ctx context.Context) (string, error) {
	two := p.two.Load()
	found, spoke, err := p.in(ctx, two)
	if err == nil || !spoke || ctx.Err() != nil {
		return found, err
	}
	found, _, other := p.in(ctx, !two)
	if other == nil {
		p.two.Store(!two)
		return found, nil
	}
	if wrong := (wrongStatus{}); !errors.As(err, &wrong) && errors.As(other, &wrong) {
		err = other // which says more
	}
	return "", err
}

// in checks in one version of HTTP, and tells whether somebody spoke TLS.
func (p *httpProber) in(ctx context.Context, two bool) (found string, spoke bool, err error) {
	found, err = p.check(ctx, func(ctx context.Context, conn net.Conn, server, _ netip.AddrPort) error {
		secure, err := p.ask(ctx, conn, server, two)
		spoke = spoke || secure
		return err
	})
	return found, spoke, err
}

// ask asks on a connection of its own: a kept one would not show that a service no
// longer accepts.
func (p *httpProber) ask(ctx context.Context, conn net.Conn, server netip.AddrPort, two bool) (spoke bool, err error) {
	u := *p.path
	u.Scheme, u.Host = p.scheme, server.String()
	status, spoke, err := p.exchange(conn, &u, server, two)
	if ended := ctx.Err(); err != nil && ended != nil {
		err = ended // which closed the connection
	}
	if err != nil {
		return spoke, fmt.Errorf("cannot get %s: %w", &u, httpCause(err))
	}
	if !p.expect.Contains(status) {
		return spoke, wrongStatus{&u, status}
	}
	return spoke, nil
}

// errNoTwo is the cause of a check in HTTP/2 of a service that has not heard of it.
var errNoTwo = errors.New("no HTTP/2")

// exchange sends the request and returns the status of the answer, and whether the service
// speaks TLS. The end of conn ends it at any point.
func (p *httpProber) exchange(conn net.Conn, u *url.URL, server netip.AddrPort, two bool) (status int, spoke bool, err error) {
	if p.tls != nil {
		config := p.tls.Clone()
		config.ServerName = cmp.Or(p.host, server.Addr().String())
		if two {
			config.NextProtos = []string{"h2"}
		}
		secure := tls.Client(conn, config)
		if err := secure.Handshake(); err != nil {
			var refused *net.OpError // crypto/tls says so of an alert
			return 0, errors.As(err, &refused) && refused.Op == "remote error", err
		}
		defer secure.Close() // says goodbye; conn ends it, too
		if conn = secure; two && secure.ConnectionState().NegotiatedProtocol != "h2" {
			return 0, true, errNoTwo
		}
	}
	limited := &io.LimitedReader{R: conn, N: maxRead}
	if two {
		status, err = askTwo(struct {
			io.Reader
			io.Writer
		}{limited, conn}, cmp.Or(p.named, u.Host), u.RequestURI())
	} else {
		status, err = askOne(limited, conn, cmp.Or(p.named, u.Host), u.RequestURI())
	}
	switch {
	case err != nil && limited.N <= 0:
		err = fmt.Errorf("no answer within %d bytes", maxRead)
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		err = errors.New("closed without an answer")
	}
	return status, p.tls != nil, err
}

// askOne asks for a path in HTTP/1.1 and returns the status of the answer.
func askOne(r io.Reader, w io.Writer, host, path string) (int, error) {
	// One path, and a connection that is not kept (RFC 9112 sections 3 and 9.6).
	_, err := fmt.Fprintf(w, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: "+userAgent+"\r\nConnection: close\r\n\r\n", path, host)
	if err != nil {
		return 0, err
	}
	for lines := textproto.NewReader(bufio.NewReader(r)); ; {
		status, err := readStatus(lines)
		if err != nil || !interim(status) {
			return status, err
		}
	}
}

// interim tells a status after which another follows (RFC 9110 section 15.2): all that
// begin with 1 but for the switch to another protocol.
func interim(status int) bool { return status < 200 && status != 101 }

// readStatus reads the status line of an answer (RFC 9112 section 4). Of an interim one it
// reads the header as well, which ends with an empty line; what else an answer is like, and
// whether it ends, is none of the check's business.
func readStatus(lines *textproto.Reader) (status int, err error) {
	line, err := lines.ReadLine()
	if err != nil {
		return 0, err
	}
	version, rest, _ := strings.Cut(line, " ")
	code, _, _ := strings.Cut(strings.TrimLeft(rest, " "), " ")
	status, err = strconv.Atoi(code)
	if !strings.HasPrefix(version, "HTTP/") || len(code) != 3 || err != nil || status < 100 {
		return 0, fmt.Errorf("malformed HTTP response %q", line)
	}
	for interim(status) && line != "" && err == nil {
		line, err = lines.ReadLine()
	}
	return status, err
}

// httpCause shortens what the certificate check says to its last part.
func httpCause(err error) error {
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return certificate
	}
	return cause(err)
}
