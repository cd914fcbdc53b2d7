package checker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/poll"
)

// deadlines counts the checks that timed out by themselves: those of a round that is over are ended.
type deadlines struct {
	prober
	timedOut atomic.Int32
}

func (c *deadlines) probe(ctx context.Context) (string, error) {
	found, err := c.prober.probe(ctx)
	if errors.Is(err, errTimeout) {
		c.timedOut.Add(1)
	}
	return found, err
}

// impatient is how long a client waits that soon gives up.
const impatient = 100 * time.Millisecond

// crowd are n clients of a service that come again and again until the test ends, and give up and
// reset after a while.
func crowd(t *testing.T, at netip.AddrPort, n int, patience time.Duration) {
	for range n {
		go func() {
			for t.Context().Err() == nil {
				conn, err := net.DialTimeout("tcp", at.String(), patience)
				if err == nil {
					conn.SetReadDeadline(time.Now().Add(patience))
					conn.Read(make([]byte, 1))
					conn.(*net.TCPConn).SetLinger(0)
					conn.Close()
				}
				time.Sleep(10 * time.Millisecond)
			}
		}()
	}
}

// stop stops a process and waits until it has.
func stop(t *testing.T, process *os.Process) {
	require.NoError(t, process.Signal(syscall.SIGSTOP))
	var state syscall.WaitStatus
	_, err := syscall.Wait4(process.Pid, &state, syscall.WUNTRACED, nil)
	require.NoError(t, err)
	require.True(t, state.Stopped())
}

// watched runs the checker's loop on a service, which works at first, while clients come.
func watched(t *testing.T, at netip.AddrPort, timeout time.Duration, fall int) (checks *deadlines, says func() string) {
	c := localConfig(t)
	// Only what the kernel tells of the listener is in time.
	c.Check = healthcheck.Check{Type: healthcheck.TCP, Target: at.String(), Interval: 60 * healthcheck.DefaultInterval, Timeout: healthcheck.Duration(timeout), Fall: fall, Rise: 1}
	l := newTestLoopOf(t, c.Check)
	checks = &deadlines{prober: l.prober}
	l.prober = checks
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return checks, func() string {
		s, err := ReadStatus(l.config.StatusFile)
		if err != nil {
			return err.Error()
		}
		return s.Verdict
	}
}

// await waits for a verdict.
func await(t *testing.T, says func() string, verdict string) {
	t.Helper()
	poll.Until(t, func() bool { return says() == verdict }, 30*time.Second, 5*time.Millisecond)
}

// TestWhereNobodyTakesOneCheckIsEnough of those that run at a time: the others wait behind it.
func TestWhereNobodyTakesOneCheckIsEnough(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		at           string
		fall, checks int
	}{{loopbacks[0], 3, 1}, {loopbacks[1], 3, 1}, {loopbacks[0], 20, 3}} {
		t.Run(fmt.Sprintf("stopped at %s, fall=%d", row.at, row.fall), func(t *testing.T) {
			t.Parallel()
			process, target := child(t, row.at)
			checks, says := watched(t, target, 2*time.Second, row.fall)
			await(t, says, "healthy")
			stop(t, process)
			crowd(t, target, 3, impatient)
			await(t, says, "sick")
			require.EqualValues(t, row.checks, checks.timedOut.Load())
		})
	}
	for _, at := range loopbacks {
		t.Run("its backlog full, at "+at, func(t *testing.T) {
			t.Parallel()
			l, err := net.Listen("tcp", at)
			require.NoError(t, err)
			defer l.Close()
			raw, err := l.(*net.TCPListener).SyscallConn()
			require.NoError(t, err)
			require.NoError(t, raw.Control(func(fd uintptr) { err = unix.Listen(int(fd), 1) }))
			require.NoError(t, err)
			hangs := make(chan struct{})
			go func() {
				for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
					conn.Close()
					select {
					case <-hangs:
						return
					default:
					}
				}
			}()
			checks, says := watched(t, addrOf(l), 2*time.Second, 3)
			await(t, says, "healthy")
			close(hangs)
			crowd(t, addrOf(l), 5, impatient)
			await(t, says, "sick")
			require.EqualValues(t, 1, checks.timedOut.Load())
		})
	}
}

