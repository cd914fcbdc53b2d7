package charm_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
)

// TestAUnitThatDepartsChangesNothingAnyMore: in its last hooks it knows of no other, and
// what all wanted before is for the others to change to. Juju goes on to list the peer
// relation up to 3.5: with those whose departure is yet to come, then with nobody. The order
// of relations is random, so hooks of others follow.
func TestAUnitThatDepartsChangesNothingAnyMore(t *testing.T) {
	for holds, aside := range map[bool]string{true: "", false: "while this unit leaves"} {
		for _, listed := range []bool{true, false} {
			claim := fmt.Sprintf("holder: %v, relation listed: %v", holds, listed)
			g := units{units: map[int]charmtest.State{}}
			for n := range 3 {
				g.run(t, n, "config-changed")
			}
			g.settle(t, rand.New(rand.NewPCG(1, 1)))
			g.see(0)
			s := with(option(g.units[0], "router_id", 51), func(s *charmtest.State) { s.Host.Holds = holds })
			told := s.Juju.Own("cluster:1")["vrrp"]
			stays := func(hook string) {
				t.Helper()
				require.Contains(t, s.Host.Keepalived.Loaded, "virtual_router_id 23\n", "%s, %s", claim, hook)
				require.Equal(t, aside, waits(t, s), "%s, %s", claim, hook)
			}
			others := []string{"juju-info-relation-departed", "juju-info-relation-broken", "website-relation-broken", "config-changed", charmtest.Refresh}
			for n := 1; n < 3; n++ {
				delete(s.Juju.Relations[endpoint.Cluster]["cluster:1"], unit(n))
				for range 2 {
					out := charmtest.RunHook(t, charmtest.Hook{Name: "cluster-relation-departed", Departing: unit(0)}, s)
					require.NoError(t, out.Err)
					s = out.State
					stays("cluster-relation-departed")
				}
				for _, hook := range others {
					s = run(t, s, hook)
					stays(hook)
				}
			}
			require.Equal(t, told, s.Juju.Own("cluster:1")["vrrp"], claim)
			if !listed {
				delete(s.Juju.Relations, endpoint.Cluster)
			}
			for _, hook := range append(others, "cluster-relation-broken", "update-status") {
				s = run(t, s, hook)
				stays(hook)
			}
			s = run(t, s, "stop", "remove")
			if s.Juju.Relations[endpoint.Cluster] == nil {
				s.Juju.Relate(endpoint.Cluster, "cluster:1")
			}
			s = run(t, s, "install", "cluster-relation-created", "config-changed")
			require.Contains(t, s.Host.Keepalived.Loaded, "virtual_router_id 51\n", "%s: one that begins anew", claim)
			require.Empty(t, waits(t, s), claim)
		}
	}
}

// TestAUnitThatDepartsAmidTheUpgradeFromThePythonCharmSpeaksAsThatToTheEnd: once the relation
// to the principal unit has gone Juju counts no unit any more, and units of that charm serve on.
func TestAUnitThatDepartsAmidTheUpgradeFromThePythonCharmSpeaksAsThatToTheEnd(t *testing.T) {
	own, other, website := "cluster-relation-departed", "juju-info-relation-departed", "website-relation-departed"
	for holds, aside := range map[bool]string{true: "", false: "while this unit leaves"} {
		for _, last := range [][]string{
			{other, "juju-info-relation-broken", website, own, "cluster-relation-broken"},
			{own, other, "juju-info-relation-broken", "cluster-relation-broken", website},
			{"cluster-relation-broken", other, "juju-info-relation-broken"},
		} {
			s := with(python(0), func(s *charmtest.State) { s.Host.Holds = holds })
			s.Juju.Relate(endpoint.Cluster, "cluster:1")
			s.Juju.Relate(endpoint.Website, "website:1")
			s = run(t, s, "upgrade-charm", "config-changed")
			s.Juju.Planned = 0
			for _, hook := range last {
				out := charmtest.RunHook(t, charmtest.Hook{Name: hook, Departing: unit(0)}, s)
				require.NoError(t, out.Err)
				s = out.State
				speaksAsPython(t, s, fmt.Sprint(hook, " of ", last))
				require.Equal(t, aside, waits(t, s), "%s of %s", hook, last)
			}
		}
	}
}

