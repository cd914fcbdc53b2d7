package host_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"keepalived-charm/internal/step"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
)

// TestCopiesOfOthersStay: on an interface without ARP an address is the charm's only
// where it puts addresses there.
func TestCopiesOfOthersStay(t *testing.T) {
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

func TestOnlyAMasterGetsBackWhatWasLost(t *testing.T) {
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
