package charm_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
)

// hindered is a holder with a healthy peer whose next pass comes to grief.
func hindered(t *testing.T, change func(*charmtest.State)) charmtest.State {
	return with(option(holding(t, "true"), "virtual_ip", vip+" 10.10.74.251"), change)
}

func TestAnActionTellsWhatIsNotCarriedOutYet(t *testing.T) {
	refused := hindered(t, func(s *charmtest.State) {
		s.Host.Refuse = "10.10.74.251"
		delete(s.Host.Files, s.Layout().Record()) // there is nothing to go back to
	})
	full := hindered(t, func(s *charmtest.State) { s.Host.Full = true })
	for _, c := range []struct {
		action string
		in     charmtest.State
		want   string
	}{
		{"pause", refused, "paused: this unit takes no virtual IP until resume; what it held was away for 50ms"},
		{"resume", with(refused, mark), "resumed, once this is mended: keepalived refuses the configuration: 10.10.74.251"},
		{"failover", refused, "handed over: keepalived refuses the configuration: 10.10.74.251"},
		{"restart", refused, "keepalived was restarted: keepalived refuses the configuration: 10.10.74.251"},
		{"resume", with(full, mark), "resumed, once this is mended: cannot write: no space left on device"},
		{"failover", full, "handed over: cannot write: no space left on device"},
	} {
		synctest.Test(t, func(t *testing.T) {
			out := act(t, c.action, c.in)
			require.Empty(t, out.Juju.Failure)
			require.Equal(t, c.want, out.Juju.Results["summary"])
			mended := with(out.State, func(s *charmtest.State) { s.Host.Refuse, s.Host.Full = "", false })
			require.Empty(t, charmtest.Run(t, "update-status", mended).Stale(), "the next hook carries it out")
		})
	}
}

// mark pauses a unit.
func mark(s *charmtest.State) { s.Host.Files[s.Layout().Paused()] = "" }

func TestAnActionThatFailsHasChangedNothing(t *testing.T) {
	for _, c := range []struct {
		action string
		in     charmtest.State
		want   string
	}{
		{"pause", hindered(t, func(s *charmtest.State) { s.Host.Full = true }), "cannot write: no space left on device"},
		{"failover", hindered(t, func(s *charmtest.State) { s.Host.Alone = true }), "cannot hand over: no other unit took the virtual IPs"},
	} {
		out := act(t, c.action, c.in)
		require.Equal(t, c.want, out.Juju.Failure)
		require.Empty(t, out.Juju.Results)
		require.Equal(t, c.in.Host.String(), out.Host.String(), c.action)
		require.Equal(t, c.in.Juju.String(), out.Juju.String(), c.action)
	}
}

func TestAPauseThatIsNotObeyedSaysSo(t *testing.T) {
	s := with(holding(t, "true"), func(s *charmtest.State) { s.Host.Alone = true })
	synctest.Test(t, func(t *testing.T) {
		out := act(t, "pause", s)
		const message = "paused, takes no VIP: juju run keepalived/0 resume; has " + vip + " all the same: journalctl -u keepalived"
		require.Equal(t, "not obeyed yet: "+message, out.Juju.Results["summary"])
		require.Equal(t, "maintenance: "+message, out.Juju.Status.String())
	})
}

func TestAnActionSetsAStatusThatIsNew(t *testing.T) {
	s := holding(t, "true")
	out := act(t, "check-network", s)
	require.Equal(t, s.Juju.Statuses, out.Juju.Statuses, "each is a write to the controller")
	out = act(t, "pause", s)
	require.Equal(t, "maintenance: paused, takes no VIP: juju run keepalived/0 resume", out.Juju.Status.String())
	require.Len(t, out.Juju.Statuses, len(s.Juju.Statuses)+1)
}

func TestAStatusThatJujuRefusesKeepsNoActionFromItsEnd(t *testing.T) {
	s := with(holding(t, "true"), func(s *charmtest.State) { s.Juju.Fixed = true })
	out := act(t, "pause", s)
	require.Contains(t, out.Juju.Results["summary"], "paused: this unit takes no virtual IP until resume; what it held was away for 50ms")
	require.Contains(t, out.Juju.Lines, "cannot set status: unknown command")
	require.Equal(t, s.Juju.Status, out.Juju.Status)
}

func TestAHookCarriesOnAPauseThatWasKilled(t *testing.T) {
	out := charmtest.RunHook(t, charmtest.Hook{Name: "actions/pause", Death: charmtest.Death{Step: 1, When: charmtest.After}}, holding(t, "true"))
	require.Error(t, out.Err)
	require.NotContains(t, out.Host.Checkers["keepalived"].Config, "aside")
	next := charmtest.Run(t, "update-status", out.State)
	require.Equal(t, "maintenance: paused, takes no VIP: juju run keepalived/0 resume", next.Juju.Status.String())
	require.Contains(t, next.Host.Checkers["keepalived"].Config, `"aside": "paused"`)
	require.Empty(t, next.Stale())
}