// TestTheEndOfTheRelationToThePrincipalIsADeparture: Juju may tell of that first, when others
// have heard already that the unit departs. In unicast mode they send it no advertisements
// any more: a standby that went on would take the virtual IPs beside them.
func TestTheEndOfTheRelationToThePrincipalIsADeparture(t *testing.T) {
	for _, hook := range []string{"juju-info-relation-departed", "juju-info-relation-broken"} {
		for holds, aside := range map[bool]string{true: "", false: "while this unit leaves"} {
			g := units{units: map[int]charmtest.State{}}
			for n := range 3 {
				g.run(t, n, "config-changed")
			}
			g.settle(t, rand.New(rand.NewPCG(1, 1)))
			for n := range 3 {
				g.units[n] = option(g.units[n], "vrrp_mode", "unicast")
			}
			for n := range 3 {
				g.run(t, n, "config-changed")
			}
			g.settle(t, rand.New(rand.NewPCG(1, 1)))
			s := with(g.units[0], func(s *charmtest.State) { s.Host.Holds = holds })
			require.Empty(t, waits(t, s))
			loaded := s.Host.Keepalived.Loaded
			s = run(t, s, hook)
			require.Equal(t, aside, waits(t, s), "holder: %v, %s", holds, hook)
			require.Equal(t, loaded, s.Host.Keepalived.Loaded, "it goes on to send where it did")
			s = run(t, s, "update-status")
			require.Equal(t, aside, waits(t, s), "holder: %v, %s", holds, hook)
		}
	}
}

// TestAUnitThatDepartsBeginsNoRouter: the others do not count it any more, and would find
// what it took to be a stranger's.
func TestAUnitThatDepartsBeginsNoRouter(t *testing.T) {
	c := spreadOut(t, 2, "10.10.74.250 10.10.74.251")
	s := *c.Nodes[1].State
	delete(s.Juju.Relations[endpoint.Cluster]["cluster:1"], unit(0))
	s = option(s, "virtual_ip", threeVIPs)
	out := charmtest.RunHook(t, charmtest.Hook{Name: "cluster-relation-departed", Departing: unit(1)}, s)
	require.NoError(t, out.Err)
	for _, hook := range []string{"config-changed", "update-status", "juju-info-relation-broken"} {
		config, err := healthcheck.Parse([]byte(out.Host.Files[out.Layout().CheckerConfig()]))
		require.NoError(t, err)
		require.Len(t, config.Instances, 3)
		require.Equal(t, "while this unit leaves", group.ParseAside(config.Instances[2].Aside).String(), hook)
		out.State = run(t, out.State, hook)
	}
}

// TestAUnitThatIsTakenIntoAGroupAgainDepartsNoMore, as after another charm that has no such
// relation.
func TestAUnitThatIsTakenIntoAGroupAgainDepartsNoMore(t *testing.T) {
	for _, hook := range []string{"cluster-relation-created", "cluster-relation-joined"} {
		s := run(t, withPeer(serving(t)), "cluster-relation-changed")
		out := charmtest.RunHook(t, charmtest.Hook{Name: "cluster-relation-departed", Departing: unit(0)}, s)
		require.NoError(t, out.Err)
		s = run(t, option(out.State, "router_id", 51), "config-changed")
		require.Contains(t, s.Host.Keepalived.Loaded, "virtual_router_id 23\n")
		delete(s.Juju.Relations[endpoint.Cluster]["cluster:1"], unit(1))
		s = run(t, s, hook, "config-changed")
		require.Contains(t, s.Host.Keepalived.Loaded, "virtual_router_id 51\n", hook)
	}
}

