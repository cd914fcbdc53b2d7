package host_test

import (
	"fmt"
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
	"keepalived-charm/internal/step"
)

// inNamespace gives the test a network namespace of its own, with lo and a bridge
// eth0. Its thread ends with the test.
func inNamespace(t *testing.T) (lo, eth0 netlink.Link) {
	t.Helper()
	needs.Root(t)
	runtime.LockOSThread()
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	require.NoError(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}}))
	var links []netlink.Link
	for _, name := range []string{"lo", "eth0"} {
		link, err := netlink.LinkByName(name)
		require.NoError(t, err)
		require.NoError(t, netlink.LinkSetUp(link))
		links = append(links, link)
	}
	return links[0], links[1]
}

// TestPinnedAddressesStayUntilTheirInstanceIsMaster: with a long interval that is later
// than unpinAtLeast, and nobody may be without an answer meanwhile. With 20 s it is waited
// for as long as unpinLimit says, 82 s, which leaves a slow machine room.
func TestPinnedAddressesStayUntilTheirInstanceIsMaster(t *testing.T) {
	if !alone(t) {
		return
	}
	lo, eth0 := inNamespace(t)
	m := newMachine(t)
	m.serves(20*time.Second, "eth0", netip.MustParseAddr("10.10.74.250"))
	report := func(state int, since time.Time) {
		m.set(t, "report", fmt.Sprintf(`[{"data":{"iname":"charm_keepalived","state":%d,"last_transition":%d.0,"vips":["10.10.74.250 dev eth0 scope global"]}}]`, state, since.Unix()))
	}
	report(1, time.Now())
	m.start(t.TempDir())
	vip := netlink.Addr{IPNet: netlink.NewIPNet([]byte{10, 10, 74, 250})}
	m.apply(step.Step{Action: step.Pin, Addresses: []netip.Addr{netip.MustParseAddr("10.10.74.250")}})
	namespace, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	require.NoError(t, err)
	defer namespace.Close()
	early := make(chan error, 1)
	go func() {
		time.Sleep(6500 * time.Millisecond)
		// What is pinned cannot be deleted twice: this is the proof that it is there.
		err := namespace.AddrDel(lo, &vip)
		if err == nil {
			err = namespace.AddrAdd(lo, &vip)
		}
		if err == nil {
			err = namespace.AddrAdd(eth0, &vip)
		}
		report(2, time.Now().Add(time.Second))
		early <- err
	}()
	began := time.Now()
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Unpin}})
	require.Less(t, time.Since(began), 80*time.Second, "no longer than until it is MASTER")
	require.NoError(t, <-early, "the address is pinned after 6.5 s")
	left, err := netlink.AddrList(lo, netlink.FAMILY_V4)
	require.NoError(t, err)
	for _, a := range left {
		require.NotEqual(t, vip.IP.String(), a.IP.String())
	}
}

// TestPacketsToAPinnedIPv6AddressAreThisMachinesAtOnce: keepalived takes the address from its
// interface next, and with it the only route that there was.
func TestPacketsToAPinnedIPv6AddressAreThisMachinesAtOnce(t *testing.T) {
	if !alone(t) {
		return
	}
	lo, eth0 := inNamespace(t)
	m := newMachine(t)
	for n := range 40 {
		vip := netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", 0x100+n))
		on := &netlink.Addr{IPNet: netlink.NewIPNet(vip.AsSlice()), Flags: unix.IFA_F_NODAD}
		require.NoError(t, netlink.AddrAdd(eth0, on))
		m.apply(step.Step{Action: step.Pin, Addresses: []netip.Addr{vip}})
		require.NoError(t, netlink.AddrDel(eth0, on))
		routes, err := netlink.RouteGet(vip.AsSlice())
		require.NoError(t, err, "nobody has %s, the address number %d", vip, n)
		require.Equal(t, unix.RTN_LOCAL, routes[0].Type)
		require.Equal(t, lo.Attrs().Index, routes[0].LinkIndex)
	}
}

// TestWhatCannotBePinnedIsLeftToTheChange: it keeps neither the others nor the change away.
func TestWhatCannotBePinnedIsLeftToTheChange(t *testing.T) {
	if !alone(t) {
		return
	}
	lo, eth0 := inNamespace(t)
	refuses(t, "lo")
	m := newMachine(t)
	vips := []netip.Addr{netip.MustParseAddr("2001:db8::250"), netip.MustParseAddr("10.10.74.250")}
	m.holds(vips...)
	m.start(t.TempDir())
	for _, a := range vips {
		require.NoError(t, netlink.AddrAdd(eth0, &netlink.Addr{IPNet: netlink.NewIPNet(a.AsSlice())}))
	}
	began := time.Now()
	m.apply(step.Step{Action: step.Pin, Addresses: vips})
	require.Less(t, time.Since(began), time.Second, "nobody waits for the route of an address that is not there")
	require.Len(t, on(t, lo), 1)
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Unpin}})
	require.Empty(t, on(t, lo))
	require.Len(t, on(t, eth0), 2)
}

