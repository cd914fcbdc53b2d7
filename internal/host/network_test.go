package host_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/host"
	"keepalived-charm/internal/step"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestCopiesOfOthersStay: on an interface without ARP an address is the charm's only
// where it puts addresses there.
func TestCopiesOfOthersStay(t *testing.T) {
	t.Parallel()
	_, eth0 := inNamespace(t)
	silent := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "kube-ipvs0"}}
	require.NoError(t, netlink.LinkAdd(silent))
	require.NoError(t, netlink.LinkSetARPOff(silent))
	links := map[string]netlink.Link{"eth0": eth0, "kube-ipvs0": silent}
	m := newMachine(t)
	vip := netip.MustParseAddr("10.10.74.250")
	put := func() {
		for _, l := range links {
			require.NoError(t, netlink.AddrReplace(l, &netlink.Addr{IPNet: netlink.NewIPNet(vip.AsSlice())}))
		}
	}
	has := func() map[string]bool {
		found := map[string]bool{}
		for name, l := range links {
			list, err := netlink.AddrList(l, netlink.FAMILY_V4)
			require.NoError(t, err)
			found[name] = len(list) > 0
		}
		return found
	}
	m.serves(200*time.Millisecond, "eth0", netip.MustParseAddr("10.10.74.250"))
	put()
	for _, i := range m.observe().Interfaces {
		require.Equal(t, i.Name == "kube-ipvs0", i.NoARP, i.Name)
		require.Equal(t, i.Name != "lo", i.Kind == "bridge", i.Name)
	}
	m.apply(step.Step{Action: step.Flush, Addresses: []netip.Addr{vip}})
	require.Equal(t, map[string]bool{"eth0": false, "kube-ipvs0": true}, has())
	m.serves(200*time.Millisecond, "kube-ipvs0", vip)
	put()
	m.apply(step.Step{Action: step.Flush, Addresses: []netip.Addr{vip}})
	require.Equal(t, map[string]bool{"eth0": false, "kube-ipvs0": false}, has(), "where the operator says so it is ours")
}

// TestWhatAnInterfaceIsPartOfIsSeen, and where the kernel takes no IPv6 address.
func TestWhatAnInterfaceIsPartOfIsSeen(t *testing.T) {
	t.Parallel()
	_, eth0 := inNamespace(t)
	require.NoError(t, netlink.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
	require.NoError(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "eth1", MasterIndex: eth0.Attrs().Index}, PeerName: "far"}))
	m := newMachine(t)
	m.put("/proc/sys/net/ipv6/conf/br0/disable_ipv6", "1\n")
	m.put("/proc/sys/net/ipv6/conf/eth1/disable_ipv6", "0\n")
	for _, i := range m.observe().Interfaces {
		require.Equal(t, map[string]string{"eth1": "eth0"}[i.Name], i.Master, i.Name)
		require.Equal(t, i.Name == "br0", i.NoIPv6, i.Name)
	}
}

func TestOnlyAMasterGetsBackWhatWasLost(t *testing.T) {
	t.Parallel()
	_, eth0 := inNamespace(t)
	m := newMachine(t)
	m.serves(200*time.Millisecond, "eth0", netip.MustParseAddr("10.10.74.250"))
	m.start(t.TempDir())
	for state, want := range map[int]int{1: 0, 2: 1} { // BACKUP, MASTER
		m.set(t, "report", fmt.Sprintf(`[{"data":{"iname":"charm_keepalived","state":%d,"vips":["10.10.74.250 dev eth0 scope global"]}}]`, state))
		for range 2 {
			m.apply(step.Step{Action: step.Restore, Addresses: []netip.Addr{netip.MustParseAddr("10.10.74.250")}})
		}
		list, err := netlink.AddrList(eth0, netlink.FAMILY_V4)
		require.NoError(t, err)
		require.Len(t, list, want)
		for _, a := range list {
			require.NoError(t, netlink.AddrDel(eth0, &a))
		}
	}
}

// refuses makes the kernel refuse every IPv6 address on an interface.
func refuses(t *testing.T, iface string) {
	t.Helper()
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv6/conf/"+iface+"/disable_ipv6", []byte("1"), 0))
}

// on lists the addresses of an interface, but for those that the kernel made.
func on(t *testing.T, link netlink.Link) (list []netlink.Addr) {
	t.Helper()
	all, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	require.NoError(t, err)
	for _, a := range all {
		if !a.IP.IsLoopback() && !a.IP.IsLinkLocalUnicast() {
			list = append(list, a)
		}
	}
	return list
}

// holds has the daemon say that it holds addresses on eth0.
func (m machine) holds(vips ...netip.Addr) {
	m.t.Helper()
	m.serves(200*time.Millisecond, "eth0", vips...)
	var words []string
	for _, a := range vips {
		words = append(words, fmt.Sprintf("%q", a.String()+" dev eth0 scope global"))
	}
	m.set(m.t, "report", fmt.Sprintf(`[{"data":{"iname":"charm_keepalived","state":2,"last_transition":%d.0,"vips":[%s]}}]`,
		time.Now().Add(time.Hour).Unix(), strings.Join(words, ",")))
}

