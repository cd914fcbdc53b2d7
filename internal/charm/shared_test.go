package charm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/templates"
)

// beside is another unit of the application, of another principal, on the same machine.
func beside(t *testing.T, first charmtest.State) charmtest.State {
	t.Helper()
	second := charmtest.State{Host: first.Clone().Host,
		Juju: charmtest.NewJuju(juju.Unit{Application: "keepalived", Number: 7}, juju.Unit{Application: "haproxy", Number: 7}, "10.10.74.11")}
	second.Juju.Relate(endpoint.Cluster, "cluster:1")
	second.Juju.Relate(endpoint.Website, "website:3", juju.Unit{Application: "worker"})
	second.Juju.Options["virtual_ip"] = vip
	return second
}

// TestASecondUnitOnAMachineTouchesNothing: the first one's files are the application's.
func TestASecondUnitOnAMachineTouchesNothing(t *testing.T) {
	first := serving(t)
	const said = "blocked: keepalived/0 serves keepalived on this machine already: place haproxy/7 on another machine, or remove one of them"
	second := beside(t, first)
	for _, hook := range []string{"install", "config-changed", "start", "update-status", "cluster-relation-changed", "upgrade-charm", charmtest.Refresh,
		"pre-series-upgrade", "post-series-upgrade"} {
		out := charmtest.Run(t, hook, option(second, "router_id", 42))
		require.Empty(t, out.Steps, hook)
		require.Equal(t, first.Host.String(), out.Host.String(), hook)
		if !strings.Contains(hook, "pre-series") {
			require.Equal(t, said, out.Juju.Status.String(), hook)
		}
		second = out.State
	}
	require.Empty(t, second.Juju.Own("website:3")["hostname"])
	require.NotContains(t, second.Juju.Own("cluster:1"), "vrrp", "peers know that it serves nothing")
	paused := second
	paused.Host = act(t, "pause", with(first, func(s *charmtest.State) { s.Juju.Parameters = map[string]any{"force": true} })).Host
	require.Contains(t, paused.Host.Files, first.Layout().Paused())
	for _, action := range []string{"pause", "resume", "restart", "failover"} {
		for _, s := range []charmtest.State{second, paused} {
			out := act(t, action, s)
			require.Equal(t, s.Host.String(), out.Host.String(), action)
			require.Equal(t, "keepalived/0 serves keepalived on this machine: run the action there", out.Juju.Failure, action)
		}
	}
	refused := charmtest.Run(t, "config-changed", option(second, "port", 0))
	require.Empty(t, refused.Steps)
	require.Contains(t, refused.Juju.Status.String(), "blocked: option port")

	for _, hook := range []string{"stop", "remove"} {
		out := charmtest.Run(t, hook, second)
		require.Equal(t, first.Host.String(), out.Host.String(), hook)
		second = out.State
	}
	first.Host = second.Host
	first.Host.Stopped = false // which is in the other unit's directory
	out := charmtest.Run(t, "update-status", first)
	require.Empty(t, out.Steps)
	require.Equal(t, "active: VIP ready: holds "+vip, out.Juju.Status.String())
}

// TestTheSecondUnitOnAMachineTakesOver at its next hook, when the first one has left.
func TestTheSecondUnitOnAMachineTakesOver(t *testing.T) {
	for _, hooks := range [][]string{{"stop", "remove"}, {"stop"}, {"remove"}} {
		first := serving(t)
		second := run(t, beside(t, first), "install", "config-changed")
		left := run(t, first, hooks...)
		second.Host = left.Host
		second.Host.Stopped = false
		second = run(t, second, "update-status")
		require.True(t, second.Host.Keepalived.Running)
		require.Empty(t, second.Stale())
		require.Equal(t, vip, second.Juju.Own("website:3")["hostname"])
		// What Juju still runs for the first takes nothing away.
		first = left
		first.Host = second.Host
		first.Host.Stopped = true
		for _, hook := range []string{"cluster-relation-broken", "stop", "remove"} {
			require.Equal(t, second.Host.String(), run(t, first, hook).Host.String(), "%v then %s", hooks, hook)
		}
	}
}

// TestAUnitWhoseOwnerLeftWithoutAHookIsNoOwner: Juju removed it by force.
func TestAUnitWhoseOwnerLeftWithoutAHookIsNoOwner(t *testing.T) {
	second := beside(t, serving(t))
	second.Host.OwnerGone = true
	second = run(t, second, "update-status")
	require.Equal(t, juju.Active, second.Juju.Status.Level)
	require.Empty(t, charmtest.Run(t, "update-status", second).Steps)
}

// TestWhatALaterRevisionWroteForAllStays: two applications of different revisions share the
// machine, and would each write it anew in every hook.
func TestWhatALaterRevisionWroteForAllStays(t *testing.T) {
	for path, name := range map[string]string{layout.MainFile: "keepalived.conf", layout.SysctlFile: "sysctl.conf"} {
		s := serving(t)
		is, next := fmt.Sprintf("# Format %d\n", templates.Format(name)), fmt.Sprintf("# Format %d\n", templates.Format(name)+1)
		require.Contains(t, s.Host.Files[path], is)
		write := func(format string) charmtest.State {
			return with(s, func(s *charmtest.State) {
				s.Host.Files[path] = strings.ReplaceAll(s.Host.Files[path], is, format) + "# more\n"
				if path == layout.MainFile {
					s.Host.Keepalived.Loaded = s.Host.Files[path] + s.Host.Files[s.Layout().Fragment()]
				}
			})
		}
		later := write(next)
		for _, hook := range []string{"update-status", "config-changed", "upgrade-charm"} {
			require.Empty(t, charmtest.Run(t, hook, later).Steps, "%s, %s", path, hook)
		}
		require.Empty(t, run(t, later, "stop", "remove").Host.Files, "the last one removes it all the same")
		for _, format := range []string{is, "# Format 0\n", "", "# Format x\n", "# Format -2\n", "# Format 99999999999999999999\n"} {
			out := charmtest.Run(t, "update-status", write(format))
			require.Equal(t, s.Host.Files[path], out.Host.Files[path], "%s, %q: by hand, or by an earlier one", path, format)
			require.Empty(t, out.Stale())
		}
	}
}
