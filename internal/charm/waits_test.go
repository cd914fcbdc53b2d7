package charm_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/facts"
)

// TestAUnitThatHoldsAChangeUpIsNamed: it says itself what is wrong, and the others go on
// when it is gone or repaired, or the option is set back.
func TestAUnitThatHoldsAChangeUpIsNamed(t *testing.T) {
	const second = "eth1"
	attach := func(n *charmtest.Node) {
		n.Host.Interfaces = append(n.Host.Interfaces, facts.Interface{Name: second, Up: true, Addresses: n.Host.Interfaces[1].Addresses})
	}
	for claim, end := range map[string]func(*charmtest.Cluster, *charmtest.Node){
		"removed":  func(c *charmtest.Cluster, n *charmtest.Node) { c.Remove(n) },
		"repaired": func(_ *charmtest.Cluster, n *charmtest.Node) { attach(n) },
		"option back": func(c *charmtest.Cluster, _ *charmtest.Node) {
			c.Set(map[string]any{"network_interface": "", "router_id": 23})
		},
	} {
		c := newCluster(t, 3)
		holder := c.Serving()[0]
		stands := c.Nodes[(slices.Index(c.Nodes, holder)+1)%3]
		for _, n := range c.Nodes {
			if n != stands {
				attach(n)
			}
		}
		c.Set(map[string]any{"network_interface": second, "router_id": 42})
		rest(t, c)
		require.Contains(t, stands.Juju.Status.String(), "blocked: option network_interface", claim)
		require.Contains(t, holder.Juju.Status.Message, "; moving to virtual router ID 42, interface eth1, 2 of 3 units ready, waiting for "+stands.Juju.Unit.String(), claim)
		end(c, stands)
		rest(t, c)
		agreed(t, c, claim)
	}
}