// TestAUnitThatMovesToItsOtherRelationDoesNotDepart, though Juju tells of the end of the old one
// before its principal unit has joined the new one: the standby takes over later.
func TestAUnitThatMovesToItsOtherRelationDoesNotDepart(t *testing.T) {
	for _, from := range []string{endpoint.HA, endpoint.JujuInfo} {
		c := charmtest.NewCluster(t, clusterOptions())
		join := func(n *charmtest.Node, name string) {
			if name == endpoint.HA {
				c.Ask(n, written(t, "haproxy-01-first"))
				return
			}
			n.Juju.Relate(name, "juju-info:9", n.Juju.Principal)
			n.Await("juju-info-relation-joined")
		}
		to := map[string]string{endpoint.HA: endpoint.JujuInfo, endpoint.JujuInfo: endpoint.HA}[from]
		for range 2 {
			delete(c.Add().Juju.Relations, endpoint.JujuInfo)
			join(c.Nodes[len(c.Nodes)-1], from)
		}
		rest(t, c)
		for _, n := range c.Nodes {
			n.Juju.Relate(to, map[string]juju.RelationID{endpoint.HA: charmtest.Asks, endpoint.JujuInfo: "juju-info:9"}[to])
			c.Detach(n, from)
		}
		rest(t, c)
		for _, n := range c.Nodes {
			require.True(t, n.Host.Departs, "to %s", to)
			join(n, to)
		}
		rest(t, c)
		require.Empty(t, waits(t, *c.Nodes[0].State)+waits(t, *c.Nodes[1].State), "to %s", to)
		c.PowerOff(c.Holders(netip.MustParseAddr(vip))[0])
		require.Len(t, c.Holders(netip.MustParseAddr(vip)), 1, "to %s", to)
	}
}

// TestAUnitWithoutAPeerRelationDoesNotDepart, whatever becomes of its checker.json.
func TestAUnitWithoutAPeerRelationDoesNotDepart(t *testing.T) {
	s := serving(t)
	delete(s.Juju.Relations, endpoint.Cluster)
	s = run(t, s, "update-status")
	delete(s.Host.Files, s.Layout().CheckerConfig())
	s = run(t, s, "website-relation-broken", "update-status")
	s = run(t, option(s, "router_id", 51), "config-changed")
	require.Contains(t, s.Host.Keepalived.Loaded, "virtual_router_id 51\n")
}

func TestAUnitThatDepartsChangesNothingWhateverItsCheckerConfigurationSays(t *testing.T) {
	for claim, spoil := range map[string]func(*charmtest.State){
		"deleted": func(s *charmtest.State) { delete(s.Host.Files, s.Layout().CheckerConfig()) },
		"empty":   func(s *charmtest.State) { s.Host.Files[s.Layout().CheckerConfig()] = "" },
		"later": func(s *charmtest.State) {
			p := s.Layout().CheckerConfig()
			s.Host.Files[p] = strings.Replace(s.Host.Files[p], `"version": 2`, `"version": 3`, 1)
		},
	} {
		t.Run(claim, func(t *testing.T) {
			g := units{units: map[int]charmtest.State{}}
			for n := range 2 {
				g.run(t, n, "config-changed")
			}
			g.settle(t, rand.New(rand.NewPCG(1, 1)))
			g.see(0)
			s := with(option(g.units[0], "router_id", 51), func(s *charmtest.State) { s.Host.Holds = false; spoil(s) })
			delete(s.Juju.Relations[endpoint.Cluster]["cluster:1"], unit(1))
			out := charmtest.RunHook(t, charmtest.Hook{Name: "cluster-relation-departed", Departing: unit(0)}, s)
			require.NoError(t, out.Err)
			require.Contains(t, out.Host.Keepalived.Loaded, "virtual_router_id 23\n")
		})
	}
}
