package charm_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

// units are several units of one application, each on its own machine, that see
// each other's databags.
type units struct {
	units map[int]charmtest.State
	// principals tells whose machine a unit shares; haproxy by default.
	principals map[int]string
}

func unit(n int) juju.Unit { return juju.Unit{Application: "keepalived", Number: n} }

// run runs a hook in one unit, which sees what the others published.
func (g units) run(t *testing.T, n int, hook string) charmtest.Out {
	t.Helper()
	s, ok := g.units[n]
	if !ok {
		s = charmtest.NewState(n % 200)
		principal := "haproxy"
		if p := g.principals[n]; p != "" {
			principal = p
		}
		s.Juju = charmtest.NewJuju(unit(n), juju.Unit{Application: principal, Number: n}, fmt.Sprintf("10.10.%d.%d", 1+n/200, 11+n%200))
		s.Juju.Relate(endpoint.Cluster, "cluster:1")
		s.Juju.Options["virtual_ip"] = vip
	}
	bags := s.Juju.Relations[endpoint.Cluster]["cluster:1"]
	maps.DeleteFunc(bags, func(u juju.Unit, _ juju.Databag) bool { return u != unit(n) })
	for other, state := range g.units {
		if other != n {
			bags[unit(other)] = maps.Clone(state.Juju.Own("cluster:1"))
		}
	}
	out := charmtest.Run(t, hook, s)
	g.units[n] = out.State
	return out
}

func (g units) numbers() []int { return slices.Sorted(maps.Keys(g.units)) }

// settle runs the hooks that changed databags cause, in random order, until
// nothing changes any more.
func (g units) settle(t *testing.T, r *rand.Rand) {
	t.Helper()
	for range 30 {
		before := g.ranks()
		order := g.numbers()
		r.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
		for _, n := range order {
			g.run(t, n, "cluster-relation-changed")
		}
		if maps.Equal(before, g.ranks()) {
			return
		}
	}
	t.Fatal("ranks never settle")
}

func (g units) ranks() map[int]int {
	ranks := map[int]int{}
	for n, s := range g.units {
		ranks[n] = endpoint.ReadMember(s.Juju.Own("cluster:1")).Rank
	}
	return ranks
}

func priority(s charmtest.State) string {
	for line := range strings.Lines(s.Host.Keepalived.Loaded) {
		if p, found := strings.CutPrefix(strings.TrimSpace(line), "priority "); found {
			return p
		}
	}
	return "none"
}

// TestAUnitThatComesOrGoesRenumbersNobody walks random orders of joining and
// leaving, with unit numbers far beyond the number of ranks.
func TestAUnitThatComesOrGoesRenumbersNobody(t *testing.T) {
	t.Parallel()
	walks(2, func(seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		g := units{units: map[int]charmtest.State{}}
		next := r.IntN(60)
		for range 40 {
			switch {
			case len(g.units) < 2 || r.IntN(3) > 0 && len(g.units) < 12:
				before := g.ranks()
				loads := map[int]int{}
				for n, s := range g.units {
					loads[n] = s.Host.Keepalived.Starts + s.Host.Keepalived.Reloads
				}
				g.run(t, next, "install")
				g.run(t, next, "config-changed")
				g.settle(t, r)
				for n, rank := range before {
					require.Equal(t, rank, g.ranks()[n], "seed %d: unit %d joined, unit %d", seed, next, n)
					require.Equal(t, loads[n], g.units[n].Host.Keepalived.Starts+g.units[n].Host.Keepalived.Reloads, "a joining unit makes nobody reload")
				}
				next += 1 + r.IntN(40)
			default:
				gone := g.numbers()[r.IntN(len(g.units))]
				delete(g.units, gone)
				before := g.ranks()
				g.settle(t, r)
				require.Equal(t, before, g.ranks(), "seed %d: unit %d left", seed, gone)
			}
			seen := map[string]int{}
			for n, s := range g.units {
				p := priority(s)
				require.NotContains(t, seen, p, "seed %d: units %d and %d have the same priority", seed, n, seen[p])
				seen[p] = n
			}
		}
	})
}

// TestUnitsThatStartTogetherGetDistinctRanks: none sees the others at first.
func TestUnitsThatStartTogetherGetDistinctRanks(t *testing.T) {
	walks(5, func(seed uint64) {
		r := rand.New(rand.NewPCG(seed, 2))
		g := units{units: map[int]charmtest.State{}}
		numbers := []int{0, 1, 50, 51, 100, 101, 150}
		alone := map[int]charmtest.State{}
		for _, n := range numbers {
			lone := units{units: map[int]charmtest.State{}}
			lone.run(t, n, "install")
			alone[n] = lone.run(t, n, "config-changed").State
		}
		maps.Copy(g.units, alone)
		g.settle(t, r)
		distinct := map[int]bool{}
		for _, rank := range g.ranks() {
			distinct[rank] = true
		}
		require.Len(t, distinct, len(numbers))
		require.Equal(t, 0, g.ranks()[0], "the lowest number keeps its rank")
		require.Equal(t, 1, g.ranks()[1])
	})
}

