package charm_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// site is machines with a unit of each of two applications of the charm.
type site struct {
	hosts []charmtest.Host
	units map[juju.Unit]charmtest.Juju
	// holds is who holds a virtual router: the first one that has it. All instances
	// with its ID understand each other.
	holds map[vrrp.VirtualRouterID]place
	// deaf tells that nobody hears anybody.
	deaf bool
}

type place struct {
	machine  int
	instance string
}

func newSite(machines int, options map[string]map[string]any) *site {
	s := &site{units: map[juju.Unit]charmtest.Juju{}, holds: map[vrrp.VirtualRouterID]place{}}
	for n := range machines {
		state := charmtest.NewState(n)
		s.hosts = append(s.hosts, state.Host)
		for application, changed := range options {
			u := juju.Unit{Application: application, Number: n}
			j := charmtest.NewJuju(u, state.Juju.Principal, state.Juju.Ingress[0])
			j.Relate(endpoint.Cluster, "cluster:1")
			j.Planned = machines
			maps.Copy(j.Options, changed)
			s.units[u] = j
		}
	}
	return s
}

// run runs a hook, which sees the other units of its application but in the first ones.
func (s *site) run(t *testing.T, u juju.Unit, hook string) {
	t.Helper()
	j := s.units[u]
	bags := map[juju.Unit]juju.Databag{u: j.Own("cluster:1")}
	for other, state := range s.units {
		if other.Application == u.Application && other != u && hook != "install" {
			bags[other] = maps.Clone(state.Own("cluster:1"))
		}
	}
	j.Relations[endpoint.Cluster]["cluster:1"] = bags
	host := s.hosts[u.Number]
	host.Network, host.Roles = s.network(u.Number), s.roles(u.Number)
	out := charmtest.Run(t, hook, charmtest.State{Juju: j, Host: host})
	s.units[u], s.hosts[u.Number] = out.Juju, out.Host
	for _, c := range s.claims(u.Number) {
		if _, held := s.holds[c.VirtualRouterID]; !held {
			s.holds[c.VirtualRouterID] = place{u.Number, c.Name}
		}
	}
}

// claims are the instances that a machine's daemon runs.
func (s *site) claims(machine int) []keepalived.Instance {
	return keepalived.Instances(s.hosts[machine].Keepalived.Loaded)
}

// network is what a machine finds on the segment.
func (s *site) network(machine int) (l conflict.Look) {
	for n, h := range s.hosts {
		if n == machine || s.deaf {
			continue
		}
		by := conflict.Host{Address: h.Interfaces[1].Addresses[0].Addr(), MAC: h.Interfaces[1].MAC}
		addresses := []netip.Addr{by.Address}
		for _, c := range s.claims(n) {
			if s.holds[c.VirtualRouterID] == (place{n, c.Name}) {
				heard := says(by, c.VirtualRouterID)
				heard.Version, heard.Addresses = 3, c.Advertised
				l.Heard = append(l.Heard, heard)
				addresses = append(addresses, c.Addresses...)
			}
		}
		for _, a := range addresses {
			l.Answers = append(l.Answers, has(conflict.Host{MAC: by.MAC}, a.String()))
		}
	}
	return l
}

// roles are the parts of a machine's instances; a unit's rank is its number.
func (s *site) roles(machine int) map[string]charmtest.Role {
	roles := map[string]charmtest.Role{}
	for _, c := range s.claims(machine) {
		holder := s.holds[c.VirtualRouterID]
		r := charmtest.Role{Holds: holder == place{machine, c.Name}, Since: 100}
		if !r.Holds {
			r.Heard = vrrp.Base(vrrp.Rank(holder.machine)) + vrrp.HealthyWeight + vrrp.HolderWeight
		}
		roles[c.Name] = r
	}
	return roles
}

func (s *site) all() []juju.Unit {
	return slices.SortedFunc(maps.Keys(s.units), func(a, b juju.Unit) int { return a.Number*2 - b.Number*2 + len(a.Application) - len(b.Application) })
}

// rest runs what follows a deployment.
func (s *site) rest(t *testing.T) {
	t.Helper()
	for _, hook := range []string{"cluster-relation-joined", "cluster-relation-changed", "cluster-relation-changed", "update-status", "cluster-relation-changed", "update-status"} {
		for _, u := range s.all() {
			s.run(t, u, hook)
		}
	}
}

