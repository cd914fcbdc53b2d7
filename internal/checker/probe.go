package checker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"keepalived-charm/internal/healthcheck"
)

// prober carries out checks, several at a time if need be. A nil error means that
// the service works.
type prober interface {
	probe(ctx context.Context) error
}

// newProber returns the prober for a check, nil for none. What needs privileges
// it reads now.
func newProber(c healthcheck.Check) (prober, error) {
	switch c.Type {
	case healthcheck.None:
		return nil, nil
	case healthcheck.Unit:
		return &unitProber{unit: c.Target}, nil
	}
	endpoints, err := c.Endpoints()
	if err != nil {
		return nil, err
	}
	if c.Type != healthcheck.TCP {
		return newHTTPProber(c, endpoints)
	}
	// No connection is kept alive: ours last milliseconds.
	p := &tcpProber{endpoints: endpoints, dialer: net.Dialer{KeepAlive: -1}}
	// Without sock_diag a connection that the kernel made is all there is to see.
	if d, err := newSockDiag(); err == nil {
		p.diag = d
	}
	return p, nil
}

// anyEndpoint tries the endpoints in turn until one works. If none does it returns
// the error of the first where somebody listens, else of the first.
func anyEndpoint(ctx context.Context, all []netip.AddrPort, try func(context.Context, netip.AddrPort) error) error {
	var first error
	for _, at := range all {
		err := try(ctx, at)
		if err == nil {
			return nil
		}
		if first == nil || errors.Is(first, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ECONNREFUSED) {
			first = err
		}
		if ctx.Err() != nil {
			break
		}
	}
	return first
}

// tcpProber connects, and for a service on this machine also sees that a process
// took the connection: the kernel completes a connection by itself as long as
// the backlog has room, also for a process that is stopped or stuck.
type tcpProber struct {
	endpoints []netip.AddrPort
	diag      *sockDiag // nil: not available
	dialer    net.Dialer
}

func (p *tcpProber) probe(ctx context.Context) error {
	return anyEndpoint(ctx, p.endpoints, p.probeOne)
}

func (p *tcpProber) probeOne(ctx context.Context, at netip.AddrPort) error {
	conn, err := p.dialer.DialContext(ctx, "tcp", at.String())
	if err != nil {
		return fmt.Errorf("cannot connect to %s: %w", at, cause(err))
	}
	// An ordinary close: the service reads an end of file, where a reset would
	// be an error in its log. It costs one TIME_WAIT entry for a minute, and
	// there is one connection per interval.
	defer conn.Close()
	own := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	own = netip.AddrPortFrom(own.Addr().Unmap(), own.Port())
	if p.diag == nil || !sameMachine(own.Addr(), at.Addr()) {
		return nil
	}
	return p.awaitAccept(ctx, at, own)
}

// sameMachine tells whether a connection between these addresses stays here: the
// kernel picks an own address as the source for itself.
func sameMachine(own, target netip.Addr) bool {
	return own == target || target.IsLoopback()
}

// acceptPauses are the waits between looks at whether the connection was taken:
// a service does it in well under a millisecond unless it is busy.
var acceptPauses = [...]time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond}

// awaitAccept waits until a process has taken the server's end of our
// connection, or ctx ends.
func (p *tcpProber) awaitAccept(ctx context.Context, server, own netip.AddrPort) error {
	for try := 0; !p.accepted(server, own); try++ {
		timer := time.NewTimer(acceptPauses[min(try, len(acceptPauses)-1)])
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("no process accepts connections to %s: %w", server, cause(ctx.Err()))
		}
	}
	return nil
}

// accepted tells whether a process has the server's end. Where the kernel cannot
// say (the connection is translated to somewhere else, or the listener defers
// accepting until data comes), the answer is yes.
func (p *tcpProber) accepted(server, own netip.AddrPort) bool {
	s, err := p.diag.find(server, own)
	if err != nil {
		return true
	}
	switch s.state {
	case tcpEstablished, tcpCloseWait:
		return s.inode != 0
	case tcpSynRecv:
		// Also the state of a connection that found the backlog full.
		l, err := p.diag.listener(server)
		return err != nil || l.queued <= l.backlog
	}
	return true
}

// cause returns the end of a chain of network errors, in the words of the
// system: what failed is in the sentence before it.
func cause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return errTimeout
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Timeout() {
		return errTimeout
	}
	return err
}

// errTimeout is the cause of a check that took too long.
var errTimeout = errors.New("timed out")
