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
}

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

func (p *httpProber) probe(ctx context.Context) (string, error) {
	return p.check(ctx, p.ask)
}

// ask asks on a connection of its own: a kept one would not show that a service no
// longer accepts.
func (p *httpProber) ask(ctx context.Context, conn net.Conn, server, _ netip.AddrPort) error {
	u := *p.path
	u.Scheme, u.Host = p.scheme, server.String()
	status, err := p.exchange(conn, &u, server)
	if ended := ctx.Err(); err != nil && ended != nil {
		err = ended // which closed the connection
	}
	if err != nil {
		return fmt.Errorf("cannot get %s: %w", &u, httpCause(err))
	}
	if !p.expect.Contains(status) {
		return fmt.Errorf("%s answered with status %d", &u, status)
	}
	return nil
}

// exchange sends the request and returns the status of the answer. The end of conn
// ends it at any point.
func (p *httpProber) exchange(conn net.Conn, u *url.URL, server netip.AddrPort) (int, error) {
	if p.tls != nil {
		config := p.tls.Clone()
		config.ServerName = cmp.Or(p.host, server.Addr().String())
		secure := tls.Client(conn, config)
		if err := secure.Handshake(); err != nil {
			return 0, err
		}
		defer secure.Close() // says goodbye; conn ends it, too
		conn = secure
	}
	// One path, and a connection that is not kept (RFC 9112 sections 3 and 9.6).
	_, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: keepalived-charm\r\nConnection: close\r\n\r\n",
		u.RequestURI(), cmp.Or(p.named, u.Host))
	if err != nil {
		return 0, err
	}
	limited := &io.LimitedReader{R: conn, N: maxRead}
	for lines := textproto.NewReader(bufio.NewReader(limited)); ; {
		status, err := readStatus(lines)
		switch {
		case err != nil && limited.N <= 0:
			return 0, fmt.Errorf("no answer within %d bytes", maxRead)
		case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
			return 0, errors.New("closed without an answer")
		case err != nil:
			return 0, err
		case !interim(status):
			return status, nil
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
