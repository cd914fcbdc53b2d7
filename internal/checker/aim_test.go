package checker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
)

// The virtual IPs of these tests. Both are in the subnets of machine A and of B.
var (
	vip4 = netip.MustParseAddr("10.9.9.50")
	vip6 = netip.MustParseAddr("fd09::50")
)

// inMachine runs do on a thread of its own in a network namespace of its own.
func inMachine(do func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		ns, err := netns.New()
		if err == nil {
			defer ns.Close()
			err = do()
		}
		done <- err
	}()
	return <-done
}

// onMachineA runs do on machine A of two that are on one link. B has the virtual IPs,
// and services there on port 80 that accept and answer whatever they are asked.
func onMachineA(t *testing.T, do func(t *testing.T, b *arrivals)) {
	needs.Root(t)
	t.Parallel()
	there := &arrivals{from: map[string]bool{}}
	arranged, ended := make(chan int), make(chan struct{})
	defer close(ended)
	failed := make(chan error, 1)
	go func() {
		failed <- inMachine(func() error {
			err := up("lo")
			for _, add := range []func() error{
				func() error {
					return netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "b0"}, PeerName: "a0"})
				},
				func() error { l, _ := netlink.LinkByName("b0"); return netlink.LinkSetUp(l) },
				func() error { return own("b0", "10.9.9.2/24", "fd09::2/64", vip4.String()+"/32", vip6.String()+"/128") },
			} {
				if err == nil {
					err = add()
				}
			}
			for _, at := range []string{"10.9.9.50:80", "[fd09::50]:80"} {
				if err != nil {
					return err
				}
				var l net.Listener
				if l, err = net.Listen("tcp", at); err == nil {
					defer l.Close()
					go answer(counted{l, there})
				}
			}
			arranged <- unix.Gettid()
			<-ended
			return err
		})
	}()
	var b int
	select {
	case b = <-arranged:
	case err := <-failed:
		require.NoError(t, err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		namespace, err := netns.GetFromPath(fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), b))
		require.NoError(t, err)
		defer namespace.Close()
		here, err := netns.New()
		require.NoError(t, err)
		defer here.Close()
		require.NoError(t, up("lo"))
		other, err := netlink.NewHandleAt(namespace)
		require.NoError(t, err)
		defer other.Close()
		a0, err := other.LinkByName("a0")
		require.NoError(t, err)
		require.NoError(t, other.LinkSetNsFd(a0, int(here)))
		a0, err = netlink.LinkByName("a0")
		require.NoError(t, err)
		require.NoError(t, netlink.LinkSetUp(a0))
		require.NoError(t, own("a0", "10.9.9.1/24", "fd09::1/64"))
		for _, family := range []string{"ipv4", "ipv6"} {
			require.NoError(t, os.WriteFile("/proc/sys/net/"+family+"/ip_nonlocal_bind", []byte("1"), 0o644))
		}
		for _, at := range []string{"10.9.9.50:80", "[fd09::50]:80"} {
			// The link's carrier takes its time.
			conn, err := net.DialTimeout("tcp", at, time.Second)
			for end := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(end); {
				conn, err = net.DialTimeout("tcp", at, time.Second)
			}
			require.NoError(t, err, "B is reached")
			// What was given up before came before.
			poll.Until(t, func() bool { return there.have(conn.LocalAddr()) }, time.Minute, time.Millisecond)
			conn.Close()
		}
		do(t, there)
	}()
	<-done
}

// arrivals are the connections that B took, by where they come from.
type arrivals struct {
	mu   sync.Mutex
	from map[string]bool
}

func (a *arrivals) have(from net.Addr) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.from[from.String()]
}

func (a *arrivals) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.from)
}

type counted struct {
	net.Listener
	arrivals *arrivals
}

func (c counted) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.arrivals.mu.Lock()
		c.arrivals.from[conn.RemoteAddr().String()] = true
		c.arrivals.mu.Unlock()
	}
	return conn, err
}

// own adds addresses without waiting for duplicates.
func own(name string, prefixes ...string) error {
	link, err := netlink.LinkByName(name)
	for _, p := range prefixes {
		if err != nil {
			return err
		}
		var a *netlink.Addr
		if a, err = netlink.ParseAddr(p); err == nil {
			a.Flags = unix.IFA_F_NODAD
			err = netlink.AddrAdd(link, a)
		}
	}
	return err
}

// arrives adds a virtual IP to machine A.
func arrives(t *testing.T, prefix string) {
	require.NoError(t, own("a0", prefix))
	poll.Until(t, func() bool { return isHere(netip.MustParsePrefix(prefix).Addr()) }, 30*time.Second, time.Millisecond)
}

