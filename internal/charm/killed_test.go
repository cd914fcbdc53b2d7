package charm_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/step"
)

// TestAHolderWhoseHookIsKilledWhileItChangesGoesOnToHold: wherever the hook was, between two
// files of one step too. What comes next is that hook again or, where somebody resolved it,
// another one.
func TestAHolderWhoseHookIsKilledWhileItChangesGoesOnToHold(t *testing.T) {
	t.Parallel()
	for _, change := range []map[string]any{{"router_id": 42}, {"vrrp_mode": "unicast"}, {"advert_interval": 1.0, "vrrp_version": "2"}, {"spread": true}} {
		for _, again := range []bool{true, false} {
			for kill, ended := 1, false; !ended; kill += needs.Of(1, 7) {
				claim := fmt.Sprintf("%v, killed after %d steps, the same hook again: %v", change, kill, again)
				c := deployed(t, 2, map[string]any{"virtual_ip": threeVIPs})
				h, s := c.Serving()[0], c.Nodes[1]
				if h == s {
					s = c.Nodes[0]
				}
				c.Set(change)
				work(c, h, s)
				for range kill {
					ended = ended || c.Step(h)
				}
				if !ended {
					c.KillHook(h)
				}
				if !ended && !again {
					h.Pending = h.Pending[1:]
				}
				for s.Busy() || h.Busy() {
					for _, n := range c.Nodes {
						if n.Busy() {
							c.Step(n)
						}
						holders(t, c, strings.Fields(threeVIPs)...)
					}
				}
				rest(t, c)
				require.NotContains(t, holders(t, c, strings.Fields(threeVIPs)...), -1, "%s\n%s", claim, c)
				require.Zero(t, c.Gaps, "%s\n%s", claim, c)
			}
		}
	}
}

// TestAUnitThatJoinsIsNoSecondHolderAfterAPowerCut, whichever of its files are there by then,
// and has a hook yet to come.
func TestAUnitThatJoinsIsNoSecondHolderAfterAPowerCut(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"unicast", "multicast"} {
		cuts := 0
		for busy := true; busy; cuts += needs.Of(1, 7) {
			c := deployed(t, 2, map[string]any{"vrrp_mode": mode})
			n := c.Add()
			for step := 0; step < cuts && n.Busy(); step++ {
				c.Step(n)
			}
			c.KillHook(n)
			busy = n.Busy()
			c.PowerOff(n)
			n.Agent = false
			c.PowerOn(n)
			for range 3 {
				c.Pass(5)
				require.Len(t, c.Serving(), 1, "%s, after %d steps\n%s", mode, cuts, c)
			}
			n.Agent = true
			rest(t, c)
			agreed(t, c, fmt.Sprintf("%s, after %d steps", mode, cuts))
		}
		require.Greater(t, cuts, 20)
	}
}

// TestWhatIsPinnedGoesAtOnceWithAUnitThatServesNothingAnyMore: from when keepalived has stopped
// another machine answers too.
func TestWhatIsPinnedGoesAtOnceWithAUnitThatServesNothingAnyMore(t *testing.T) {
	s := serving(t)
	s.Host.Pinned, s.Host.Files[s.Layout().Owed()+"/unpin"] = []netip.Addr{netip.MustParseAddr(vip)}, ""
	for claim, in := range map[string]charmtest.State{"stop": s, "pre-series-upgrade": s, "config-changed": option(s, "virtual_ip", "")} {
		out := charmtest.Run(t, claim, in)
		require.Empty(t, out.Host.Pinned, claim)
		var said []string
		for _, s := range out.Steps {
			if s.Action == step.Do || s.Action == step.StopKeepalived {
				said = append(said, s.String())
			}
		}
		require.Equal(t, []string{"stop keepalived", "do unpin", "do daemon-reload"}, said[:3], claim)
	}
}
