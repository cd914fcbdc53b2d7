package charm_test

import (
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/status"
)

// values that the walk gives to options; bad ones are among them.
func values() map[string][]any {
	return map[string][]any{
		"virtual_ip":           {"", "10.10.74.250", "10.10.74.251/24", "198.51.100.9/24", "2001:db8::9", "10.10.74.11", "bad"},
		"vip_hostname":         {"", "api.example.com", "bad name"},
		"port":                 {443, 6443, 0},
		"router_id":            {23, 51, 77, 256},
		"network_interface":    {"", "eth0", "eth1", "nosuch0"},
		"healthcheck_type":     {"tcp", "https", "unit", "none"},
		"healthcheck_interval": {1, 5, -1},
		"all_unhealthy":        {"keep", "drop"},
		"preempt":              {false, true},
		"advert_interval":      {0.2, 1, 99},
	}
}

// stir changes the world around the unit, as operators, peers and faults do.
func stir(s *charmtest.State, r *rand.Rand) {
	peers := s.Juju.Relations[endpoint.Cluster]["cluster:1"]
	switch r.IntN(9) {
	case 0, 1, 2:
		names := []string{"virtual_ip", "vip_hostname", "port", "router_id", "network_interface", "healthcheck_type",
			"healthcheck_interval", "all_unhealthy", "preempt", "advert_interval"}
		name := names[r.IntN(len(names))]
		list := values()[name]
		s.Juju.Options[name] = list[1]
		if r.IntN(4) == 0 {
			s.Juju.Options[name] = list[r.IntN(len(list))]
		}
	case 3:
		n := 1 + r.IntN(60)
		peers[unit(n)] = endpoint.Member{Principal: juju.Unit{Application: "haproxy", Number: n}, Rank: r.IntN(60) - 1}.Databag()
	case 4:
		for u := range peers {
			if u != s.Juju.Unit {
				delete(peers, u)
				break
			}
		}
	case 5:
		s.Host.Holds = !s.Host.Holds
	case 6:
		s.Host.Charm += "'"
	case 7:
		s.Host.Keepalived.Running, s.Host.Keepalived.Loaded = false, ""
	case 8:
		if s.Juju.Own("website:3") == nil {
			s.Juju.Relate(endpoint.Website, "website:3")
		} else {
			delete(s.Juju.Relations, endpoint.Website)
		}
	}
}

// fresh is the same unit on a machine where no hook ever ran, told what the unit
// told its peers.
func fresh(s charmtest.State) charmtest.State {
	f := charmtest.NewState(0)
	f.Juju = s.Clone().Juju
	f.Host.Interfaces = s.Host.Interfaces
	f.Host.Charm, f.Host.Holds = s.Host.Charm, s.Host.Holds
	return f
}

// files prints what the unit has on the machine and what runs of it. Whether the
// package is there depends, for a unit that serves nothing, on what it once did.
func files(s charmtest.State) string {
	s = s.Clone()
	if !s.Host.Keepalived.Running {
		s.Host.Installed = false
		delete(s.Host.Files, layout.StateRoot+"/installed-package")
	}
	s.Host.Settings, s.Juju = nil, charmtest.Juju{Unit: s.Juju.Unit}
	return effective(s)
}

// TestTransitionsConverge walks at random over options, peers, faults, hooks and
// deaths. After every hook that ends well the machine is what a first hook would
// make of it, nothing is owed, and all that runs has read its files.
func TestTransitionsConverge(t *testing.T) {
	t.Parallel()
	hooks := []string{"config-changed", "update-status", "upgrade-charm", "start", "leader-elected", "cluster-relation-changed",
		"loadbalancer-relation-changed", "stop", "pre-series-upgrade", "post-series-upgrade", "post-series-upgrade", "remove"}
	served, blocked, died := 0, 0, 0
	count := walks(15, func(seed uint64) {
		r := rand.New(rand.NewPCG(seed, 3))
		s := charmtest.NewState(0)
		s.Juju.Relate(endpoint.LoadBalancer, "loadbalancer:4")
		s.Host.Interfaces = append(s.Host.Interfaces, facts.Interface{Name: "eth1", Up: true,
			Addresses: []netip.Prefix{netip.MustParsePrefix("2001:db8::7/64")}})
		s = run(t, s, "install")
		for range 60 {
			for range 1 + r.IntN(3) {
				stir(&s, r)
			}
			hook := hooks[r.IntN(len(hooks))]
			if s.Host.Stopped && hook != "stop" && hook != "remove" && r.IntN(3) > 0 {
				hook = "install" // a unit that has ended begins with nothing else
			}
			if r.IntN(3) == 0 {
				death := charmtest.Death{Step: 1 + r.IntN(6), When: charmtest.When(r.IntN(3))}
				if r.IntN(3) == 0 {
					death = charmtest.Death{Call: 1 + r.IntN(12), When: charmtest.Before}
				}
				if out := charmtest.RunHook(t, charmtest.Hook{Name: hook, Death: death}, s); out.Err != nil {
					s = out.State
					died++
					continue
				}
			}
			if r.IntN(8) == 0 { // for as long as one hook
				s = mask(run(t, mask(s, true), hook), false)
				hook = hooks[r.IntN(len(hooks))]
			}
			last := s
			out := charmtest.Run(t, hook, s)
			s = out.State
			if s.Juju.Status.Level == juju.Blocked && !strings.HasPrefix(s.Juju.Status.Message, status.NoVirtualIP) ||
				strings.Contains(s.Juju.Status.Message, "; meanwhile ") { // an interface that cannot serve just now is waited for
				blocked++
				// What was good goes on, whatever earlier hooks left undone of it.
				if good := last.Host.Files[s.Layout().Record()]; good != "" {
					require.Equal(t, good, s.Host.Files[s.Layout().Record()], "seed %d", seed)
				}
				require.Empty(t, charmtest.Run(t, hook, s).Steps, "seed %d: %s", seed, s.Juju.Status)
				if s.Host.Files[s.Layout().Record()] == "" && len(out.Steps) == 0 {
					require.Equal(t, last.Host.String(), s.Host.String())
				}
				continue
			}
			if hook == "remove" {
				require.Empty(t, s.Host.Files, "seed %d", seed)
				require.False(t, s.Host.Installed)
			}
			require.Empty(t, s.Stale(), "seed %d, %s", seed, hook)
			if s.Host.Stopped {
				require.False(t, s.Host.Keepalived.Running, "seed %d, %s", seed, hook)
				require.Empty(t, charmtest.Run(t, "start", s).Steps, "seed %d, %s", seed, hook)
				continue
			}
			if _, upgrading := s.Host.Files[s.Layout().Upgrading()]; upgrading {
				require.False(t, s.Host.Keepalived.Running, "seed %d, %s", seed, hook)
				continue
			}
			require.Equal(t, files(charmtest.Run(t, hook, fresh(s)).State), files(s), "seed %d, %s", seed, hook)
			if s.Juju.Status.Level == juju.Active {
				served++
			}
		}
	})
	t.Logf("%d hooks served, %d blocked, %d died", served, blocked, died)
	if count > 10 { // one walk may serve nothing
		require.Greater(t, served, 5*count)
		require.Greater(t, blocked, 5*count)
		require.Greater(t, died, 2*count)
	}
}