// TestAServiceAtItsConnectionLimitDoesNotHang: it has as many connections as it may, takes another
// when it ends one, and a check waits in its queue longer than the timeout. It takes all failures
// that it always takes.
func TestAServiceAtItsConnectionLimitDoesNotHang(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	limited := make(chan struct{})
	go func() {
		var has []net.Conn
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			select {
			case <-limited:
			default:
				conn.Close()
				continue
			}
			if has = append(has, conn); len(has) == 4 {
				time.Sleep(300 * time.Millisecond)
				has[0].Close()
				has = has[1:]
			}
		}
		for _, conn := range has {
			conn.Close()
		}
	}()
	checks, says := watched(t, addrOf(l), time.Second, 3)
	await(t, says, "healthy")
	close(limited)
	crowd(t, addrOf(l), 12, time.Minute)
	await(t, says, "sick")
	require.GreaterOrEqual(t, checks.timedOut.Load(), int32(3))
}

// TestAPauseShorterThanTheTimeoutIsNoFailure whoever waits meanwhile.
func TestAPauseShorterThanTheTimeoutIsNoFailure(t *testing.T) {
	t.Parallel()
	process, target := child(t, "127.0.0.1:0")
	checks, says := watched(t, target, 3*time.Second, 3)
	await(t, says, "healthy")
	crowd(t, target, 3, impatient)
	for range 2 {
		stop(t, process)
		time.Sleep(1500 * time.Millisecond)
		require.NoError(t, process.Signal(syscall.SIGCONT))
		time.Sleep(500 * time.Millisecond)
	}
	require.Equal(t, "healthy", says())
	require.Zero(t, checks.timedOut.Load())
}

// TestWhoTakesIsToldWhereOneListens: connections that wait do not count, and of two sockets that
// share an address nothing is told.
func TestWhoTakesIsToldWhereOneListens(t *testing.T) {
	d, err := newSockDiag()
	require.NoError(t, err)
	defer d.close()
	for _, at := range append(loopbacks, "[::]:0") {
		l, err := net.Listen("tcp", at)
		require.NoError(t, err)
		defer l.Close()
		families := []string{"tcp6"}
		if addrOf(l).Addr().Unmap().Is4() || addrOf(l).Addr().IsUnspecified() {
			families = append(families, "tcp4")
		}
		s, err := d.listener(netip.AddrPortFrom(l.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap(), addrOf(l).Port()))
		require.NoError(t, err)
		ask := func() connections {
			has, err := d.taken(s.family, addrOf(l).Port())
			require.NoError(t, err)
			return has
		}
		require.Empty(t, ask())
		dial := func(family string) net.Conn {
			host := "127.0.0.1"
			if family == "tcp6" {
				host = "::1"
			}
			conn, err := net.Dial(family, netip.AddrPortFrom(netip.MustParseAddr(host), addrOf(l).Port()).String())
			require.NoError(t, err)
			t.Cleanup(func() { conn.Close() })
			return conn
		}
		family := families[len(families)-1]
		if addrOf(l).Addr() == netip.IPv6Loopback() {
			family = "tcp6"
		}
		dial(family)
		dial(family)
		require.Empty(t, ask(), "both wait")
		first, err := l.Accept()
		require.NoError(t, err)
		defer first.Close()
		one := ask()
		require.Len(t, one, 1)
		second, err := l.Accept()
		require.NoError(t, err)
		defer second.Close()
		both := ask()
		require.Len(t, both, 2)
		require.True(t, one.within(both))
		require.False(t, both.within(one))
	}
	reuse := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		ctl := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(ctl, err)
	}}
	l, err := reuse.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	other, err := reuse.Listen(t.Context(), "tcp4", l.Addr().String())
	require.NoError(t, err)
	defer other.Close()
	_, err = d.taken(unix.AF_INET, addrOf(l).Port())
	require.ErrorIs(t, err, errManyListeners)
	_, err = d.taken(unix.AF_INET, 1)
	require.NoError(t, err)
}
