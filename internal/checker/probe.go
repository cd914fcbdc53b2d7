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
// the service works; found then tells what shows that, if it is not the ordinary
// answer.
type prober interface {
	probe(ctx context.Context) (found string, err error)
}

// newProber returns the prober for a check, nil for none. What needs privileges
// it reads now.
func newProber(c healthcheck.Config) (prober, error) {
	switch c.Check.Type {
	case healthcheck.None:
		return nil, nil
	case healthcheck.Unit:
		return &unitProber{unit: c.Check.Target}, nil
	}
	aim, err := newAim(c.Check, c.VirtualIPs())
	if err != nil {
		return nil, err
	}
	if c.Check.Type == healthcheck.TCP {
		return &tcpProber{aim}, nil
	}
	p, err := newHTTPProber(c.Check, aim)
	if err != nil && aim.diag != nil {
		aim.diag.close()
	}
	return p, err
}

// tcpProber connects, and for a service on this machine also sees that a process
// took the connection: the kernel completes a connection by itself as long as
// the backlog has room, also for a process that is stopped or stuck.
type tcpProber struct{ *aim }

func (p *tcpProber) probe(ctx context.Context) (string, error) {
	found, err := p.check(ctx, p.awaitAccept)
	if err == nil && !p.sees() {
		found = "the connection is made; whether the service takes it is not told, as this kernel lacks tcp_diag: one that hangs passes (healthcheck_type=http sees more)"
	}
	return found, err
}

// acceptPauses are the waits between looks at whether the connection was taken:
// a service does it in well under a millisecond unless it is busy.
var acceptPauses = [...]time.Duration{time.Millisecond, 5 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond}

// awaitAccept waits until a process has taken the server's end of our
// connection, or ctx ends.
func (p *tcpProber) awaitAccept(ctx context.Context, _ net.Conn, server, own netip.AddrPort) error {
	if !p.sees() {
		return nil
	}
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
// say (the server is another machine, the connection is translated to somewhere else,
// or the listener defers accepting until data comes), the answer is yes.
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
