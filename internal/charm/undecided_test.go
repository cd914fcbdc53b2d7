package charm_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
)

// undecided are units that serve and cannot decide anything, as they know no options that
// they could go by, each with what its status says.
func undecided(t *testing.T) map[string]charmtest.State {
	t.Helper()
	return map[string]charmtest.State{
		`blocked: option router_id is "300"`:          option(python(0), "router_id", 300),
		"blocked: a later revision of the charm left": left(serving(t)),
		`blocked: option port is "x"`: option(with(serving(t), func(s *charmtest.State) {
			p := s.Layout().Record()
			s.Host.Files[p] = strings.Replace(s.Host.Files[p], `"healthcheck_type": "tcp"`, `"healthcheck_type": "ping"`, 1)
			require.Contains(t, s.Host.Files[p], "ping", "what another revision takes, this one may not")
		}), "port", "x"),
		`blocked: option advert_interval is "0", must be s`: option(with(serving(t), func(s *charmtest.State) { s.Host.Files[s.Layout().Record()] = "spoilt" }), "advert_interval", 0),
	}
}

// TestAUnitThatCanDecideNothingMendsWhatItServesAndTellsClients.
func TestAUnitThatCanDecideNothingMendsWhatItServesAndTellsClients(t *testing.T) {
	client := juju.Unit{Application: "other"}
	for claim, c := range map[string]struct {
		hook   string
		change func(*charmtest.State)
		is     func(*testing.T, charmtest.State)
	}{
		"keepalived that ended is started": {"update-status", func(s *charmtest.State) { s.Host.Keepalived.Running = false },
			func(t *testing.T, s charmtest.State) { require.True(t, s.Host.Keepalived.Running) }},
		"one that may not start is left alone": {"update-status", func(s *charmtest.State) { s.Host.Keepalived.Running, s.Host.Masked = false, true },
			func(t *testing.T, s charmtest.State) { require.False(t, s.Host.Keepalived.Running) }},
		"one that does not start at boot will": {"update-status", func(s *charmtest.State) { s.Host.Disabled = true },
			func(t *testing.T, s charmtest.State) { require.False(t, s.Host.Disabled) }},
		"its package that was removed is installed": {"update-status", func(s *charmtest.State) { s.Host.Installed, s.Host.Keepalived = false, charmtest.Daemon{} },
			func(t *testing.T, s charmtest.State) { require.True(t, s.Host.Keepalived.Running) }},
		"a health checker that ended is started": {"update-status", func(s *charmtest.State) {
			if c, there := s.Host.Checkers["keepalived"]; there {
				c.Running = false
				s.Host.Checkers["keepalived"] = c
			}
		}, func(t *testing.T, s charmtest.State) {
			_, configured := s.Host.Files[s.Layout().CheckerConfig()]
			require.Equal(t, configured, s.Host.Checkers["keepalived"].Running)
		}},
		"a client that joins is told": {"website-relation-joined", func(s *charmtest.State) { s.Juju.Relate(endpoint.Website, "website:9", client) },
			func(t *testing.T, s charmtest.State) {
				bag := s.Juju.Own("website:9")
				require.Equal(t, []string{vip, vip, "443"}, []string{bag["hostname"], bag["private-address"], bag["port"]})
			}},
		"so is one of the other kind": {"loadbalancer-relation-joined", func(s *charmtest.State) { s.Juju.Relate(endpoint.LoadBalancer, "loadbalancer:9", client) },
			func(t *testing.T, s charmtest.State) {
				require.Equal(t, vip, s.Juju.Own("loadbalancer:9")["public-address"])
			}},
		"what a client was told stays": {"update-status", func(s *charmtest.State) {
			s.Juju.Options["vip_hostname"] = "new.example.com"
			s.Juju.Relate(endpoint.Website, "website:9", client)
			s.Juju.Own("website:9")["port"] = "80"
		}, func(t *testing.T, s charmtest.State) {
			require.Equal(t, "80", s.Juju.Own("website:9")["port"])
			require.Empty(t, s.Juju.Own("website:9")["hostname"])
		}},
		"an action says why it does nothing": {"actions/pause", func(s *charmtest.State) { s.Juju.Parameters = map[string]any{"force": true} },
			func(t *testing.T, s charmtest.State) {
				require.NotEmpty(t, s.Juju.Failure)
				require.Contains(t, s.Juju.Status.Message+s.Juju.Failure, s.Juju.Failure)
				require.NotContains(t, s.Host.Files, s.Layout().Paused())
			}},
	} {
		for says, unit := range undecided(t) {
			t.Run(claim+", "+says, func(t *testing.T) {
				s := run(t, with(unit, c.change), c.hook)
				c.is(t, s)
				if c.hook != "actions/pause" {
					require.Contains(t, s.Juju.Status.String(), says)
				}
				require.Empty(t, charmtest.Run(t, "update-status", s).Steps)
			})
		}
	}
}

// TestWhatCannotBeUsedIsNotToldToClients: they are told what the others were, or what the
// Python charm checks.
func TestWhatCannotBeUsedIsNotToldToClients(t *testing.T) {
	unit := option(option(python(0), "port", 0), "vip_hostname", "no name")
	unit.Juju.Relate(endpoint.Website, "website:9", juju.Unit{Application: "other"})
	bag := run(t, unit, "upgrade-charm").Juju.Own("website:9")
	require.Equal(t, []string{vip, "443"}, []string{bag["hostname"], bag["port"]})
	unit.Juju.Relate(endpoint.Website, "website:3", juju.Unit{Application: "another"})
	unit.Juju.Own("website:3")["hostname"], unit.Juju.Own("website:3")["port"] = "api.example.com", "6443"
	bag = run(t, unit, "upgrade-charm").Juju.Own("website:9")
	require.Equal(t, []string{"api.example.com", "6443"}, []string{bag["hostname"], bag["port"]})
}

// TestJujusOwnAddressOnWebsiteIsMadeGoodByAUnitThatCanDecideNothing, in the hook after
// config-changed. Nothing else of what clients were told changes.
func TestJujusOwnAddressOnWebsiteIsMadeGoodByAUnitThatCanDecideNothing(t *testing.T) {
	for says, s := range undecided(t) {
		t.Run(says, func(t *testing.T) {
			s.Juju.Relate(endpoint.Website, "website:9", juju.Unit{Application: "other"})
			bag := s.Juju.Own("website:9")
			bag["hostname"], bag["private-address"], bag["port"] = "api.example.com", vip, "6443"
			told := maps.Clone(bag)
			s = run(t, s, "config-changed")
			require.Contains(t, s.Juju.Status.String(), says)
			require.NotEqual(t, told, s.Juju.Own("website:9"))
			s = run(t, s, "update-status")
			require.Equal(t, told, s.Juju.Own("website:9"))
		})
	}
}

// TestAKeepalivedThatIsNotTheUnitsIsNotStarted: the unit has not begun to serve.
func TestAKeepalivedThatIsNotTheUnitsIsNotStarted(t *testing.T) {
	fresh := option(option(charmtest.NewState(0), "virtual_ip", vip), "port", 0)
	fresh.Host.Installed = true
	fresh.Host.Files[layout.MainFile] = "vrrp_instance mine {\n interface eth0\n virtual_router_id 9\n virtual_ipaddress {\n 10.10.74.9\n }\n}\n"
	fresh.Juju.Relate(endpoint.Website, "website:9", juju.Unit{Application: "other"})
	out := charmtest.Run(t, "update-status", fresh)
	require.Empty(t, out.Steps)
	require.NotContains(t, out.Juju.Own("website:9"), "port")
}