func TestUnitsOfAnotherPrincipalAreAnotherGroup(t *testing.T) {
	g := units{units: map[int]charmtest.State{}, principals: map[int]string{50: "nginx", 51: "nginx"}}
	for _, n := range []int{0, 50, 51} {
		g.run(t, n, "config-changed")
	}
	g.settle(t, rand.New(rand.NewPCG(1, 1)))
	assert.Equal(t, map[int]int{0: 0, 50: 0, 51: 1}, g.ranks(), "ranks of groups do not concern each other")
	assert.Contains(t, g.units[0].Host.Checkers["keepalived"].Config, `"peers": false`)
	assert.Contains(t, g.units[50].Host.Checkers["keepalived"].Config, `"peers": true`)
}

func TestAUnitThatHasToldNothingIsInNoGroup(t *testing.T) {
	s := serving(t)
	s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)] = juju.Databag{"ingress-address": "10.10.74.12"}
	out := charmtest.Run(t, "cluster-relation-joined", s)
	require.Empty(t, out.Steps)
}

func TestAMissingPeerRelationIsSurvived(t *testing.T) {
	s := charmtest.NewState(3)
	delete(s.Juju.Relations, endpoint.Cluster)
	s = run(t, option(s, "virtual_ip", vip), "upgrade-charm", "config-changed")
	require.Equal(t, fmt.Sprint(vrrp.Base(3)), priority(s), "the rank of the unit number")
	require.Empty(t, s.Stale())
	s.Juju.Relate(endpoint.Cluster, "cluster:9")
	out := charmtest.Run(t, "cluster-relation-created", s)
	require.Empty(t, out.Steps, "its coming changes nothing")
	require.Equal(t, "3", out.Juju.Own("cluster:9")["rank"])
}

func TestALeavingPeerCountsNoMore(t *testing.T) {
	s := run(t, withPeer(serving(t)), "cluster-relation-changed")
	require.Contains(t, s.Host.Checkers["keepalived"].Config, `"peers": true`)
	out := charmtest.RunHook(t, charmtest.Hook{Name: "cluster-relation-departed", Departing: unit(1)}, s)
	require.NoError(t, out.Err)
	require.Contains(t, out.Host.Checkers["keepalived"].Config, `"peers": false`)
	require.Equal(t, s.Host.Keepalived, out.Host.Keepalived)
}

func TestAStandbyNamesTheHolder(t *testing.T) {
	s := run(t, with(withPeer(serving(t)), func(s *charmtest.State) { s.Host.Holds = false }), "cluster-relation-changed")
	heard := vrrp.Base(1) + vrrp.Priority(vrrp.Policy{}.Adjustment(true, true))
	s.Host.Heard = heard
	require.Equal(t, "active: VIP ready: standby for 10.10.74.250, holder keepalived/1", run(t, s, "update-status").Juju.Status.String())
	s.Host.Heard = 255
	require.Equal(t, "active: VIP ready: standby for 10.10.74.250", run(t, s, "update-status").Juju.Status.String())
}

// TestHostileDatabagsOfPeersDoNoHarm: a peer cannot stop or rename this unit.
func TestHostileDatabagsOfPeersDoNoHarm(t *testing.T) {
	s := serving(t)
	const runs = "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112"
	for _, bag := range []juju.Databag{
		{"principal": "haproxy/1", "rank": "-1"}, {"principal": "haproxy/1", "rank": "99999999999999999999"},
		{"principal": "haproxy/1", "rank": "0"}, {"principal": "haproxy/1", "rank": "1", "addresses": "x,,\n}"},
		{"principal": "../../etc", "rank": "0"}, {},
		{"principal": "haproxy/1", "vrrp": "\x00{"}, {"principal": "haproxy/1", "protocol": "1", "vrrp": runs, "next": "}\n", "aside": "\x00", "knows": "0:x,,-1:1,0:99999999999999999999"},
		{"principal": "haproxy/1", "protocol": "1", "vrrp": runs, "vips-254": "10.10.74.250", "round": "99999999999999999999"},
	} {
		s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)] = bag
		out := charmtest.Run(t, "cluster-relation-changed", s)
		require.Equal(t, s.Host.Keepalived, out.Host.Keepalived, "%v", bag)
		require.Equal(t, "active: VIP ready: holds 10.10.74.250", out.Juju.Status.String(), "%v", bag)
	}
}

// TestAPeerThatServesAndCannotBeReadIsWaitedFor: its unit may take part still.
func TestAPeerThatServesAndCannotBeReadIsWaitedFor(t *testing.T) {
	const runs = "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112"
	for _, principal := range []string{"", "haproxy 1", "\x00", "haproxy/01", "../../etc"} {
		s := serving(t)
		s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)] = juju.Databag{"principal": principal, "protocol": "1", "vrrp": runs}
		out := run(t, option(s, "router_id", 51), "config-changed", "update-status")
		require.Contains(t, out.Host.Keepalived.Loaded, "virtual_router_id 23\n", "%q", principal)
		require.Contains(t, out.Juju.Status.Message, "moving to virtual router ID 51, waiting for keepalived/1", "%q", principal)
	}
	s := serving(t)
	s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)] = juju.Databag{"principal": "other/1", "protocol": "1", "vrrp": strings.ReplaceAll(runs, "multicast", "unicast")}
	require.Contains(t, run(t, option(s, "router_id", 51), "config-changed").Host.Keepalived.Loaded, "virtual_router_id 51\n", "a unit of another group is not, which has its own virtual router")
}