// TestWhatTheOwnerHasOnTheLoopbackDeviceIsNotUnpinned, and what an earlier hook pinned is.
func TestWhatTheOwnerHasOnTheLoopbackDeviceIsNotUnpinned(t *testing.T) {
	t.Parallel()
	lo, eth0 := inNamespace(t)
	m := newMachine(t)
	owners, vip := netip.MustParseAddr("10.10.74.250"), netip.MustParseAddr("10.10.74.251")
	m.holds(owners, vip)
	m.start(t.TempDir())
	for _, a := range []netip.Addr{owners, vip} {
		require.NoError(t, netlink.AddrAdd(eth0, &netlink.Addr{IPNet: netlink.NewIPNet(a.AsSlice())}))
	}
	require.NoError(t, netlink.AddrAdd(lo, &netlink.Addr{IPNet: netlink.NewIPNet(owners.AsSlice())}))
	for range 2 {
		m.apply(step.Step{Action: step.Pin, Addresses: []netip.Addr{owners, vip}})
		require.Len(t, on(t, lo), 2)
	}
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Unpin}})
	require.Len(t, on(t, lo), 1)
	require.Equal(t, owners.String(), on(t, lo)[0].IP.String())
}

// TestNothingStaysPinnedInAHookThatFails, though the change that it was pinned for is made: what
// fails in one hook may fail in all that come.
func TestNothingStaysPinnedInAHookThatFails(t *testing.T) {
	t.Parallel()
	lo, eth0 := inNamespace(t)
	m := newMachine(t)
	vip := netip.MustParseAddr("10.10.74.250")
	m.holds(vip)
	m.start(t.TempDir())
	require.NoError(t, netlink.AddrAdd(eth0, &netlink.Addr{IPNet: netlink.NewIPNet(vip.AsSlice())}))
	m.apply(step.Step{Action: step.Pin, Addresses: []netip.Addr{vip}})
	later := host.New(m.root, "")
	m.set(t, "failing", "daemon-reload")
	require.Error(t, later.Apply(m.l, step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.DaemonReload}}))
	require.Empty(t, on(t, lo))
	require.Len(t, on(t, eth0), 1)
}

// TestAClockThatIsPutBackKeepsNothingPinned, with an interval for which one hook does not wait.
func TestAClockThatIsPutBackKeepsNothingPinned(t *testing.T) {
	t.Parallel()
	lo, eth0 := inNamespace(t)
	m := newMachine(t)
	vip := netip.MustParseAddr("10.10.74.250")
	m.serves(20*time.Second, "eth0", vip)
	m.set(t, "report", fmt.Sprintf(`[{"data":{"iname":"charm_keepalived","state":2,"last_transition":%d.0,"vips":["%s dev eth0 scope global"]}}]`, time.Now().Unix(), vip))
	m.start(t.TempDir())
	require.NoError(t, netlink.AddrAdd(eth0, &netlink.Addr{IPNet: netlink.NewIPNet(vip.AsSlice())}))
	m.apply(step.Step{Action: step.Pin, Addresses: []netip.Addr{vip}})
	later := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(m.in(m.l.State()+"/pinned"), later, later))
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Unpin}})
	require.Empty(t, on(t, lo))
}

// TestNobodyWaitsForAnInstanceThatIsGone: a unit that serves nothing any more has handed over,
// and two machines answer until it has unpinned.
func TestNobodyWaitsForAnInstanceThatIsGone(t *testing.T) {
	t.Parallel()
	lo, _ := inNamespace(t)
	m := newMachine(t)
	m.apply(step.Step{Action: step.Pin, Addresses: []netip.Addr{netip.MustParseAddr("10.10.74.250")}})
	began := time.Now()
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Unpin}})
	require.Empty(t, on(t, lo))
	require.Less(t, time.Since(began), 5*time.Second, "as long as an instance is waited for")
}

// TestNothingStaysPinnedForAChangeThatIsNotMade: the next holder would be the second one. What
// is nowhere else waits for its instance.
func TestNothingStaysPinnedForAChangeThatIsNotMade(t *testing.T) {
	t.Parallel()
	lo, eth0 := inNamespace(t)
	m := newMachine(t)
	both, pinned := netip.MustParseAddr("10.10.74.250"), netip.MustParseAddr("10.10.74.251")
	m.serves(200*time.Millisecond, "eth0", both, pinned)
	require.NoError(t, netlink.AddrAdd(eth0, &netlink.Addr{IPNet: netlink.NewIPNet(both.AsSlice())}))
	m.put("/etc/file", "")
	m.apply(step.Step{Action: step.Pin, Addresses: []netip.Addr{both, pinned}})
	require.Len(t, on(t, lo), 2)
	require.Error(t, m.Apply(m.l, step.Step{Action: step.Write, Files: []step.File{{Path: "/etc/file/below", Content: "x"}}}))
	require.Len(t, on(t, lo), 1)
	require.Equal(t, pinned.String(), on(t, lo)[0].IP.String())
	require.Len(t, on(t, eth0), 1)
}
