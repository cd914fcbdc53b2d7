package charm_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/step"
)

// three is a group of three units that serve; the first one holds.
func three(t *testing.T) units {
	g := units{units: map[int]charmtest.State{}}
	for n := range 3 {
		g.run(t, n, "config-changed")
	}
	g.settle(t, rand.New(rand.NewPCG(1, 1)))
	s := g.units[0]
	s.Host.Holds = true
	g.units[0] = s
	return g
}

// talks is what a unit's daemon says on the wire; units that differ do not
// understand each other.
func talks(s charmtest.State) string {
	var said []string
	for line := range strings.Lines(s.Host.Keepalived.Loaded) {
		word := strings.TrimSpace(line)
		for _, key := range []string{"version ", "virtual_router_id ", "unicast_peer ", "fd70:"} {
			if strings.HasPrefix(word, key) {
				said = append(said, word)
			}
		}
	}
	return strings.Join(said, ", ")
}

func aside(s charmtest.State) bool {
	return endpoint.ReadMember(s.Juju.Own("cluster:1")).Aside != group.TakesPart
}

// TestAChangeThatAllUnitsShareLeavesOneHolder walks the hooks that a change causes
// in random order, with hooks that die. At every moment a unit that talks
// otherwise than the holder stands aside, so it does not take the addresses, and
// in the end all talk as the option says.
func TestAChangeThatAllUnitsShareLeavesOneHolder(t *testing.T) {
	for claim, change := range map[string][2]any{
		"virtual router ID": {"router_id", 51},
		"unicast":           {"vrrp_mode", "unicast"},
		"IPv6 only":         {"virtual_ip", "2001:db8::250"},
	} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			walks(4, func(seed uint64) {
				r := rand.New(rand.NewPCG(seed, 4))
				g := three(t)
				before := talks(g.units[0])
				for n, s := range g.units {
					s.Host.DefaultInterface6 = s.Host.DefaultInterface4
					g.units[n] = option(s, change[0].(string), change[1])
				}
				told := map[int]bool{}
				for round := 0; round < 200; round++ {
					n := r.IntN(3)
					hook := "cluster-relation-changed"
					if !told[n] {
						hook = "config-changed"
					}
					if r.IntN(4) == 0 {
						g.see(n)
						out := charmtest.RunHook(t, charmtest.Hook{Name: hook, Death: charmtest.Death{Step: 1 + r.IntN(6), When: charmtest.When(r.IntN(3))}}, g.units[n])
						g.units[n] = out.State
						if out.Err != nil {
							continue
						}
					} else {
						g.run(t, n, hook)
					}
					told[n] = true
					require.NotContains(t, g.units[n].Host.Keepalived.Loaded, "interface \n", "seed %d, unit %d", seed, n)
					for n, s := range g.units {
						if n != 0 && talks(s) != talks(g.units[0]) && talks(g.units[0]) != before {
							require.True(t, aside(s), "seed %d: unit %d talks %s, the holder %s", seed, n, talks(s), talks(g.units[0]))
						}
						if n != 0 && talks(s) != before {
							require.NotEqual(t, before, talks(g.units[0]), "seed %d: unit %d changed over before the holder", seed, n)
						}
					}
				}
				for n := range g.units {
					g.run(t, n, "update-status")
					assert.Empty(t, g.units[n].Stale(), "seed %d, unit %d", seed, n)
					assert.False(t, aside(g.units[n]), "seed %d, unit %d", seed, n)
					assert.NotContains(t, g.units[n].Juju.Status.Message, "moving to", "seed %d, unit %d", seed, n)
					require.NotEqual(t, before, talks(g.units[n]), "seed %d, unit %d", seed, n)
				}
			})
		})
	}
}

// see lets a unit see what the others published.
func (g units) see(n int) {
	bags := g.units[n].Juju.Relations[endpoint.Cluster]["cluster:1"]
	for other, state := range g.units {
		if other != n {
			bags[unit(other)] = maps.Clone(state.Juju.Own("cluster:1"))
		}
	}
}

func TestAHolderAlonePinsItsAddressesWhileItChanges(t *testing.T) {
	out := charmtest.Run(t, "config-changed", option(serving(t), "router_id", 51))
	var actions []step.Action
	for _, s := range out.Steps {
		actions = append(actions, s.Action)
	}
	pin := slices.Index(actions, step.Pin)
	require.Positive(t, pin)
	require.Less(t, pin, slices.Index(actions, step.Write), "pinned before the configuration changes")
	last := out.Steps[len(out.Steps)-1]
	require.Equal(t, []step.FollowUp{step.Unpin}, last.FollowUps)
	require.Empty(t, out.Host.Pinned)
}

func TestANewcomerRunsNothingThatOptionsCannotSay(t *testing.T) {
	for runs, own := range map[string]string{
		"version=3 mode=multicast vrid=23 interval=1m40s anchor=169.254.23.112":                vip,
		"version=2 mode=multicast vrid=23 interval=1s anchor=fd70:7672:7270::1770":             "fd00::250",
		"version=2 mode=multicast vrid=23 interval=1s anchor=fd70:7672:7270::1770 spread=true": "fd00::250",
	} {
		s := option(option(charmtest.NewState(0), "virtual_ip", own), "network_interface", "eth0")
		s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)] = juju.Databag{"principal": "haproxy/1", "rank": "1", "protocol": "1", "address": "10.10.74.12",
			"vrrp": runs, "knows": "0:1,1:1"}
		s = run(t, s, "config-changed")
		require.NotContains(t, s.Host.Keepalived.Loaded, "advert_int 100", runs)
		require.NotContains(t, s.Host.Keepalived.Loaded, "version 2", runs)
	}
}