// answer answers whatever it is asked with the status in text, "200" if there is none.
func answer(l net.Listener, text ...string) {
	for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
		go func() {
			defer conn.Close()
			asked(conn)
			fmt.Fprintf(conn, "HTTP/1.1 %s x\r\n\r\n", strings.Join(append(text, "200")[:1], ""))
		}()
	}
}

// opened listens on machine A until the test ends, and answers.
func opened(t *testing.T, network, at string, text ...string) net.Listener {
	l := listens(t, network, at)
	e := ending{l, make(chan struct{})}
	t.Cleanup(func() { e.Close() })
	go func() {
		defer close(e.ended)
		answer(l, text...)
	}()
	return e
}

// listens listens. A program that another test starts has all that was open here between
// fork and exec, a listener that was closed meanwhile too.
func listens(t *testing.T, network, at string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, at)
	for end := time.Now().Add(20 * time.Second); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
		l, err = net.Listen(network, at)
	}
	require.NoError(t, err)
	return l
}

// ending is a listener that is gone for the kernel too once it is closed: it is kept for as
// long as an Accept has not returned.
type ending struct {
	net.Listener
	ended chan struct{}
}

func (e ending) Close() error {
	inode := inodeOf(e.Listener)
	err := e.Listener.Close()
	<-e.ended
	// A program that another test starts has it between fork and exec.
	for end := time.Now().Add(20 * time.Second); listed(inode) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	return err
}

// inodeOf is the number of a listener's socket; empty once it is closed.
func inodeOf(l net.Listener) string {
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		return ""
	}
	var is unix.Stat_t
	if raw.Control(func(fd uintptr) { err = unix.Fstat(int(fd), &is) }) != nil || err != nil {
		return ""
	}
	return fmt.Sprint(is.Ino)
}

// listed tells whether this thread's network has a TCP socket (proc_pid_net(5)).
func listed(inode string) bool {
	for _, file := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/thread-self/net/" + file)
		if inode != "" && err == nil && slices.Contains(strings.Fields(string(text)), inode) {
			return true
		}
	}
	return false
}

// hung is when a check of a service that answers at once counts as hung, on however busy
// a machine.
const hung = 10 * time.Second

// checked carries out one check for a unit with both virtual IPs.
func checked(t *testing.T, kind healthcheck.Type, target string) (string, error) {
	t.Helper()
	return checkedFor(t, hung, kind, target)
}

func checkedFor(t *testing.T, timeout time.Duration, kind healthcheck.Type, target string) (string, error) {
	t.Helper()
	p, err := newProber(aimed(kind, target))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	return p.probe(ctx)
}

// blindly is a check of type tcp where the kernel does not tell of sockets.
func blindly(t *testing.T, target string) (string, error) {
	t.Helper()
	p, err := newProber(aimed(healthcheck.TCP, target))
	require.NoError(t, err)
	blind := p.(*tcpProber).diag
	blind.tried.Do(func() {})
	blind.knows = false
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return p.probe(ctx)
}

func aimed(kind healthcheck.Type, target string) healthcheck.Config {
	return healthcheck.Config{
		Instances: []healthcheck.Instance{{Name: "VI_1", Interface: "lo", Addresses: []netip.Addr{netip.MustParseAddr("169.254.23.112"), vip4, vip6}}},
		Check:     healthcheck.Check{Type: kind, Target: target},
	}
}

var kinds = []healthcheck.Type{healthcheck.TCP, healthcheck.HTTP}

func TestAVirtualIPThatIsElsewhereIsCheckedHere(t *testing.T) {
	onMachineA(t, func(t *testing.T, b *arrivals) {
		for _, c := range []struct {
			network, at string
			found       bool
			vip         netip.Addr
		}{
			{"", "", false, vip4},
			{"", "", false, vip6},
			{"tcp4", "10.9.9.50:80", true, vip4},
			{"tcp6", "[fd09::50]:80", true, vip6},
			{"tcp4", "0.0.0.0:80", true, vip4},
			{"tcp4", "0.0.0.0:80", false, vip6},
			{"tcp", "[::]:80", true, vip4},
			{"tcp", "[::]:80", true, vip6},
			{"tcp6", "[::]:80", false, vip4}, // v6only
			{"tcp6", "[::]:80", true, vip6},
			{"tcp4", "10.9.9.50:81", false, vip4},
			{"tcp4", "10.9.9.1:80", false, vip4},
			{"tcp4", "127.0.0.1:80", false, vip4},
			{"tcp6", "[fd09::1]:80", false, vip6},
		} {
			before := b.count()
			target := netip.AddrPortFrom(c.vip, 80).String()
			var l net.Listener
			if c.at != "" {
				l = opened(t, c.network, c.at)
			}
			for _, kind := range kinds {
				found, err := checked(t, kind, target)
				if c.found {
					require.NoError(t, err, "%+v", c)
					require.Equal(t, "a process on this machine listens on "+target+", the address is elsewhere", found)
				} else {
					require.EqualError(t, err, "no process on this machine listens on "+target, "%+v", c)
				}
			}
			if l != nil {
				l.Close()
			}
			require.Equal(t, before, b.count(), "no packet is sent to another machine")
		}
	})
}

