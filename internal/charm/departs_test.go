package charm_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
)

// TestAUnitThatDepartsChangesNothingAnyMore: in its last hooks it knows of no other, and
// what all wanted before is for the others to change to.
func TestAUnitThatDepartsChangesNothingAnyMore(t *testing.T) {
	for holds, aside := range map[bool]string{true: "", false: "while this unit leaves"} {
		g := units{units: map[int]charmtest.State{}}
		for n := range 2 {
			g.run(t, n, "config-changed")
		}
		g.settle(t, rand.New(rand.NewPCG(1, 1)))
		g.see(0)
		s := with(option(g.units[0], "router_id", 51), func(s *charmtest.State) {
			s.Host.Holds = holds
			delete(s.Juju.Relations[endpoint.Cluster]["cluster:1"], unit(1))
		})
		for range 2 {
			out := charmtest.RunHook(t, charmtest.Hook{Name: "cluster-relation-departed", Departing: unit(0)}, s)
			require.NoError(t, out.Err)
			s = out.State
			require.Contains(t, s.Host.Keepalived.Loaded, "virtual_router_id 23\n", "holder: %v", holds)
			require.Equal(t, aside, waits(t, s), "holder: %v", holds)
		}
		s = with(s, func(s *charmtest.State) { delete(s.Juju.Relations, endpoint.Cluster) })
		for _, hook := range []string{"cluster-relation-broken", "website-relation-broken", "update-status"} {
			s = run(t, s, hook)
			require.Contains(t, s.Host.Keepalived.Loaded, "virtual_router_id 23\n", "holder: %v, %s", holds, hook)
			require.Equal(t, aside, waits(t, s), "holder: %v, %s", holds, hook)
		}
	}
}
