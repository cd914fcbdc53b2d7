package checker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/healthcheck"
)

// aim is where a check goes. A virtual IP of this unit is checked on this machine: by
// a connection while the address is here, and while it is elsewhere by asking the
// kernel whether a process listens there, as a connection would reach the holder's
// service and say nothing about this unit's.
type aim struct {
	// endpoints are tried in turn.
	endpoints []netip.AddrPort
	// fallback are places on virtual IPs that are tried when nobody listens on
	// loopback: a service may listen on nothing else.
	fallback []netip.AddrPort
	virtual  map[netip.Addr]bool
	diag     *sockDiag // nil: not available

	mu sync.Mutex
	// failures are the virtual IPs where the last connection failed.
	failures map[netip.AddrPort]failure
}

// failure is what came of a connection to a process that listens on a virtual IP.
type failure struct {
	err   error
	when  time.Time
	inode uint32 // of the listener
}

// listenerDoubt is how long a listener on a virtual IP that is elsewhere counts for
// nothing after a connection to it failed: a service that hangs, or answers 503 to
// everybody, would be healthy again as soon as the address has left.
const listenerDoubt = time.Minute

// newAim returns the aim of a check whose target is an address; virtual are the unit's
// virtual IPs.
func newAim(c healthcheck.Check, virtual []netip.Addr) (*aim, error) {
	endpoints, err := c.Endpoints()
	if err != nil {
		return nil, err
	}
	a := &aim{endpoints: endpoints, virtual: map[netip.Addr]bool{}, failures: map[netip.AddrPort]failure{}}
	for _, v := range virtual {
		a.virtual[v] = true
		// A link-local address says nothing without an interface.
		if strings.HasPrefix(c.Target, "localhost:") && !v.IsLinkLocalUnicast() {
			a.fallback = append(a.fallback, netip.AddrPortFrom(v, endpoints[0].Port()))
		}
	}
	// Without sock_diag a connection that the kernel made is all there is to see.
	if d, err := newSockDiag(); err == nil {
		a.diag = d
	}
	return a, nil
}

// sees tells whether the kernel can be asked who listens.
func (a *aim) sees() bool { return a.diag != nil && a.diag.works() }

// errElsewhere says that a virtual IP is not on this machine.
var errElsewhere = errors.New("the address is elsewhere")

// try is what a check does with its connection, whose end here has the address own.
// The connection is closed when ctx ends.
type try func(ctx context.Context, conn net.Conn, server, own netip.AddrPort) error

// check tries the endpoints until one works. If none does it returns the error of the
// first where somebody listens, else of the first. What it found is empty for a
// connection that did as the check wants.
func (a *aim) check(ctx context.Context, try try) (found string, err error) {
	var first error
	for _, at := range a.endpoints {
		found, err := a.one(ctx, at, try)
		if err == nil {
			return found, nil
		}
		if first == nil || nobody(first) && !nobody(err) {
			first = err
		}
		if ctx.Err() != nil {
			return "", first
		}
	}
	if !nobody(first) || len(a.fallback) == 0 {
		return "", first
	}
	return a.fallBack(ctx, try, first)
}

// fallBack tries the virtual IPs. One that is here and listened on decides: it shows more than a
// listener.
func (a *aim) fallBack(ctx context.Context, try try, first error) (found string, err error) {
	here, _ := readAddresses() // without an answer all are elsewhere
	var elsewhere []netip.AddrPort
	for _, at := range a.fallback {
		if !here.has(at.Addr()) {
			elsewhere = append(elsewhere, at)
			continue
		}
		if _, err := a.listens(at); a.sees() && nobody(err) {
			continue // cheaper than a connection for each of hundreds
		}
		if found, err := a.one(ctx, at, try); err == nil || !nobody(err) {
			return found, err
		}
	}
	for _, at := range elsewhere {
		if found, err := a.listens(at); err == nil || !nobody(err) && a.sees() {
			return found, err
		}
	}
	return "", first
}

// nobody tells an error that says that nobody listens there; among the reasons is a
// machine without the address family.
func nobody(err error) bool {
	return slices.ContainsFunc([]error{syscall.ECONNREFUSED, syscall.EADDRNOTAVAIL, syscall.ENETUNREACH, syscall.EAFNOSUPPORT, errNoSocket},
		func(e error) bool { return errors.Is(err, e) })
}

