package config

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"

	"keepalived-charm/internal/healthcheck"
)

// Check says how the service's health is found out.
type Check struct {
	// Check is complete but for the file of the CA.
	healthcheck.Check
	// CA holds the certificates that a check of type https trusts, as PEM; empty
	// means that none is verified.
	CA string
}

// setTarget comes after healthcheck_type in the table, which says what a target
// is. A host name is refused: a check must not depend on a name server.
func (o *Options) setTarget(s string) string {
	c := healthcheck.Check{Type: o.Check.Type, Target: strings.TrimSpace(s)}
	if c.Type == healthcheck.Unit {
		if !c.ValidUnit() {
			return "the name of a systemd unit such as haproxy.service while healthcheck_type is unit"
		}
		o.Check.Target = c.Target
		return ""
	}
	if c.Target == "" || c.Type == healthcheck.None && c.ValidUnit() {
		return ""
	}
	if _, err := c.Endpoints(); err != nil {
		return "ADDRESS:PORT such as 127.0.0.1:443, [::1]:443 or localhost:443, or empty"
	}
	o.Check.Target = c.Target
	return ""
}

func (o *Options) setCheckPath(s string) string {
	s = strings.TrimSpace(s)
	if c := (healthcheck.Check{Path: s}); !c.ValidPath() {
		return `a path with an optional query, such as "/" or "/healthz?full=1"`
	}
	o.Check.Path = s
	return ""
}

func (o *Options) setCheckHost(s string) string {
	s = strings.TrimSpace(s)
	if c := (healthcheck.Check{Host: s}); !c.ValidHost() {
		return "a host name such as www.example.com, or empty"
	}
	o.Check.Host = s
	return ""
}

func (o *Options) setCheckStatus(s string) string {
	if o.Check.ExpectStatus.UnmarshalText([]byte(strings.TrimSpace(s))) != nil {
		return "an HTTP status or a range such as 200 or 200-399, within 100-599"
	}
	return ""
}

// maxCA bounds the option in bytes: some thirty certificates.
const maxCA = 64 << 10

// setCheckCA takes PEM certificates, with any text around them, and keeps nothing
// but the certificates.
func (o *Options) setCheckCA(s string) string {
	const must = "certificates in PEM (BEGIN CERTIFICATE), or empty"
	if len(s) > maxCA {
		return fmt.Sprintf("at most %d bytes", maxCA)
	}
	var kept bytes.Buffer
	for rest := []byte(s); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return must + ", a block of another type is among them"
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return must + ", one of them cannot be read"
		}
		if err := pem.Encode(&kept, &pem.Block{Type: block.Type, Bytes: block.Bytes}); err != nil {
			return must
		}
	}
	if kept.Len() == 0 && strings.TrimSpace(s) != "" {
		return must
	}
	o.Check.CA = kept.String()
	return ""
}

// complete gives the check its default target and takes away what its type has
// no use for: such options are set for another type.
func (c *Check) complete(port int) {
	switch c.Type {
	case healthcheck.None:
		*c = Check{Check: healthcheck.Check{Type: c.Type}}
		return
	case healthcheck.TCP, healthcheck.HTTP, healthcheck.HTTPS:
		if c.Target == "" {
			c.Target = fmt.Sprintf("localhost:%d", port)
		}
	}
	if c.Type != healthcheck.HTTP && c.Type != healthcheck.HTTPS {
		c.Path, c.Host, c.ExpectStatus = "", "", healthcheck.StatusRange{}
	}
	if c.Type != healthcheck.HTTPS {
		c.CA = ""
	}
}
