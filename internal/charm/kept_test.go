package charm_test

import (
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/step"
)

// keeps is a holder whose files of keepalived have to change, as a unicast peer came, and
// cannot: the machine's owner broke his.
func keeps(t *testing.T) charmtest.State {
	t.Helper()
	s := with(pair(t).units[0], func(s *charmtest.State) { s.Host.Holds, s.Host.Check.Known, s.Host.Check.Healthy = true, true, true })
	s = run(t, s, "update-status")
	s.Host.Refuse = "vrrp_instance"
	s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(2)] = juju.Databag{"principal": "haproxy/2", "rank": "2", "protocol": "1", "address": "10.10.74.13", "knows": "2:1",
		"vrrp": "version=3 mode=unicast vrid=23 interval=200ms anchor=169.254.23.112", "aside": "joins"}
	s = run(t, s, "cluster-relation-changed")
	require.Contains(t, s.Juju.Status.String(), "blocked: keepalived refuses")
	require.Empty(t, charmtest.Run(t, "update-status", s).Host.Pinned)
	return s
}

// TestAUnitStaysOutAfterABootWhileKeepalivedRefusesWhatTheOthersRun: they have changed over
// while it was off.
func TestAUnitStaysOutAfterABootWhileKeepalivedRefusesWhatTheOthersRun(t *testing.T) {
	s := keeps(t)
	for k, v := range s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)] {
		s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)][k] = strings.ReplaceAll(strings.ReplaceAll(v, "vrid=23", "vrid=51"), "169.254.23.", "169.254.51.")
	}
	booted := s.Layout().Booted()
	s.Host.Holds, s.Host.Files[booted] = false, ""
	for _, hook := range []string{"start", "config-changed", "update-status"} {
		s = run(t, s, hook)
		require.Contains(t, s.Juju.Status.String(), "keepalived refuses", hook)
		require.Contains(t, s.Host.Files, booted, "the health checker keeps it out: %s", hook)
	}
	s.Host.Refuse = ""
	s = run(t, s, "update-status")
	require.NotContains(t, s.Host.Files, booted)
	require.Contains(t, s.Host.Checkers["keepalived"].Config, `"aside": "differs"`)
}

// TestARefusedUnitWhoseFragmentIsGoneReloadsNothing, also where a hook that died owed it.
func TestARefusedUnitWhoseFragmentIsGoneReloadsNothing(t *testing.T) {
	s := keeps(t)
	l := s.Layout()
	delete(s.Host.Files, l.Fragment())
	owed := path.Join(l.Owed(), string(step.Reload))
	s.Host.Files[owed] = ""
	reloads := s.Host.Keepalived.Reloads
	s = run(t, s, "update-status")
	require.Equal(t, reloads, s.Host.Keepalived.Reloads)
	require.Contains(t, s.Host.Files, owed, "it stays owed")
	s.Host.Refuse = ""
	s = run(t, s, "update-status")
	require.Empty(t, s.Stale())
	require.NotContains(t, s.Host.Files, owed)
}

// TestAUnitThatKeepsWhatKeepalivedReadsDoesTheRest: keepalived refuses what is to be in its place.
func TestAUnitThatKeepsWhatKeepalivedReadsDoesTheRest(t *testing.T) {
	endChecker := func(s *charmtest.State) {
		c := s.Host.Checkers["keepalived"]
		c.Running = false
		s.Host.Checkers["keepalived"] = c
	}
	force := func(s *charmtest.State) { s.Juju.Parameters = map[string]any{"force": true} }
	for claim, c := range map[string]struct {
		change func(*charmtest.State)
		hooks  []string
		is     func(*testing.T, charmtest.State)
	}{
		"a client that joins is told": {func(s *charmtest.State) {
			s.Juju.Relate(endpoint.Website, "website:9", juju.Unit{Application: "other"})
		},
			[]string{"website-relation-joined"},
			func(t *testing.T, s charmtest.State) { require.Equal(t, vip, s.Juju.Own("website:9")["hostname"]) }},
		"a health checker that ended is started": {endChecker, []string{"update-status"},
			func(t *testing.T, s charmtest.State) { require.True(t, s.Host.Checkers["keepalived"].Running) }},
		"so is keepalived": {func(s *charmtest.State) { s.Host.Keepalived.Running = false }, []string{"update-status"},
			func(t *testing.T, s charmtest.State) { require.True(t, s.Host.Keepalived.Running) }},
		"both, though somebody deleted the fragment": {func(s *charmtest.State) {
			endChecker(s)
			s.Host.Keepalived.Running = false
			delete(s.Host.Files, s.Layout().Fragment())
		}, []string{"update-status"}, func(t *testing.T, s charmtest.State) {
			require.True(t, s.Host.Checkers["keepalived"].Running)
			require.True(t, s.Host.Keepalived.Running)
		}},
		"a pause is obeyed": {force, []string{"actions/pause"}, func(t *testing.T, s charmtest.State) {
			require.Contains(t, s.Juju.Results["summary"], "paused: this unit takes no virtual IP until resume")
			require.Contains(t, s.Host.Checkers["keepalived"].Config, `"aside": "paused"`)
		}},
		"so is a resume": {func(s *charmtest.State) {
			force(s)
			*s = run(t, *s, "actions/pause")
			s.Juju.Parameters = nil
		}, []string{"update-status", "actions/resume"}, func(t *testing.T, s charmtest.State) {
			require.Contains(t, s.Juju.Results["summary"], "resumed")
			require.NotContains(t, s.Host.Checkers["keepalived"].Config, "paused")
		}},
	} {
		t.Run(claim, func(t *testing.T) {
			before := keeps(t)
			s := run(t, with(before, c.change), c.hooks...)
			c.is(t, s)
			require.Contains(t, s.Juju.Status.String(), "blocked: keepalived refuses")
			require.Equal(t, before.Juju.Own("cluster:1")["lists"], s.Juju.Own("cluster:1")["lists"], "to whom it sends")
			for _, one := range charmtest.Run(t, "update-status", s).Steps {
				require.Equal(t, "test", string(one.Action), "nothing else is left to do")
			}
			mended := run(t, with(s, func(s *charmtest.State) { s.Host.Refuse = "" }), "update-status")
			require.Contains(t, mended.Juju.Own("cluster:1")["lists"], "10.10.74.13")
			require.Empty(t, mended.Stale())
		})
	}
}