func TestAVirtualIPThatIsHereIsConnectedTo(t *testing.T) {
	onMachineA(t, func(t *testing.T, _ *arrivals) {
		// The second one is a secondary address: the kernel connects to it from the first.
		for n, prefix := range []string{"10.9.9.50/32", "10.9.9.50/24", "fd09::50/128"} {
			arrives(t, prefix)
			target := netip.AddrPortFrom(netip.MustParsePrefix(prefix).Addr(), 80).String()
			for _, kind := range kinds {
				_, err := checked(t, kind, target)
				require.EqualError(t, err, "cannot connect to "+target+": connection refused")
			}
			l := opened(t, "tcp", target, "503")
			found, err := checked(t, healthcheck.TCP, target)
			require.NoError(t, err, prefix)
			require.Empty(t, found, "by a connection")
			// A kernel without tcp_diag makes the connection all the same, and run-checks says what that shows.
			found, err = blindly(t, target)
			require.NoError(t, err, prefix)
			require.Contains(t, found, "this kernel lacks tcp_diag: one that hangs passes")
			_, err = checked(t, healthcheck.HTTP, target)
			require.EqualError(t, err, "http://"+target+"/ answered with status 503")
			l.Close()
			if n < 2 {
				silent := listens(t, "tcp", target)
				_, err = checkedFor(t, time.Second, healthcheck.TCP, target)
				require.EqualError(t, err, "no process accepts connections to "+target+": timed out")
				silent.Close()
			}
			require.NoError(t, address("a0", prefix, false))
		}
	})
}

func TestTheDefaultTargetFindsAListenerOnAVirtualIP(t *testing.T) {
	onMachineA(t, func(t *testing.T, _ *arrivals) {
		const target = "localhost:80"
		refused := "cannot connect to 127.0.0.1:80: connection refused"
		_, err := checked(t, healthcheck.TCP, target)
		require.EqualError(t, err, refused)
		for _, at := range []string{"10.9.9.50:80", "[fd09::50]:80"} {
			l := opened(t, "tcp", at)
			for _, kind := range kinds {
				found, err := checked(t, kind, target)
				require.NoError(t, err)
				require.Equal(t, "a process on this machine listens on "+at+", the address is elsewhere", found)
			}
			l.Close()
			_, err = checked(t, healthcheck.TCP, target)
			require.EqualError(t, err, refused)
		}
		// What is seen of an address that is here counts more than a listener.
		opened(t, "tcp4", "10.9.9.50:80")
		six := opened(t, "tcp6", "[fd09::50]:80", "503")
		arrives(t, "fd09::50/128")
		_, err = checked(t, healthcheck.HTTP, target)
		require.EqualError(t, err, "http://[fd09::50]:80/ answered with status 503")
		six.Close()
		found, err := checked(t, healthcheck.HTTP, target)
		require.NoError(t, err)
		require.Equal(t, "a process on this machine listens on 10.9.9.50:80, the address is elsewhere", found)
		// And what answers on loopback more than either.
		opened(t, "tcp4", "127.0.0.1:80", "500")
		_, err = checked(t, healthcheck.HTTP, target)
		require.EqualError(t, err, "http://127.0.0.1:80/ answered with status 500")
	})
}

// TestAnAddressMayMoveWithinACheck: at no point does a connection to another machine
// count, or what becomes of one when the address leaves.
func TestAnAddressMayMoveWithinACheck(t *testing.T) {
	onMachineA(t, func(t *testing.T, _ *arrivals) {
		for _, vip := range []netip.Addr{vip4, vip6} {
			at := netip.AddrPortFrom(vip, 80)
			prefix := netip.PrefixFrom(vip, vip.BitLen()).String()
			a, err := newAim(healthcheck.Check{Type: healthcheck.TCP, Target: at.String()}, []netip.Addr{vip})
			require.NoError(t, err)
			ctx, cancel := context.WithTimeout(t.Context(), hung)
			defer cancel()
			// It left after the look and before the connection.
			require.ErrorIs(t, a.connect(ctx, at, nil), errElsewhere, "B has accepted it")

			leaves := func(result error) (string, error) {
				arrives(t, prefix)
				return a.one(ctx, at, func(context.Context, net.Conn, netip.AddrPort, netip.AddrPort) error {
					require.NoError(t, address("a0", prefix, false))
					return result
				})
			}
			l := opened(t, "tcp", at.String())
			found, err := leaves(errors.New("reset"))
			require.NoError(t, err)
			require.Contains(t, found, "a process on this machine listens")
			found, err = leaves(nil)
			require.NoError(t, err)
			require.Empty(t, found, "it did answer")
			l.Close()
		}
	})
}

