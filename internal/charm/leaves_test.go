package charm_test

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/charmtest"
)

// TestAUnitThatLeavesIsWaitedForUntilItKnows: Juju tells the others at once, and the unit's own
// hook may wait, for its agent or for another charm's hook on its machine. A unit that takes part
// on is a second holder when the others send it no advertisements, or change over without it.
func TestAUnitThatLeavesIsWaitedForUntilItKnows(t *testing.T) {
	multicast, unicast := map[string]any{}, map[string]any{"vrrp_mode": "unicast"}
	for claim, c := range map[string]struct {
		units          int
		before, change map[string]any
		holds          bool // the unit that leaves does
	}{
		"unicast":                             {3, unicast, nil, false},
		"unicast, of two":                     {2, unicast, nil, false},
		"a change":                            {3, multicast, map[string]any{"router_id": 42}, false},
		"a change, of two":                    {2, multicast, map[string]any{"router_id": 42}, false},
		"to unicast":                          {3, multicast, unicast, false},
		"to unicast, of two":                  {2, multicast, unicast, false},
		"unicast, the holder":                 {3, unicast, nil, true},
		"a change, the holder":                {3, multicast, map[string]any{"router_id": 42}, true},
		"a change, the holder, of two":        {2, multicast, map[string]any{"router_id": 42}, true},
		"a change within spread, the last is": {3, map[string]any{"spread": true, "virtual_ip": vip + " 10.10.74.251 10.10.74.252"}, unicast, false},
	} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			k := deployed(t, c.units, maps.Clone(c.before))
			leaves := k.Nodes[1]
			if c.holds {
				leaves = k.Nodes[0]
			}
			require.Equal(t, c.holds, len(k.Serving()) > 0 && k.Serving()[0] == leaves)
			var addresses []netip.Addr
			for word := range strings.FieldsSeq(fmt.Sprint(k.Options["virtual_ip"])) {
				addresses = append(addresses, netip.MustParseAddr(word))
			}
			stay := func(rounds int) {
				for range rounds {
					for _, n := range k.Nodes {
						if n != leaves {
							n.Await("update-status")
							work(k, n)
						}
					}
					k.Pass(3)
					for _, a := range addresses {
						require.LessOrEqual(t, len(k.Holders(a)), 1, "%s", k)
					}
				}
			}
			leaves.Agent = false
			if c.change != nil {
				k.Set(c.change)
			}
			k.Leave(leaves)
			stay(4)
			for _, a := range addresses {
				require.Len(t, k.Holders(a), 1, "%s", k)
			}
			leaves.Agent = true
			work(k, leaves)
			k.Pass(3)
			stay(4)
			for _, n := range k.Nodes {
				if n != leaves {
					require.Contains(t, n.Juju.Status.String(), "VIP ready", "%s", k)
					require.NotContains(t, n.Juju.Status.String(), "moving", fmt.Sprint(k))
				}
			}
		})
	}
}

// TestAUnitThatIsGoneWithoutAWordIsWaitedForNoLongerThanItsMachine.
func TestAUnitThatIsGoneWithoutAWordIsWaitedForNoLongerThanItsMachine(t *testing.T) {
	k := deployed(t, 3, nil)
	dead := k.Nodes[1]
	k.PowerOff(dead)
	k.Leave(dead)
	k.Set(map[string]any{"router_id": 42})
	for range 4 {
		for _, n := range []*charmtest.Node{k.Nodes[0], k.Nodes[2]} {
			n.Await("update-status")
			work(k, n)
		}
		k.Pass(3)
	}
	require.Len(t, k.Holders(netip.MustParseAddr(vip)), 1)
	for _, n := range []*charmtest.Node{k.Nodes[0], k.Nodes[2]} {
		require.Contains(t, n.Juju.Status.String(), "active: VIP ready", "%s", k)
		require.NotContains(t, n.Juju.Status.String(), "moving", "%s", k)
	}
}

// TestAUnitThatNeverTellsThatItLeavesCountsForAnHour: its machine may live on, where somebody
// removed it by force.
func TestAUnitThatNeverTellsThatItLeavesCountsForAnHour(t *testing.T) {
	for claim, c := range map[string]struct {
		ago    time.Duration
		counts bool
	}{"less": {59 * time.Minute, true}, "more": {61 * time.Minute, false}, "a clock that was set back": {-2 * time.Hour, false}} {
		t.Run(claim, func(t *testing.T) {
			k := deployed(t, 2, map[string]any{"vrrp_mode": "unicast"})
			holder, leaves := k.Nodes[0], k.Nodes[1]
			leaves.Agent = false
			k.Leave(leaves)
			work(k, holder)
			path := holder.Layout().Record()
			r, err := applied.Decode(holder.Host.Files[path])
			require.NoError(t, err)
			require.Contains(t, r.Left, 1)
			r.Left[1] = time.Now().Add(-c.ago).Unix()
			holder.Host.Files[path], err = r.Encode()
			require.NoError(t, err)
			holder.Await("update-status")
			work(k, holder)
			r, err = applied.Decode(holder.Host.Files[path])
			require.NoError(t, err)
			require.Equal(t, c.counts, len(r.Left) > 0)
			require.Equal(t, c.counts, strings.Contains(holder.Juju.Own("cluster:1")["knows"], "1:"), "it is a peer")
		})
	}
}
