package charm_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

func TestARefreshTellsOfAMove(t *testing.T) {
	s := run(t, withPeer(serving(t)), "cluster-relation-changed")
	writes := len(s.Juju.Statuses)
	out := charmtest.Run(t, charmtest.Refresh, s)
	require.Empty(t, out.Steps)
	require.Len(t, out.Juju.Statuses, writes, "what is shown already is not written again")
	s.Host.Holds = false
	s.Host.Heard = vrrp.Base(1) + vrrp.Priority(vrrp.Policy{}.Adjustment(true, true))
	out = charmtest.Run(t, charmtest.Refresh, s)
	require.Empty(t, out.Steps)
	require.Equal(t, "active: VIP ready: standby for 10.10.74.250, holder keepalived/1", out.Juju.Status.String())
	require.Len(t, out.Juju.Statuses, writes+1)
}

func TestARefreshBeginsNothingAndEndsNothing(t *testing.T) {
	fresh := charmtest.NewState(0)
	fresh.Juju.Options["virtual_ip"] = vip
	for claim, s := range map[string]charmtest.State{
		"before the first hooks": fresh,
		"after stop":             run(t, serving(t), "stop"),
		"after remove":           run(t, run(t, serving(t), "stop"), "remove"),
	} {
		out := charmtest.Run(t, charmtest.Refresh, s)
		require.Empty(t, out.Steps, claim)
		require.Equal(t, s.String(), out.String(), claim)
		require.Equal(t, s.Juju.Statuses, out.Juju.Statuses, claim)
	}
}

func TestARefreshMends(t *testing.T) {
	s := serving(t)
	s.Host.Keepalived = charmtest.Daemon{}
	out := charmtest.Run(t, charmtest.Refresh, s)
	require.True(t, out.Host.Keepalived.Running)
	require.Empty(t, out.Stale())
}

func TestAStrayVirtualIPIsFlushed(t *testing.T) {
	s := serving(t)
	s.Host.Holds = false
	s.Host.Stray = []netip.Addr{netip.MustParseAddr(vip)}
	out := charmtest.Run(t, "update-status", s)
	require.Empty(t, out.Stale())
	require.Equal(t, "active: VIP ready: standby for 10.10.74.250", out.Juju.Status.String())
	require.Empty(t, charmtest.Run(t, "update-status", out.State).Steps)
}

// TestWithoutNotificationsNothingWaitsForNews: and what did so is gone.
func TestWithoutNotificationsNothingWaitsForNews(t *testing.T) {
	s := serving(t)
	require.Contains(t, s.Host.Notifiers, "keepalived")
	require.Contains(t, s.Host.Checkers["keepalived"].Config, `"news"`)
	out := charmtest.Run(t, "config-changed", option(s, "status_notifications", false))
	require.Empty(t, out.Host.Notifiers)
	require.Empty(t, out.Stale())
	for _, file := range out.Layout().NotifierFiles() {
		require.NotContains(t, out.Host.Files, file)
	}
	require.NotContains(t, out.Host.Checkers["keepalived"].Config, "news")
	require.NotContains(t, out.Host.Files[out.Layout().DropIn()], "touch")
	require.Zero(t, out.Host.Keepalived.Reloads-s.Host.Keepalived.Reloads, "keepalived does not notice")
	back := charmtest.Run(t, "config-changed", option(out.State, "status_notifications", true))
	require.Equal(t, s.Host.String(), back.Host.String())
}

func TestANewHolderTellsItsPeersOnce(t *testing.T) {
	s := withPeer(serving(t))
	s.Host.Since = 1700000000
	first := charmtest.Run(t, charmtest.Refresh, s)
	since := func(s charmtest.State) int64 { return endpoint.ReadMember(s.Juju.Own("cluster:1")).Since }
	require.EqualValues(t, 1700000000, since(first.State))
	lost := first.State
	lost.Host.Holds = false
	require.EqualValues(t, 1700000000, since(run(t, lost, charmtest.Refresh)), "a loss is not told: the next holder does")
	lost.Host.Holds, lost.Host.Since = true, 1700000100
	require.EqualValues(t, 1700000000, since(run(t, lost, charmtest.Refresh)), "keepalived counts a reload like this")
	lost.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)]["since"] = "1700000050"
	require.EqualValues(t, 1700000100, since(run(t, lost, charmtest.Refresh)), "another one held meanwhile")
}

func TestARefreshWaitsForWhatIsOverInAMoment(t *testing.T) {
	s := serving(t)
	s.Host.Holds, s.Host.Heard = false, 0
	out := charmtest.Run(t, charmtest.Refresh, s)
	require.Equal(t, []step.Step{{Action: step.Await}}, out.Steps)
	require.Empty(t, charmtest.Run(t, "update-status", s).Steps, "a hook goes on")
}

func TestAHolderThatYieldedToAnotherSaysSo(t *testing.T) {
	s := withPeer(serving(t))
	s.Host.Since = 1700000000
	held := run(t, s, charmtest.Refresh)
	since := func(s charmtest.State) int64 { return endpoint.ReadMember(s.Juju.Own("cluster:1")).Since }
	require.EqualValues(t, 1700000000, since(held))
	held.Host.Holds = false
	held.Host.Heard = vrrp.Base(1) + vrrp.Priority(vrrp.Policy{}.Adjustment(true, true))
	require.Zero(t, since(run(t, held, charmtest.Refresh)), "the one it hears has no news of its own")
	held.Juju.Relations[endpoint.Cluster]["cluster:1"][juju.Unit{Application: "keepalived", Number: 1}]["since"] = "1700000100"
	require.EqualValues(t, 1700000000, since(run(t, held, charmtest.Refresh)), "the new holder has told")
}
