package host_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/host"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
)

// TestADeadPeerIsWaitedForOnce asks a real kernel for addresses that nobody has.
func TestADeadPeerIsWaitedForOnce(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "eth0"
	link := &netlink.Veth{LinkAttrs: attributes, PeerName: "peer"}
	require.NoError(t, netlink.LinkAdd(link))
	peer, err := netlink.LinkByName("peer")
	require.NoError(t, err)
	require.NoError(t, netlink.LinkSetUp(link))
	require.NoError(t, netlink.LinkSetUp(peer))
	address, err := netlink.ParseAddr("10.10.74.11/24")
	require.NoError(t, err)
	require.NoError(t, netlink.AddrAdd(link, address))
	m := host.New(t.TempDir(), "")
	dead := []netip.Addr{netip.MustParseAddr("10.10.74.12"), netip.MustParseAddr("10.10.74.13")}

	began := time.Now()
	silent, err := m.Unreachable(dead, nil)
	require.NoError(t, err)
	require.Equal(t, dead, silent)
	first := time.Since(began)
	require.Greater(t, first, 2*time.Second, "the kernel has asked three times")

	began = time.Now()
	silent, err = m.Unreachable(dead, nil)
	require.NoError(t, err)
	require.Equal(t, dead, silent)
	require.Less(t, time.Since(began), first*3/4)

	// The kernel is still asking.
	began = time.Now()
	silent, err = m.Unreachable(dead, nil)
	require.NoError(t, err)
	require.Equal(t, dead, silent)
	require.Less(t, time.Since(began), first*3/4)

	// One that is back is heard at once.
	back := &netlink.Neigh{LinkIndex: link.Attrs().Index, IP: dead[0].AsSlice(), HardwareAddr: peer.Attrs().HardwareAddr, State: netlink.NUD_PERMANENT}
	require.NoError(t, netlink.NeighSet(back))
	silent, err = m.Unreachable(dead, nil)
	require.NoError(t, err)
	require.Equal(t, dead[1:], silent)
}

// TestLinkLocalPeersAreAskedFor needs no zone: which link they are on is found out.
func TestLinkLocalPeersAreAskedFor(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv6/conf/default/accept_dad", []byte("0"), 0))
	cable := func(name, end string) netlink.Link {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = name
		link := &netlink.Veth{LinkAttrs: attributes, PeerName: end}
		require.NoError(t, netlink.LinkAdd(link))
		peer, err := netlink.LinkByName(end)
		require.NoError(t, err)
		require.NoError(t, netlink.LinkSetUp(link))
		require.NoError(t, netlink.LinkSetUp(peer))
		return peer
	}
	peer := cable("eth0", "peer")
	cable("eth1", "elsewhere")
	m := host.New(t.TempDir(), "")

	var alive netip.Addr
	poll.Until(t, func() bool {
		list, err := netlink.AddrList(peer, netlink.FAMILY_V6)
		require.NoError(t, err)
		for _, a := range list {
			alive, _ = netip.AddrFromSlice(a.IP)
		}
		return alive.IsValid()
	}, time.Minute, 10*time.Millisecond)
	dead, nowhere := netip.MustParseAddr("fe80::dead"), netip.MustParseAddr("192.0.2.1")
	began := time.Now()
	silent, err := m.Unreachable([]netip.Addr{alive}, nil)
	require.NoError(t, err)
	require.Empty(t, silent)
	heard := time.Since(began)
	began = time.Now()
	silent, err = m.Unreachable([]netip.Addr{dead, alive, nowhere}, nil)
	require.NoError(t, err)
	require.Equal(t, []netip.Addr{dead, nowhere}, silent)
	require.Less(t, heard, time.Since(began)/2, "the links it is not on are not waited for")
}

// TestAPeerIsLookedForWhereTheWayToItLeads: entries that another interface still has, as one
// that became a port of a bridge, tell nothing.
func TestAPeerIsLookedForWhereTheWayToItLeads(t *testing.T) {
	_, eth0 := inNamespace(t)
	address, err := netlink.ParseAddr("10.10.74.11/24")
	require.NoError(t, err)
	require.NoError(t, netlink.AddrAdd(eth0, address))
	peer, gone := netip.MustParseAddr("10.10.74.12"), netip.MustParseAddr("10.10.74.13")
	knows := func(link netlink.Link, a netip.Addr, state int) {
		require.NoError(t, netlink.NeighSet(&netlink.Neigh{LinkIndex: link.Attrs().Index, IP: a.AsSlice(), HardwareAddr: net.HardwareAddr{2, 0, 0, 0, 0, 1}, State: state}))
	}
	knows(eth0, peer, netlink.NUD_PERMANENT)
	for n := range 8 { // the kernel lists them in any order
		other := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: fmt.Sprint("other", n)}}
		require.NoError(t, netlink.LinkAdd(other))
		require.NoError(t, netlink.LinkSetUp(other))
		knows(other, peer, netlink.NUD_STALE)
		knows(other, gone, netlink.NUD_PERMANENT)
	}
	silent, err := host.New(t.TempDir(), "").Unreachable([]netip.Addr{peer, gone}, nil)
	require.NoError(t, err)
	require.Equal(t, []netip.Addr{gone}, silent)
}
