package charm_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
)

// recorded is what a unit says it runs.
func recorded(t *testing.T, s charmtest.State) applied.Record {
	t.Helper()
	r, err := applied.Decode(s.Host.Files[s.Layout().Record()])
	require.NoError(t, err)
	return r
}

// TestWhatTheRevisionBeforeLeftIsTakenOver: it noted the options in a file of their own,
// and read back what it had rendered. Nothing that runs notices.
func TestWhatTheRevisionBeforeLeftIsTakenOver(t *testing.T) {
	for claim, options := range map[string]map[string]any{
		"one virtual IP": nil,
		"unicast":        {"vrrp_mode": "unicast"},
		"spread":         {"spread": true, "virtual_ip": vip + " 10.10.74.251 2001:db8::1"},
	} {
		s := serving(t)
		for name, value := range options {
			s = option(s, name, value)
		}
		s = run(t, run(t, s, "config-changed"), "update-status")
		before := with(s, func(s *charmtest.State) {
			text, err := json.Marshal(recorded(t, *s).Options)
			require.NoError(t, err)
			s.Host.Files[s.Layout().Options()] = string(text)
			delete(s.Host.Files, s.Layout().Record())
		})
		out := charmtest.Run(t, "upgrade-charm", before)
		require.Equal(t, s.Host.Files, out.Host.Files, claim)
		require.Equal(t, s.Host.Keepalived, out.Host.Keepalived, claim)
		require.Equal(t, s.Juju.Status, out.Juju.Status, claim)
		require.Equal(t, s.Juju.Relations, out.Juju.Relations, claim)
		typo := run(t, option(before, "port", 0), "upgrade-charm")
		require.Contains(t, typo.Juju.Status.String(), `blocked: option port is "0", must be a whole number in 1-65535; meanwhile VIP ready`, claim)
		require.NotContains(t, typo.Host.Files, s.Layout().Options())
	}
}

// left is a unit as a later revision of the charm leaves it: the formats of its record, of
// its health checker's configuration and of the shared files are the next ones.
func left(s charmtest.State) charmtest.State {
	next := strings.NewReplacer(`"version": 1`, `"version": 2, "words": "unknown here"`, `"version": 2`, `"version": 3, "words": "unknown here"`, "# Format 2\n", "# Format 3\n")
	return with(s, func(s *charmtest.State) {
		for path, text := range s.Host.Files {
			s.Host.Files[path] = next.Replace(text)
		}
		s.Host.Keepalived.Loaded = next.Replace(s.Host.Keepalived.Loaded)
		for application, c := range s.Host.Checkers {
			c.Config = next.Replace(c.Config)
			s.Host.Checkers[application] = c
		}
	})
}

// TestARecordOfALaterRevisionLeavesEverythingAsItIs, in every hook but those that end
// the unit.
func TestARecordOfALaterRevisionLeavesEverythingAsItIs(t *testing.T) {
	s := left(withPeer(serving(t)))
	require.Contains(t, s.Host.Files[layout.MainFile], "# Format 3\n")
	require.Contains(t, s.Host.Files[s.Layout().CheckerConfig()], `"version": 3`)
	s.Juju.Relate(endpoint.Website, "website:9", juju.Unit{Application: "other"})
	for _, hook := range []string{"update-status", "config-changed", "upgrade-charm", "cluster-relation-changed", "website-relation-joined", charmtest.Refresh} {
		out := charmtest.Run(t, hook, option(s, "router_id", 24))
		require.Equal(t, "blocked: a later revision of the charm left this unit's record: juju refresh keepalived --path ./keepalived.charm", out.Juju.Status.String(), hook)
		require.Empty(t, out.Steps, hook)
		require.Equal(t, s.Juju.Own("cluster:1"), out.Juju.Own("cluster:1"), hook)
	}
	mended := run(t, with(s, func(s *charmtest.State) {
		s.Host.Keepalived.Running = false
		s.Host.Files["/var/lib/keepalived-charm/keepalived/owed/reload"] = ""
	}), "update-status")
	require.True(t, mended.Host.Keepalived.Running, "what is owed is done")
	gone := run(t, run(t, s, "stop"), "remove")
	require.Empty(t, gone.Host.Files)
}

// TestTheRecordIsNeverOlderThanTheFragment: at every point at which a hook may die, what
// keepalived is about to read is of addresses that the unit knows it put there.
func TestTheRecordIsNeverOlderThanTheFragment(t *testing.T) {
	const second = "10.10.74.251"
	change := option(serving(t), "virtual_ip", vip+" "+second)
	for step := 1; step < 20; step++ {
		for _, when := range []charmtest.When{charmtest.Before, charmtest.Amid, charmtest.After} {
			out := charmtest.RunHook(t, charmtest.Hook{Name: "config-changed", Death: charmtest.Death{Step: step, When: when}}, change)
			for _, s := range []charmtest.State{out.State, charmtest.RunHook(t, charmtest.Hook{Name: "stop", Death: charmtest.Death{Step: step, When: when}}, out.State).State} {
				fragment, written := s.Host.Files[s.Layout().Fragment()]
				if !written {
					continue
				}
				for _, p := range recorded(t, s).All()[0] {
					if p.String() == second {
						fragment = strings.ReplaceAll(fragment, second, "")
					}
				}
				require.NotContains(t, fragment, second, "step %d", step)
			}
			if out.Err == nil {
				return
			}
		}
	}
	t.Fatal("the hook never ended")
}

func TestThePasswordIsInTheRecordThatOnlyRootReads(t *testing.T) {
	s := run(t, authenticated(t, "hunter2"), "config-changed")
	require.Equal(t, "hunter2", recorded(t, s).Routers[0].Password)
	shown := run(t, s, "actions/get-configuration")
	for key, value := range shown.Juju.Results {
		require.NotContains(t, value, "hunter2", key)
	}
}
