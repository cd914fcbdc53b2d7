package decide_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/decidetest"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/vrrp"
)

// TestAUnitLeftAloneWaitsForAHolderThatDeparts: that one is no peer any more, and holds
// until it stops.
func TestAUnitLeftAloneWaitsForAHolderThatDeparts(t *testing.T) {
	departed := netip.MustParseAddr("10.10.74.12")
	runs := vrrp.Parameters{Version: 3, Mode: vrrp.Multicast, VirtualRouterID: 23, Interval: 200 * time.Millisecond, Anchor: vrrp.Anchor(23, false)}
	for claim, c := range map[string]struct {
		heard  facts.Heard
		id     string
		listed string
	}{
		"while it is heard":      {facts.Heard{Instance: "charm_keepalived", Address: departed, Speaks: true}, "virtual_router_id 23\n", "10.10.74.12"},
		"no longer than that":    {facts.Heard{Instance: "charm_keepalived", Address: departed}, "virtual_router_id 51\n", ""},
		"for nobody else":        {facts.Heard{Instance: "charm_keepalived", Address: netip.MustParseAddr("10.10.74.99"), Speaks: true}, "virtual_router_id 51\n", ""},
		"in this virtual router": {facts.Heard{Instance: "charm_keepalived_1", Address: departed, Speaks: true}, "virtual_router_id 51\n", "10.10.74.12"},
	} {
		o := decidetest.Observed()
		o.Options.Raw["router_id"] = 51
		o.Machine.Applied = applied.Record{Routers: map[int]applied.Router{0: {Parameters: runs, Link: "eth0"}},
			Addresses: map[netip.Addr]applied.Place{netip.MustParseAddr("10.10.74.250"): {Interface: "eth0", Bits: 32}}}
		o.Machine.Check.Heard = []facts.Heard{c.heard}
		told := &o.Relations[2].Told
		told.Lists, told.Word = []netip.Addr{departed}, group.Word{Serves: true, Runs: runs}
		d, err := decidetest.Desire(o)
		require.NoError(t, err, claim)
		require.Contains(t, d.Files[d.Layout.Fragment()], c.id, claim)
		require.Equal(t, c.listed, d.Publish["cluster:1"]["lists"], claim)
	}
}