func TestWhatTheKernelRefusesKeepsNoOtherAddressAway(t *testing.T) {
	t.Parallel()
	_, eth0 := inNamespace(t)
	refuses(t, "eth0")
	m := newMachine(t)
	vips := []netip.Addr{netip.MustParseAddr("2001:db8::250"), netip.MustParseAddr("10.10.74.250")}
	m.holds(vips...)
	m.start(t.TempDir())
	m.apply(step.Step{Action: step.Restore, Addresses: vips})
	require.Len(t, on(t, eth0), 1)
	require.Equal(t, "10.10.74.250", on(t, eth0)[0].IP.String())
}

// TestAnIPv6AddressComesBackAsKeepalivedPutsItOn: deprecated, so that the machine takes it for
// the source of nothing, unless it has a subnet.
func TestAnIPv6AddressComesBackAsKeepalivedPutsItOn(t *testing.T) {
	t.Parallel()
	_, eth0 := inNamespace(t)
	m := newMachine(t)
	vip := netip.MustParseAddr("2001:db8::250")
	m.holds(vip)
	m.start(t.TempDir())
	m.apply(step.Step{Action: step.Restore, Addresses: []netip.Addr{vip}})
	require.Len(t, on(t, eth0), 1)
	back := on(t, eth0)[0]
	require.Zero(t, back.PreferedLft)
	require.Equal(t, unix.IFA_F_DEPRECATED|unix.IFA_F_PERMANENT|unix.IFA_F_NODAD, back.Flags)
}

// TestAnAddressThatWentAlongIsGone: of two addresses of a subnet the kernel takes the second
// away with the first.
func TestAnAddressThatWentAlongIsGone(t *testing.T) {
	t.Parallel()
	_, eth0 := inNamespace(t)
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/conf/all/promote_secondaries", []byte("0"), 0))
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/conf/eth0/promote_secondaries", []byte("0"), 0))
	m := newMachine(t)
	vips := []netip.Addr{netip.MustParseAddr("10.10.74.250"), netip.MustParseAddr("10.10.74.251")}
	m.serves(200*time.Millisecond, "eth0", vips...)
	put := func() {
		for _, a := range vips {
			require.NoError(t, netlink.AddrAdd(eth0, &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(24, 32)}}))
		}
	}
	put()
	m.apply(step.Step{Action: step.Flush, Addresses: vips})
	require.Empty(t, on(t, eth0))
	put()
	config := filepath.Join(t.TempDir(), "checker.json")
	c := healthcheck.Config{Application: "keepalived", Links: []string{"eth0"}, Check: healthcheck.Check{Type: healthcheck.None},
		Instances: []healthcheck.Instance{{Name: "charm_keepalived", TrackFile: filepath.Join(t.TempDir(), "priority"), Interface: "eth0", Addresses: vips}}}
	text, err := c.Marshal()
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(config, text, 0o600))
	require.NoError(t, host.Prepare(config))
	require.Empty(t, on(t, eth0))
}

// TestTheInterfaceOfTheDefaultRoute is that of packets that leave, if there are several ways
// one of them.
func TestTheInterfaceOfTheDefaultRoute(t *testing.T) {
	t.Parallel()
	_, eth0 := inNamespace(t)
	for _, a := range []string{"10.10.74.11/24", "2001:db8::11/64"} {
		address, err := netlink.ParseAddr(a)
		require.NoError(t, err)
		address.Flags = unix.IFA_F_NODAD
		require.NoError(t, netlink.AddrAdd(eth0, address))
	}
	m := newMachine(t)
	of := func() string { seen := m.observe(); return seen.DefaultInterface4 + " " + seen.DefaultInterface6 }
	for _, whole := range []string{"0.0.0.0/0", "::/0"} {
		_, dst, err := net.ParseCIDR(whole)
		require.NoError(t, err)
		require.NoError(t, netlink.RouteAdd(&netlink.Route{Dst: dst, Type: unix.RTN_UNREACHABLE, Priority: 10}))
	}
	require.Equal(t, " ", of(), "what is unreachable has no interface")
	for whole, gateways := range map[string][]string{"0.0.0.0/0": {"10.10.74.1", "10.10.74.2"}, "::/0": {"2001:db8::1", "2001:db8::2"}} {
		_, dst, err := net.ParseCIDR(whole)
		require.NoError(t, err)
		route := &netlink.Route{Dst: dst, Priority: 20}
		for _, g := range gateways {
			route.MultiPath = append(route.MultiPath, &netlink.NexthopInfo{LinkIndex: eth0.Attrs().Index, Gw: net.ParseIP(g)})
		}
		require.NoError(t, netlink.RouteAdd(route))
	}
	require.Equal(t, "eth0 eth0", of(), "through two gateways")
}
