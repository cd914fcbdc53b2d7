package host_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"keepalived-charm/internal/healthcheck"
)

// TestWhatAMasterLacksIsPutBackWithoutAHook, but for what is pinned.
func TestWhatAMasterLacksIsPutBackWithoutAHook(t *testing.T) {
	t.Parallel()
	lo, eth0 := inNamespace(t)
	m := newMachine(t)
	vip := netip.MustParseAddr("10.10.74.250")
	m.serves(200*time.Millisecond, "eth0", vip)
	text, err := healthcheck.Config{Application: m.l.Application, Check: healthcheck.Check{Type: healthcheck.None},
		Instances: []healthcheck.Instance{{Name: m.l.Instance(), TrackFile: m.l.TrackFile(), Interface: "eth0", Addresses: []netip.Addr{vip}}}}.Marshal()
	require.NoError(t, err)
	m.put(m.l.CheckerConfig(), string(text))
	m.start(t.TempDir())
	pinned := &netlink.Addr{IPNet: netlink.NewIPNet(vip.AsSlice())}
	require.NoError(t, netlink.AddrAdd(lo, pinned))
	for _, row := range []struct {
		claim       string
		state, want int
	}{
		{"a MASTER's that is pinned", 2, 0},
		{"a standby's", 1, 0},
		{"a MASTER's", 2, 1},
		{"one that is there", 2, 1},
	} {
		m.set(t, "report", fmt.Sprintf(`[{"data":{"iname":"charm_keepalived","state":%d,"vips":["10.10.74.250 dev eth0 scope global"]}}]`, row.state))
		require.NoError(t, m.Lacking(m.l.CheckerConfig()), row.claim)
		list, err := netlink.AddrList(eth0, netlink.FAMILY_V4)
		require.NoError(t, err)
		require.Len(t, list, row.want, row.claim)
		_ = netlink.AddrDel(lo, pinned) // from the second on
	}
}
