package charm_test

import (
	"fmt"
	"maps"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
)

// waits tells what a unit's health checker keeps it out of the election for.
func waits(t *testing.T, s charmtest.State) string {
	t.Helper()
	c, err := healthcheck.Parse([]byte(s.Host.Files[layout.Layout{Application: "keepalived"}.CheckerConfig()]))
	require.NoError(t, err)
	return group.ParseAside(c.Aside()).String()
}

// unicastUnit is a unit that knows no peer yet.
func unicastUnit(n, planned int) charmtest.State {
	s := charmtest.NewState(n)
	s.Juju = charmtest.NewJuju(unit(n), juju.Unit{Application: "haproxy", Number: n}, fmt.Sprintf("10.10.74.%d", 11+n))
	s.Juju.Relate(endpoint.Cluster, "cluster:1")
	s.Juju.Options["virtual_ip"], s.Juju.Options["vrrp_mode"], s.Juju.Planned = vip, "unicast", planned
	return s
}

// pair is two units that know each other.
func pair(t *testing.T) units {
	t.Helper()
	g := units{units: map[int]charmtest.State{}}
	for n := range 2 {
		g.units[n] = run(t, unicastUnit(n, 2), "install", "config-changed")
	}
	for range 2 {
		g.run(t, 0, "cluster-relation-changed")
		g.run(t, 1, "cluster-relation-changed")
	}
	return g
}

// sends is the list of addresses in a unit's configuration.
func sends(s charmtest.State) []netip.Addr {
	return keepalived.Peers(s.Host.Files[layout.Layout{Application: "keepalived"}.Fragment()])
}

func TestAUnicastUnitThatLeavesSendsToItsPeersUntilItStops(t *testing.T) {
	for holds, reason := range map[bool]string{true: "", false: "while this unit leaves"} {
		g := pair(t)
		peer := []netip.Addr{netip.MustParseAddr("10.10.74.12")}
		require.Equal(t, peer, sends(g.units[0]))
		told := g.units[0].Juju.Own("cluster:1")["lists"]
		s := with(g.units[0], func(s *charmtest.State) {
			s.Host.Holds = holds
			delete(s.Juju.Relations[endpoint.Cluster]["cluster:1"], unit(1))
		})
		out := charmtest.RunHook(t, charmtest.Hook{Name: "cluster-relation-departed", Departing: unit(0)}, s)
		require.NoError(t, out.Err)
		require.Equal(t, peer, sends(out.State))
		require.Equal(t, reason, waits(t, out.State), "holder: %v", holds)
		require.Contains(t, out.Host.Files[out.Layout().CheckerConfig()], `"deserted": true`, "it would not hear its successor")
		require.Equal(t, told, out.Juju.Own("cluster:1")["lists"])
		s = out.State
		for range 2 {
			for _, hook := range []string{"website-relation-broken", "update-status"} {
				s = run(t, s, hook)
				require.Equal(t, peer, sends(s), hook)
				require.Equal(t, reason, waits(t, s), hook)
				require.Contains(t, s.Host.Files[s.Layout().CheckerConfig()], `"deserted": true`, hook)
			}
			delete(s.Juju.Relations, endpoint.Cluster) // Juju 3.5 lists it on, without units
		}
		require.Empty(t, sends(run(t, s, "stop")))
	}
}

func TestAUnicastUnitForgetsAPeerThatLeaves(t *testing.T) {
	g := pair(t)
	s := with(g.units[0], func(s *charmtest.State) {
		delete(s.Juju.Relations[endpoint.Cluster]["cluster:1"], unit(1))
	})
	out := charmtest.RunHook(t, charmtest.Hook{Name: "cluster-relation-departed", Departing: unit(1)}, s)
	require.NoError(t, out.Err)
	require.Equal(t, []netip.Addr{netip.MustParseAddr("10.10.74.11")}, sends(out.State), "its own address: nobody else is left")
	require.Empty(t, waits(t, out.State))
}

func TestAUnicastUnitClaimsNothingBeforeItKnowsAllAndAllSendToIt(t *testing.T) {
	g := units{units: map[int]charmtest.State{}}
	for n := range 2 {
		s := run(t, unicastUnit(n, 2), "install", "config-changed", "start", "update-status")
		require.Equal(t, "until this unit knows all others", waits(t, s), "another one is planned, of which nothing is known")
		g.units[n] = s
	}
	g.run(t, 1, "cluster-relation-joined")
	require.Equal(t, "until every unit sends its advertisements here", waits(t, g.units[1]))
	g.run(t, 0, "cluster-relation-joined")
	g.run(t, 1, "cluster-relation-changed")
	g.run(t, 0, "cluster-relation-changed")
	for n := range 2 {
		require.Empty(t, waits(t, g.units[n]), "they know each other")
		g.units[n] = with(g.units[n], func(s *charmtest.State) { s.Juju.Planned = 3 })
		g.run(t, n, "update-status")
		require.Empty(t, waits(t, g.units[n]), "those who served go on while a third one is planned")
	}
}

func TestASingleUnicastUnitServesAtOnce(t *testing.T) {
	require.Empty(t, waits(t, run(t, unicastUnit(0, 1), "install", "config-changed")))
}

func TestAnAddressThatAPeerTellsFaultsNoHook(t *testing.T) {
	for _, a := range []string{"::ffff:10.10.74.12", "::", "ff02::12", "::1", "127.0.0.1", "0.0.0.0", "224.0.0.18", "255.255.255.255"} {
		for _, own := range []string{vip, "fd00::250"} {
			s := option(option(charmtest.NewState(0), "vrrp_mode", "unicast"), "virtual_ip", own)
			s.Juju.Options["network_interface"], s.Host.Holds = "eth0", true
			s = run(t, s, "install", "config-changed", "update-status")
			s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)] = juju.Databag{"principal": "haproxy/1", "rank": "1", "protocol": "1", "address": a,
				"vrrp": "version=3 mode=unicast vrid=23 interval=200ms anchor=169.254.23.112 interface=eth0", "lists": "10.10.74.11", "knows": "0:1,1:1"}
			s = run(t, s, "cluster-relation-changed")
			require.NotContains(t, s.Host.Keepalived.Loaded, "\n        "+a+"\n", "with %s", own)
		}
	}
}

// TestAPeerThatTellsNoAddressOfItsOwnIsSentAdvertisementsAllTheSame: it would hear nothing, and
// hold as well.
func TestAPeerThatTellsNoAddressOfItsOwnIsSentAdvertisementsAllTheSame(t *testing.T) {
	for claim, address := range map[string]string{"none": "", "no address": "x", "the virtual IP": vip, "the holder's": "10.10.74.11", "another peer's": "10.10.74.12",
		"of the other family": "fe80::1", "several": "10.10.74.11,10.10.74.12,10.10.74.13"} {
		t.Run(claim, func(t *testing.T) {
			c := deployed(t, 3, map[string]any{"vrrp_mode": "unicast"})
			c.Speak(c.Nodes[2], func(b juju.Databag) juju.Databag {
				b = maps.Clone(b)
				b["address"] = address
				return b
			})
			for range 3 {
				for _, n := range c.Nodes[:2] {
					work(c, n)
					c.Pass(3)
					require.Len(t, c.Holders(netip.MustParseAddr(vip)), 1, "%s", c)
					n.Await("update-status")
				}
			}
		})
	}
}
