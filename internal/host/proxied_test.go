package host_test

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"keepalived-charm/internal/host"
	"keepalived-charm/internal/needs"
)

// alone runs the test once more, in a process that has a network namespace and an
// environment of its own, while other tests wait too: a look at the network has threads,
// and fake programs are found by the environment. True in that process.
func alone(t *testing.T) bool {
	t.Helper()
	needs.Root(t)
	const inside = "HOST_TEST_ALONE"
	if os.Getenv(inside) != "" {
		return true
	}
	t.Parallel()
	again := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v")
	again.Env = append(os.Environ(), inside+"=1", "GORACE=atexit_sleep_ms=0")
	again.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := again.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}

// far is something in a network namespace of its own.
type far struct {
	t   *testing.T
	run chan func() error
	err chan error
	ns  netns.NsHandle
}

func newFar(t *testing.T) *far {
	f := &far{t: t, run: make(chan func() error), err: make(chan error)}
	t.Cleanup(func() { close(f.run) })
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with it
		for what := range f.run {
			f.err <- what()
		}
	}()
	f.do(func() (err error) {
		f.ns, err = netns.New()
		return err
	})
	t.Cleanup(func() { f.ns.Close() })
	return f
}

// plug gives a namespace an interface eth0 with an address, at a port of the segment. What
// is apart exchanges nothing with others that are.
func (f *far) plug(there netns.NsHandle, port, mac, address string, apart bool) {
	f.t.Helper()
	hardware, err := net.ParseMAC(mac)
	require.NoError(f.t, err)
	f.do(func() error {
		bridge, err := netlink.LinkByName("segment")
		if err != nil {
			return err
		}
		attributes := netlink.NewLinkAttrs()
		attributes.Name, attributes.MasterIndex = port, bridge.Attrs().Index
		cable := &netlink.Veth{LinkAttrs: attributes, PeerName: "eth0", PeerHardwareAddr: hardware, PeerNamespace: netlink.NsFd(there)}
		if err := netlink.LinkAdd(cable); err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetIsolated(cable, apart), netlink.LinkSetUp(cable))
	})
	namespace, err := netlink.NewHandleAt(there)
	require.NoError(f.t, err)
	defer namespace.Close()
	eth0, err := namespace.LinkByName("eth0")
	require.NoError(f.t, err)
	own, err := netlink.ParseAddr(address)
	require.NoError(f.t, err)
	require.NoError(f.t, namespace.AddrAdd(eth0, own))
	require.NoError(f.t, namespace.LinkSetUp(eth0))
}

// peer adds a machine to the segment.
func (f *far) peer(name, mac, address string, apart bool) *far {
	f.t.Helper()
	p := newFar(f.t)
	f.plug(p.ns, name, mac, address, apart)
	return p
}

// do does something on the machine.
func (f *far) do(what func() error) {
	f.t.Helper()
	f.run <- what
	require.NoError(f.t, <-f.err)
}

// set sets kernel settings of the machine.
func (f *far) set(settings ...string) {
	f.t.Helper()
	f.do(func() error {
		for n := 0; n < len(settings); n += 2 {
			if err := os.WriteFile("/proc/sys/net/ipv4/"+settings[n], []byte(settings[n+1]), 0); err != nil {
				return err
			}
		}
		return nil
	})
}

const (
	proxyMAC = "52:54:00:74:00:fe"
	aliveMAC = "52:54:00:74:00:0c"
	deadMAC  = "52:54:00:74:00:0d"
)

// behindProxy gives this process a machine at a segment where a router answers by ARP for
// every address (RFC 1027), at once, and passes on what it gets. apart: the segment keeps
// all others from each other.
func behindProxy(t *testing.T, apart bool) (segment *far) {
	segment = newFar(t)
	segment.do(func() error {
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "segment"}}
		return errors.Join(netlink.LinkAdd(bridge), netlink.LinkSetUp(bridge))
	})
	proxy := segment.peer("proxy", proxyMAC, "10.10.74.1/24", false)
	proxy.set("ip_forward", "1", "conf/eth0/proxy_arp_pvlan", "1", "neigh/eth0/proxy_delay", "0")
	here, err := netns.Get()
	require.NoError(t, err)
	defer here.Close()
	segment.plug(here, "unit", "52:54:00:74:00:0b", "10.10.74.11/24", apart)
	return segment
}

// TestADeadPeerBehindAProxyIsSilent: what a proxy answers is nobody's sign of life.
func TestADeadPeerBehindAProxyIsSilent(t *testing.T) {
	if !alone(t) {
		return
	}
	behindProxy(t, false).peer("living", aliveMAC, "10.10.74.12/24", false)
	asked := []netip.Addr{netip.MustParseAddr("10.10.74.13"), netip.MustParseAddr("10.10.74.12"), netip.MustParseAddr("10.10.74.14")}
	silent, err := host.New(t.TempDir(), "").Unreachable(asked, map[netip.Addr][]string{asked[0]: {deadMAC}, asked[1]: {aliveMAC}})
	require.NoError(t, err)
	require.Equal(t, []netip.Addr{asked[0], asked[2]}, silent, "one told its MAC, one did not")
}

// TestAPeerThatAProxyOutrunsIsAlive: the kernel keeps the proxy's answer, which came first,
// and the peer's packet filter drops what is no ARP.
func TestAPeerThatAProxyOutrunsIsAlive(t *testing.T) {
	if !alone(t) {
		return
	}
	behindProxy(t, false).peer("living", aliveMAC, "10.10.74.12/24", false).set("icmp_echo_ignore_all", "1")
	asked := []netip.Addr{netip.MustParseAddr("10.10.74.12")}
	eth0, err := netlink.LinkByName("eth0")
	require.NoError(t, err)
	hardware, err := net.ParseMAC(proxyMAC)
	require.NoError(t, err)
	kept := &netlink.Neigh{LinkIndex: eth0.Attrs().Index, IP: asked[0].AsSlice(), HardwareAddr: hardware, State: netlink.NUD_PERMANENT}
	require.NoError(t, netlink.NeighSet(kept))
	silent, err := host.New(t.TempDir(), "").Unreachable(asked, map[netip.Addr][]string{asked[0]: {aliveMAC}})
	require.NoError(t, err)
	require.Empty(t, silent)
}

// TestAPeerThatOnlyAProxyAnswersForIsAliveWhileItAnswersEchoes: some networks keep hosts
// apart, and all that they send each other goes through their router.
func TestAPeerThatOnlyAProxyAnswersForIsAliveWhileItAnswersEchoes(t *testing.T) {
	if !alone(t) {
		return
	}
	behindProxy(t, true).peer("living", aliveMAC, "10.10.74.12/24", true)
	asked := []netip.Addr{netip.MustParseAddr("10.10.74.12"), netip.MustParseAddr("10.10.74.13")}
	m := host.New(t.TempDir(), "")
	macs := map[netip.Addr][]string{asked[0]: {aliveMAC}, asked[1]: {deadMAC}}
	silent, err := m.Unreachable(asked, macs)
	require.NoError(t, err)
	require.Equal(t, asked[1:], silent)
}