// one tries one place. An address can move at any moment: what was seen of one that is
// elsewhere before or after does not count.
func (a *aim) one(ctx context.Context, at netip.AddrPort, try try) (found string, err error) {
	if !a.virtual[at.Addr()] {
		return "", a.connect(ctx, at, try)
	}
	if isHere(at.Addr()) {
		err := a.connect(ctx, at, try)
		if err == nil || !errors.Is(err, errElsewhere) && isHere(at.Addr()) {
			a.remember(ctx, at, err)
			return "", err
		}
	}
	return a.listens(at)
}

// remember takes in what came of a connection to a virtual IP. A check that was given
// up, or was too late because this process did not run, says nothing.
func (a *aim) remember(ctx context.Context, at netip.AddrPort, err error) {
	end, limited := ctx.Deadline()
	if errors.Is(ctx.Err(), context.Canceled) || limited && time.Since(end) > starvedAfter {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.failures, at)
	if err == nil || nobody(err) || a.diag == nil {
		return
	}
	if s, unknown := a.diag.listener(at); unknown == nil {
		a.failures[at] = failure{err, time.Now(), s.inode}
	}
}

// doubt is why a listener counts for nothing, if so.
func (a *aim) doubt(at netip.AddrPort, s tcpSocket) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.failures[at]
	if f.err == nil || f.inode != s.inode || time.Since(f.when) >= listenerDoubt {
		return nil
	}
	return fmt.Errorf("%v when the address was last here", f.err)
}

// connect does a check with a connection, and ends all that it began.
func (a *aim) connect(ctx context.Context, at netip.AddrPort, try try) error {
	// No connection is kept alive: ours last milliseconds.
	dialer := net.Dialer{KeepAlive: -1}
	conn, err := dialer.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return fmt.Errorf("cannot connect to %s: %w", at, cause(err))
	}
	// An ordinary close: the service reads an end of file, where a reset would
	// be an error in its log. It costs one TIME_WAIT entry for a minute, and
	// there is one connection per interval.
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	own := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	own = netip.AddrPortFrom(own.Addr().Unmap(), own.Port())
	if a.virtual[at.Addr()] && !a.stayed(at, own) {
		return errElsewhere
	}
	return try(ctx, conn, at, own)
}

// stayed tells whether a connection to a virtual IP stayed on this machine: the kernel
// picks an address as the source of what goes to itself, but for a secondary one the
// primary one; the other end is then here as well.
func (a *aim) stayed(server, own netip.AddrPort) bool {
	if own.Addr() == server.Addr() {
		return true
	}
	if !a.sees() {
		return isHere(server.Addr()) && isHere(own.Addr())
	}
	s, err := a.diag.find(server, own)
	return err == nil && s.state != tcpListen
}

// isHere tells whether the kernel delivers to this machine what is sent to an address:
// an IPv6 address is there a moment before its route is.
func isHere(a netip.Addr) bool {
	routes, err := netlink.RouteGet(a.AsSlice())
	return err == nil && len(routes) > 0 && routes[0].Type == unix.RTN_LOCAL
}

// listens tells whether a process on this machine listens on a virtual IP that is
// elsewhere, and takes connections: more cannot be asked without the address.
func (a *aim) listens(at netip.AddrPort) (found string, err error) {
	if !a.sees() {
		return "", fmt.Errorf("cannot tell who listens on %s: it is elsewhere, and this kernel lacks tcp_diag", at)
	}
	s, err := a.diag.listener(at)
	switch {
	case errors.Is(err, errNoSocket):
		return "", noListener{at}
	case err != nil:
		return "", fmt.Errorf("cannot tell who listens on %s: %w", at, err)
	case s.queued > s.backlog:
		return "", fmt.Errorf("the process on this machine that listens on %s takes no connections", at)
	}
	if err := a.doubt(at, s); err != nil {
		return "", err
	}
	return fmt.Sprintf("a process on this machine listens on %s, the address is elsewhere", at), nil
}

// noListener says that nobody listens on a virtual IP that is elsewhere.
type noListener struct{ at netip.AddrPort }

func (n noListener) Error() string { return "no process on this machine listens on " + n.at.String() }

func (noListener) Unwrap() error { return errNoSocket }
