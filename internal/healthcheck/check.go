package healthcheck

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"keepalived-charm/internal/plain"
)

// Type is a way to tell whether the service works.
type Type string

// The ways to check.
const (
	// TCP: a process accepts a connection to the target.
	TCP Type = "tcp"
	// HTTP and HTTPS: the target answers a GET with an expected status.
	HTTP  Type = "http"
	HTTPS Type = "https"
	// Unit: a systemd unit is active.
	Unit Type = "unit"
	// None: the service counts as healthy.
	None Type = "none"
)

// Check says what is checked, and how.
type Check struct {
	Type Type `json:"type"`
	// Target is ADDRESS:PORT for tcp, http and https, where the word localhost
	// stands for 127.0.0.1, if that fails ::1, and where nothing listens on either
	// the virtual IPs; a unit's name for unit; empty for none.
	Target string `json:"target,omitempty"`
	// Path is what http and https ask for, with its query; empty means "/".
	Path string `json:"path,omitempty"`
	// Host is the name http and https send (Host header, TLS server name) and
	// the one a certificate is verified for; empty means the target.
	Host string `json:"host,omitempty"`
	// ExpectStatus bounds the status of a good answer; zero means 200-399.
	ExpectStatus StatusRange `json:"expect_status,omitzero"`
	// CA is a PEM file of certificates that https trusts; empty means that no
	// certificate is verified.
	CA string `json:"ca,omitempty"`
	// Interval parts the starts of two checks, 100 ms to 1 h.
	Interval Duration `json:"interval,omitzero"`
	// Timeout fails a check that lasts longer, 10 ms to 1 min.
	Timeout Duration `json:"timeout,omitzero"`
	// Fall is how many failures in a row make a service sick, 1 to 100.
	Fall int `json:"fall,omitempty"`
	// Rise is how many passes in a row make a sick service healthy, 1 to 100.
	Rise int `json:"rise,omitempty"`
}

// The values that a check gets from the charm when nobody chose others.
const (
	DefaultInterval = Duration(time.Second)
	DefaultTimeout  = Duration(time.Second)
	DefaultFall     = 3
	DefaultRise     = 2
)

// StatusRange bounds an HTTP status, both ends included (RFC 9110 section 15:
// 100 to 599). It is written as "200-399" or "200".
type StatusRange struct {
	Min, Max int
}

// MarshalText writes one number for a range of one.
func (r StatusRange) MarshalText() ([]byte, error) {
	if r.Min == r.Max {
		return []byte(strconv.Itoa(r.Min)), nil
	}
	return fmt.Appendf(nil, "%d-%d", r.Min, r.Max), nil
}

// UnmarshalText reads "200-399" or "200".
func (r *StatusRange) UnmarshalText(text []byte) error {
	low, high, isRange := strings.Cut(string(text), "-")
	if !isRange {
		high = low
	}
	first, err1 := strconv.ParseUint(low, 10, 16)
	last, err2 := strconv.ParseUint(high, 10, 16)
	if err1 != nil || err2 != nil || first < 100 || last > 599 || first > last {
		return fmt.Errorf("%q is not an HTTP status such as 200 or 200-399", text)
	}
	*r = StatusRange{Min: int(first), Max: int(last)}
	return nil
}

// Contains tells whether status is within the range; the zero range is 200-399.
func (r StatusRange) Contains(status int) bool {
	if r == (StatusRange{}) {
		r = StatusRange{Min: 200, Max: 399}
	}
	return status >= r.Min && status <= r.Max
}

// Lengths in bytes: systemd.unit(5) and RFC 1035 agree on 255, the path's is ours.
const (
	maxName = 255
	maxPath = 1024
)

// unitTypes are the types of systemd units that have a meaningful active state.
var unitTypes = []string{"service", "socket", "target", "mount", "path", "timer", "slice", "scope"}

// ValidUnit tells whether Target is the name of a systemd unit that can be active: a
// template, with nothing behind its "@", cannot (systemd.unit(5)).
func (c Check) ValidUnit() bool {
	dot, at := strings.LastIndexByte(c.Target, '.'), strings.IndexByte(c.Target, '@')
	return dot > 0 && at != 0 && at != dot-1 && plain.Word(c.Target, maxName, `:_.\@-`) && slices.Contains(unitTypes, c.Target[dot+1:])
}

