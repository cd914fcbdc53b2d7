package checker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"

	"keepalived-charm/internal/healthcheck"
)

// maxHeader bounds what a check reads of an answer; the body is not read.
const maxHeader = 64 << 10

// httpProber asks for one path and looks at the status of the answer.
type httpProber struct {
	endpoints []netip.AddrPort
	scheme    string
	path      *url.URL
	host      string
	expect    healthcheck.StatusRange
	transport *http.Transport
}

// newHTTPProber reads the CA.
func newHTTPProber(c healthcheck.Check, endpoints []netip.AddrPort) (*httpProber, error) {
	asked := c.Path
	if asked == "" {
		asked = "/"
	}
	path, err := url.ParseRequestURI(asked)
	if err != nil {
		return nil, fmt.Errorf("check path %q is not a URL path", c.Path)
	}
	p := &httpProber{
		endpoints: endpoints,
		scheme:    string(c.Type),
		path:      path,
		host:      c.Host,
		expect:    c.ExpectStatus,
		// Every check makes its own connection: a kept one would not show that a
		// service no longer accepts. No proxy: the target is what is checked.
		transport: &http.Transport{
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: maxHeader,
			DialContext:            (&net.Dialer{KeepAlive: -1}).DialContext,
		},
	}
	if c.Type == healthcheck.HTTPS {
		p.transport.TLSClientConfig, err = tlsConfig(c)
	}
	return p, err
}

// tlsConfig verifies nothing unless a CA is given: a check asks whether the
// service works here, not who it is.
func tlsConfig(c healthcheck.Check) (*tls.Config, error) {
	config := &tls.Config{ServerName: c.Host, InsecureSkipVerify: c.CA == ""}
	if c.CA == "" {
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

func (p *httpProber) probe(ctx context.Context) error {
	return anyEndpoint(ctx, p.endpoints, p.probeOne)
}

func (p *httpProber) probeOne(ctx context.Context, at netip.AddrPort) error {
	u := *p.path
	u.Scheme, u.Host = p.scheme, at.String()
	request := (&http.Request{
		Method: http.MethodGet,
		URL:    &u,
		Host:   p.host,
		Header: http.Header{"User-Agent": {"keepalived-charm"}},
	}).WithContext(ctx)
	// RoundTrip follows no redirect.
	answer, err := p.transport.RoundTrip(request)
	if err != nil {
		return fmt.Errorf("cannot get %s: %w", &u, httpCause(err))
	}
	answer.Body.Close()
	if !p.expect.Contains(answer.StatusCode) {
		return fmt.Errorf("%s answered with status %d", &u, answer.StatusCode)
	}
	return nil
}

// httpCause shortens what the certificate check says to its last part.
func httpCause(err error) error {
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &certificate) {
		return certificate
	}
	return cause(err)
}