func (s *site) String() string {
	text := ""
	for _, u := range s.all() {
		text += fmt.Sprintln(u, s.units[u].Status)
	}
	return text
}

const appA, appB = "keepalived", "keepalived-b"

// TestTwoApplicationsDoNotTakeEachOthersUnitsForTheirOwn: each keeps units of the other
// from serving, whose machines it sends from. Whatever the order, the one that came first
// serves everywhere and the other nowhere.
func TestTwoApplicationsDoNotTakeEachOthersUnitsForTheirOwn(t *testing.T) {
	for claim, b := range map[string]map[string]any{
		"one virtual router ID": {"virtual_ip": "10.10.74.251"},
		"one virtual IP":        {"virtual_ip": vip, "router_id": 24},
	} {
		t.Run(claim, func(t *testing.T) {
			walks(4, func(seed uint64) {
				r := rand.New(rand.NewPCG(seed, 6))
				s := newSite(2+r.IntN(2), map[string]map[string]any{appA: {"virtual_ip": vip}, appB: b})
				var order []juju.Unit
				for _, u := range s.all() {
					order = append(order, u, u, u)
				}
				r.Shuffle(len(order), func(a, b int) { order[a], order[b] = order[b], order[a] })
				hooks := map[juju.Unit][]string{}
				for _, u := range order {
					hook := []string{"install", "cluster-relation-joined", "cluster-relation-changed"}[len(hooks[u])]
					hooks[u] = append(hooks[u], hook)
					s.run(t, u, hook)
				}
				s.rest(t)
				first := order[0].Application
				for u, j := range s.units {
					want := juju.Blocked
					if u.Application == first {
						want = juju.Active
					}
					require.Equal(t, want, j.Status.Level, "seed %d, order %v\n%s", seed, order, s)
				}
				require.Len(t, s.holds, 1, "seed %d\n%s", seed, s)
			})
		})
	}
}

// TestTwoApplicationsThatBeganAtTheSameTimeSaySo: neither heard the other when it looked.
func TestTwoApplicationsThatBeganAtTheSameTimeSaySo(t *testing.T) {
	s := newSite(3, map[string]map[string]any{appA: {"virtual_ip": vip}, appB: {"virtual_ip": "10.10.74.251"}})
	s.deaf = true
	s.run(t, juju.Unit{Application: appA, Number: 0}, "install")
	s.run(t, juju.Unit{Application: appB, Number: 1}, "install")
	s.deaf = false
	s.rest(t)
	require.Equal(t, place{0, "charm_keepalived"}, s.holds[23])
	const said = "; router_id 23 is used by 10.10.74.11 (52:54:00:74:00:0b) too: try juju config keepalived-b router_id=24"
	require.Contains(t, s.units[juju.Unit{Application: appB, Number: 1}].Status.Message, said, "%s", s)
	for u, j := range s.units {
		if u.Application == appA {
			require.NotContains(t, j.Status.Message, "too: try", "%s", s)
		}
		j.Options["router_id"] = map[string]any{appA: 23, appB: 24}[u.Application]
	}
	for _, u := range s.all() {
		s.run(t, u, "config-changed")
	}
	s.rest(t)
	for u, j := range s.units {
		require.Equal(t, juju.Active, j.Status.Level, "%s\n%s", u, s)
		require.NotContains(t, j.Status.Message, "too: try", "%s\n%s", u, s)
	}
	require.Equal(t, 1, s.holds[24].machine)
}

func TestTwoApplicationsThatTookOneVirtualIPAtTheSameTimeSaySo(t *testing.T) {
	s := newSite(2, map[string]map[string]any{appA: {"virtual_ip": vip}, appB: {"virtual_ip": vip, "router_id": 24}})
	s.deaf = true
	s.run(t, juju.Unit{Application: appA, Number: 0}, "install")
	s.run(t, juju.Unit{Application: appB, Number: 1}, "install")
	s.deaf = false
	s.rest(t)
	for u, other := range map[juju.Unit]string{{Application: appA, Number: 0}: "10.10.74.12", {Application: appB, Number: 1}: "10.10.74.11"} {
		require.Contains(t, s.units[u].Status.Message, "VIP ready: holds "+vip+"; "+vip+" is answered by "+other, "%s", s)
	}
}
