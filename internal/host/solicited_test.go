package host_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/host"
	"keepalived-charm/internal/step"
)

// client is another machine on the wire of eth0, in a network namespace of its own.
type client struct {
	t     *testing.T
	calls chan func() error
	done  chan error
}

// newClient makes a client on the other end of a cable from link, which is a new
// eth0 of the test's namespace.
func newClient(t *testing.T, address string) (client, netlink.Link) {
	t.Helper()
	c := client{t, make(chan func() error), make(chan error)}
	go func() {
		runtime.LockOSThread()
		for call := range c.calls {
			c.done <- call()
		}
	}()
	t.Cleanup(func() { close(c.calls) })
	thread := 0
	c.do(func() error {
		thread = unix.Gettid()
		return unix.Unshare(unix.CLONE_NEWNET)
	})
	require.NoError(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}, PeerName: "client0", PeerNamespace: netlink.NsPid(thread)}))
	c.do(func() error {
		if err := ready("client0", address); err != nil {
			return err
		}
		// It asks on, each second, where a slow machine takes long to answer.
		for _, family := range []string{"ipv4", "ipv6"} {
			if err := os.WriteFile("/proc/sys/net/"+family+"/neigh/client0/mcast_solicit", []byte("20"), 0); err != nil {
				return err
			}
		}
		return nil
	})
	link, err := netlink.LinkByName("eth0")
	require.NoError(t, err)
	return c, link
}

// ready gives an interface an address, and sets it up.
func ready(name, address string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/accept_dad", []byte("0"), 0); err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, plain(address)); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// running waits until the kernel has taken in that both ends of the cable are up, and
// has made its own address.
func running(name string) error {
	for range 500 {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		addresses, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		if err == nil && link.Attrs().OperState == netlink.OperUp && len(addresses) > 1 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return errors.New("cannot wait any longer for " + name)
}

// plain is an address that is there at once (RFC 4862 section 5.4 takes a second).
func plain(address string) *netlink.Addr {
	a, err := netlink.ParseAddr(address)
	if err != nil {
		panic(err)
	}
	a.Flags = unix.IFA_F_NODAD
	return a
}

// do does something in the client's namespace.
func (c client) do(call func() error) {
	c.t.Helper()
	c.calls <- call
	require.NoError(c.t, <-c.done)
}

// reaches requires that a client which knows nothing of the machine can connect.
func (c client) reaches(at string) {
	c.t.Helper()
	c.do(func() error { return connect(at, 20*time.Second) })
}

// calm waits until the client reaches the machine all the time, for longer than a second:
// so seldom the kernel takes in what is new about a link (net/core/link_watch.c).
func (c client) calm(at string) {
	c.t.Helper()
	calm := 0
	for range 200 {
		c.do(func() error {
			if calm++; connect(at, 900*time.Millisecond) != nil {
				calm = 0
			}
			return nil
		})
		if calm > 25 {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	require.Fail(c.t, "the client does not reach the machine all the time")
}

// connect forgets all neighbours before it connects.
func connect(at string, limit time.Duration) error {
	entries, err := netlink.NeighList(0, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, n := range entries {
		if n.State&netlink.NUD_NOARP == 0 {
			_ = netlink.NeighDel(&n) // one that the kernel has just dropped
		}
	}
	conn, err := net.DialTimeout("tcp", at, limit)
	if err == nil {
		conn.Close()
	}
	return err
}

// TestClientsFindAPinnedIPv6Address: that they ask the network for it is the rule, as
// entries of the kernel's table grow old.
func TestClientsFindAPinnedIPv6Address(t *testing.T) {
	if !alone(t) {
		return
	}
	runtime.LockOSThread()
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	lo, err := netlink.LinkByName("lo")
	require.NoError(t, err)
	require.NoError(t, netlink.LinkSetUp(lo))
	c, eth0 := newClient(t, "2001:db8::99/64")
	require.NoError(t, ready("eth0", "2001:db8::11/64"))
	require.NoError(t, running("eth0"))
	c.do(func() error { return running("client0") })
	const vip = "2001:db8::250"
	require.NoError(t, netlink.AddrAdd(eth0, plain(vip+"/128")))
	server, err := net.Listen("tcp", "[::]:0")
	require.NoError(t, err)
	defer server.Close()
	at := fmt.Sprintf("[%s]:%d", vip, server.Addr().(*net.TCPAddr).Port)
	c.calm(at)

	m := newMachine(t)
	m.serves(200*time.Millisecond, "eth0", netip.MustParseAddr(vip))
	m.apply(step.Step{Action: step.Pin, Addresses: []netip.Addr{netip.MustParseAddr(vip)}})
	require.NoError(t, netlink.AddrDel(eth0, plain(vip+"/128"))) // as keepalived does
	for range 3 {
		c.reaches(at)
	}

	// Another hook, after the first was killed, finds that keepalived does not run.
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		time.Sleep(time.Second)
		c.reaches(at)
	}()
	later := host.New(m.root, "")
	require.NoError(t, later.Apply(m.l, step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Unpin}}))
	<-ended
	require.NoFileExists(t, m.in(filepath.Join(m.l.State(), "pinned")))
}