// TestAListenerIsDoubtedAfterItsServiceFailed: for a while, and until it is another.
func TestAListenerIsDoubtedAfterItsServiceFailed(t *testing.T) {
	onMachineA(t, func(t *testing.T, _ *arrivals) {
		for _, target := range []string{"10.9.9.50:80", "localhost:80"} {
			p, err := newProber(aimed(healthcheck.HTTP, target))
			require.NoError(t, err)
			check := func() (string, error) {
				ctx, cancel := context.WithTimeout(t.Context(), hung)
				defer cancel()
				return p.probe(ctx)
			}
			arrives(t, "10.9.9.50/32")
			l := opened(t, "tcp", "10.9.9.50:80", "503")
			_, err = check()
			require.EqualError(t, err, "http://10.9.9.50:80/ answered with status 503")
			require.NoError(t, address("a0", "10.9.9.50/32", false))
			for range 2 {
				_, err = check()
				require.EqualError(t, err, "http://10.9.9.50:80/ answered with status 503 when the address was last here")
			}
			a := p.(*httpProber).aim
			at := netip.MustParseAddrPort("10.9.9.50:80")
			f := a.failures[at]
			f.when = f.when.Add(-listenerDoubt)
			a.failures[at] = f
			_, err = check()
			require.NoError(t, err, "for a while only")

			f.when = time.Now()
			a.failures[at] = f
			l.Close()
			l = opened(t, "tcp", "10.9.9.50:80")
			_, err = check()
			require.NoError(t, err, "another listener")
			arrives(t, "10.9.9.50/32")
			_, err = check()
			require.NoError(t, err)
			require.Empty(t, a.failures)
			given, cancel := context.WithCancel(t.Context())
			cancel()
			_, err = p.probe(given)
			require.Error(t, err)
			require.Empty(t, a.failures, "what was given up says nothing")
			require.NoError(t, address("a0", "10.9.9.50/32", false))
			l.Close()
		}
	})
}

func TestAListenerThatTakesNoConnectionsIsNone(t *testing.T) {
	onMachineA(t, func(t *testing.T, _ *arrivals) {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		defer unix.Close(fd)
		require.NoError(t, unix.Bind(fd, &unix.SockaddrInet4{Port: 80}))
		require.NoError(t, unix.Listen(fd, 0))
		_, err = checked(t, healthcheck.TCP, "10.9.9.50:80")
		require.NoError(t, err)
		conn, err := net.Dial("tcp4", "127.0.0.1:80")
		require.NoError(t, err)
		defer conn.Close()
		_, err = checked(t, healthcheck.TCP, "10.9.9.50:80")
		require.EqualError(t, err, "the process on this machine that listens on 10.9.9.50:80 takes no connections")
	})
}

func TestTheHintFollowsAListenerOnAVirtualIP(t *testing.T) {
	onMachineA(t, func(t *testing.T, _ *arrivals) {
		for _, target := range []string{"localhost:80", "10.9.9.50:80"} {
			l := opened(t, "tcp4", "10.9.9.50:80")
			h := newListenHint(aimed(healthcheck.HTTP, target))
			require.True(t, h.applies(nil), "wherever the address is")
			require.False(t, h.news(time.Now(), time.Second))
			l.Close()
			require.True(t, h.news(time.Now(), time.Second), target)
			h.close()
		}
	})
}

func TestAKernelThatKnowsNoSocketsIsNotAsked(t *testing.T) {
	d, err := newSockDiag()
	require.NoError(t, err)
	defer d.close()
	require.True(t, d.works())
	blind := &sockDiag{}
	blind.tried.Do(func() {})
	a := aim{diag: blind}
	_, err = a.listens(netip.AddrPortFrom(vip4, 80))
	require.EqualError(t, err, "cannot tell who listens on 10.9.9.50:80: it is elsewhere, and this kernel lacks tcp_diag")
}

// TestWithoutIPv6TheReasonIsTheOneThatHelps: localhost is ::1 too, and a machine may have none.
func TestWithoutIPv6TheReasonIsTheOneThatHelps(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	require.NoError(t, inMachine(func() error {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/lo/disable_ipv6", []byte("1"), 0); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := up("lo"); err != nil {
			return err
		}
		for _, kind := range kinds {
			p, err := newProber(healthcheck.Config{Check: healthcheck.Check{Type: kind, Target: "localhost:443"}})
			if err != nil {
				return err
			}
			if _, err = p.probe(t.Context()); err == nil || err.Error() != "cannot connect to 127.0.0.1:443: connection refused" {
				return fmt.Errorf("%s: %v", kind, err)
			}
		}
		return nil
	}))
}
