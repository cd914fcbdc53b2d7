package charm_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
)

// TestWhatTheSurroundingsRefuseKeepsAUnitFromNothingElse: its options are as they were,
// what they rest on is gone. It serves, mends, tells and obeys as before, and says so.
func TestWhatTheSurroundingsRefuseKeepsAUnitFromNothingElse(t *testing.T) {
	for claim, c := range map[string]struct {
		from func(*testing.T) charmtest.State
		lose func(*charmtest.State)
		says string
	}{
		"a secret that was revoked": {func(t *testing.T) charmtest.State { return run(t, authenticated(t, "hunter2"), "config-changed") },
			func(s *charmtest.State) { s.Juju.Secrets = nil }, "blocked: option vrrp_auth_secret: cannot read key password of " + secret},
		"an interface that lost its IPv4 addresses, with unicast": {func(t *testing.T) charmtest.State { return run(t, unicastUnit(0, 1), "install", "config-changed") },
			func(s *charmtest.State) {
				eth0 := &s.Host.Interfaces[1]
				eth0.Addresses = slices.DeleteFunc(slices.Clone(eth0.Addresses), func(p netip.Prefix) bool { return p.Addr().Is4() })
			}, "blocked: interface eth0 has no IPv4 address, which vrrp_mode=unicast needs"},
	} {
		for what, then := range map[string]struct {
			hook   string
			change func(*charmtest.State)
			is     func(*testing.T, charmtest.State)
		}{
			"a client that joins is told": {"website-relation-joined", func(s *charmtest.State) {
				s.Juju.Relate(endpoint.Website, "website:9", juju.Unit{Application: "other"})
			}, func(t *testing.T, s charmtest.State) { require.Equal(t, vip, s.Juju.Own("website:9")["hostname"]) }},
			"keepalived that ended is started": {"update-status", func(s *charmtest.State) { s.Host.Keepalived.Running = false },
				func(t *testing.T, s charmtest.State) { require.True(t, s.Host.Keepalived.Running) }},
			"it can be paused": {"actions/pause", func(s *charmtest.State) { s.Juju.Parameters = map[string]any{"force": true} },
				func(t *testing.T, s charmtest.State) {
					require.Empty(t, s.Juju.Failure)
					require.Contains(t, s.Host.Files, s.Layout().Paused())
				}},
			"another option counts": {"config-changed", func(s *charmtest.State) { s.Juju.Options["vip_hostname"] = "api.example.com" },
				func(t *testing.T, s charmtest.State) {
					require.Equal(t, "api.example.com", s.Juju.Own("website:3")["hostname"])
				}},
		} {
			t.Run(claim+", "+what, func(t *testing.T) {
				s := c.from(t)
				if s.Juju.Relations[endpoint.Website] == nil {
					s.Juju.Relate(endpoint.Website, "website:3", juju.Unit{Application: "client"})
				}
				s = run(t, s, "update-status")
				loaded := s.Host.Keepalived.Loaded
				s = run(t, with(with(s, c.lose), then.change), then.hook)
				then.is(t, s)
				require.Equal(t, loaded, s.Host.Keepalived.Loaded, "what is served stays as it is")
				require.Contains(t, s.Juju.Status.String(), c.says)
				require.Empty(t, s.Stale())
			})
		}
	}
}
