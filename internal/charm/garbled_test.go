package charm_test

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/juju"
)

// TestARouterThatAPeerSaysGarbledThingsOfIsWaitedForAndThatPeerNamed: whether others have it
// or not. Nobody else is hurt, and once the peer can be read all go on.
func TestARouterThatAPeerSaysGarbledThingsOfIsWaitedForAndThatPeerNamed(t *testing.T) {
	vips := []string{"10.10.74.250", "10.10.74.251", "10.10.74.252"}
	const waits = "waiting for keepalived/2"
	for _, key := range []string{"vrrp-1", "vrrp-7"} {
		c := spreadOut(t, 3, vips[0]+" "+vips[1]+" "+vips[2])
		gaps := c.Gaps
		c.Speak(c.Nodes[2], func(bag juju.Databag) juju.Databag {
			bag = maps.Clone(bag)
			bag[key] = "\x00{"
			return bag
		})
		rest(t, c)
		for claim, event := range map[string]struct {
			happens func(*charmtest.Cluster)
			holds   []int
			names   map[string]int // the unit whose status names the peer
		}{
			"an option changes": {func(c *charmtest.Cluster) { c.Set(map[string]any{"router_id": 42}) }, []int{0, 1, 2}, map[string]int{"vrrp-1": 1}},
			"spread ends":       {func(c *charmtest.Cluster) { c.Set(map[string]any{"spread": false}) }, []int{0, 0, 0}, map[string]int{"vrrp-7": 0}},
			"a unit joins":      {func(c *charmtest.Cluster) { c.Add() }, []int{0, 1, 2}, nil},
		} {
			k, claim := c.Clone(t), key+", "+claim
			event.happens(k)
			rest(t, k)
			require.Equal(t, event.holds, holders(t, k, vips...), "%s\n%s", claim, k)
			for n, node := range k.Nodes {
				if n == 3 {
					require.Empty(t, node.Juju.Own("cluster:1")["aside"], claim)
				}
				if unit, named := event.names[key]; named && unit == n {
					require.Contains(t, node.Juju.Status.Message, waits, "%s\n%s", claim, k)
				} else {
					require.NotContains(t, node.Juju.Status.Message, waits, "%s\n%s", claim, k)
				}
			}
			k.Speak(k.Nodes[2], nil)
			rest(t, k)
			for _, n := range k.Nodes {
				require.NotContains(t, n.Juju.Status.Message, "moving", "%s\n%s", claim, k)
			}
			require.Equal(t, gaps, k.Gaps, claim)
		}
	}
}