// ValidPath tells whether Path is empty or a path with an optional query, in the
// characters of RFC 3986, that the checker can ask for.
func (c Check) ValidPath() bool {
	if c.Path == "" {
		return true
	}
	_, err := url.ParseRequestURI(c.Path)
	return err == nil && c.Path[0] == '/' && plain.Word(c.Path, maxPath, "._~:/?@!$&'()*+,;=%[]-")
}

// ValidHost tells whether Host is empty, a DNS name or an address, without a port.
func (c Check) ValidHost() bool {
	a, err := netip.ParseAddr(c.Host)
	return c.Host == "" || err == nil && a.Zone() == "" || plain.Hostname(c.Host)
}

func (c Check) validate() error {
	switch c.Type {
	case None:
		if c != (Check{Type: None}) {
			return errors.New("a check of type none takes no settings")
		}
		return nil
	case Unit:
		if !c.ValidUnit() {
			return fmt.Errorf("check target %q is not the name of a systemd unit", c.Target)
		}
	case TCP, HTTP, HTTPS:
		if _, err := c.Endpoints(); err != nil {
			return err
		}
	default:
		return fmt.Errorf("check type %q is not one of tcp, http, https, unit, none", c.Type)
	}
	if err := c.validateRequest(); err != nil {
		return err
	}
	return c.validateTiming()
}

// validateRequest checks what only http and https have.
func (c Check) validateRequest() error {
	web := c.Type == HTTP || c.Type == HTTPS
	if !web && (c.Path != "" || c.Host != "" || c.ExpectStatus != StatusRange{}) {
		return fmt.Errorf("a check of type %s takes no path, host or status", c.Type)
	}
	switch {
	case !c.ValidPath():
		return fmt.Errorf("check path %q is not a URL path", c.Path)
	case !c.ValidHost():
		return fmt.Errorf("check host %q is not a host name", c.Host)
	case c.CA != "" && c.Type != HTTPS:
		return fmt.Errorf("a check of type %s takes no CA", c.Type)
	case c.CA != "" && !plainPath(c.CA):
		return fmt.Errorf("check CA %q is not an absolute path", c.CA)
	}
	if s := c.ExpectStatus; s != (StatusRange{}) && (s.Min < 100 || s.Max > 599 || s.Min > s.Max) {
		return fmt.Errorf("expected status %d-%d is not within 100-599", s.Min, s.Max)
	}
	return nil
}

func (c Check) validateTiming() error {
	interval, timeout := time.Duration(c.Interval), time.Duration(c.Timeout)
	switch {
	case interval < 100*time.Millisecond || interval > time.Hour:
		return fmt.Errorf("check interval %s is not within 100ms-1h", interval)
	case timeout < 10*time.Millisecond || timeout > time.Minute:
		return fmt.Errorf("check timeout %s is not within 10ms-1m", timeout)
	case c.Fall < 1 || c.Fall > 100:
		return fmt.Errorf("check fall %d is not within 1-100", c.Fall)
	case c.Rise < 1 || c.Rise > 100:
		return fmt.Errorf("check rise %d is not within 1-100", c.Rise)
	}
	return nil
}

// Endpoints returns where Target says to connect, in the order to try.
// Names other than localhost are refused: a name server that fails would make
// every unit sick at once. So are addresses that no connection can go to, among them
// those of IPv6 that mean nothing without an interface.
func (c Check) Endpoints() ([]netip.AddrPort, error) {
	target, local := strings.CutPrefix(c.Target, "localhost:")
	if local {
		target = "127.0.0.1:" + target
	}
	ap, err := netip.ParseAddrPort(target)
	a := ap.Addr()
	if err != nil || ap.Port() == 0 || a.IsUnspecified() || a.IsMulticast() || a == broadcast ||
		a.Is6() && a.IsLinkLocalUnicast() || a.Zone() != "" || a.Is4In6() {
		return nil, fmt.Errorf("check target %q is not ADDRESS:PORT", c.Target)
	}
	all := []netip.AddrPort{ap}
	if local {
		all = append(all, netip.AddrPortFrom(netip.IPv6Loopback(), ap.Port()))
	}
	return slices.Clip(all), nil
}

// broadcast is every machine's on the segment.
var broadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// String names the check in messages, such as "tcp 127.0.0.1:443".
func (c Check) String() string {
	return strings.TrimSpace(string(c.Type) + " " + c.Target)
}
