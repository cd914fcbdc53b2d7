package charm_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
)

// TestAnElectionThatTakesLongerThanAHookMayWait is waited for by the hooks that follow: the
// virtual IPs stay on the loopback device, and no peer is told that the unit has changed.
func TestAnElectionThatTakesLongerThanAHookMayWait(t *testing.T) {
	s := run(t, option(serving(t), "advert_interval", 40), "config-changed", "update-status")
	s = option(s, "router_id", 51)
	want := run(t, s, "config-changed", "update-status")
	slow := charmtest.Run(t, "config-changed", with(s, func(s *charmtest.State) { s.Host.Slow = true }))
	require.NotEmpty(t, slow.Host.Pinned)
	require.True(t, slow.Host.Reminded, "nobody else tells when it is over")
	require.Equal(t, s.Juju.Own("cluster:1"), slow.Juju.Own("cluster:1"))
	again := charmtest.Run(t, charmtest.Refresh, slow.State)
	require.NotEmpty(t, again.Host.Pinned)
	require.Equal(t, slow.Host.Keepalived.Reloads, again.Host.Keepalived.Reloads)
	require.Equal(t, s.Juju.Own("cluster:1"), again.Juju.Own("cluster:1"))
	again.Host.Slow = false
	done := run(t, again.State, charmtest.Refresh, "update-status")
	require.Empty(t, done.Stale())
	require.Equal(t, want.Host.String(), done.Host.String())
	require.Equal(t, want.Juju.Own("cluster:1"), done.Juju.Own("cluster:1"))
}

// TestAClientThatJoinsWhileAnElectionIsSlowIsTold, which need not end.
func TestAClientThatJoinsWhileAnElectionIsSlowIsTold(t *testing.T) {
	s := run(t, option(serving(t), "advert_interval", 40), "config-changed", "update-status")
	s = run(t, with(option(s, "router_id", 51), func(s *charmtest.State) { s.Host.Slow = true }), "config-changed")
	require.NotEmpty(t, s.Host.Pinned)
	s.Juju.Relate(endpoint.Website, "website:9", juju.Unit{Application: "other"})
	told := s.Juju.Own("cluster:1")
	s = run(t, s, "website-relation-joined")
	require.Equal(t, vip, s.Juju.Own("website:9")["hostname"])
	require.Equal(t, told, s.Juju.Own("cluster:1"), "no peer is told of what is not over")
}

// TestAUnitThatJoinsWhileAnElectionIsSlowIsKnown: it begins with the first hook after that.
func TestAUnitThatJoinsWhileAnElectionIsSlowIsKnown(t *testing.T) {
	for _, units := range []int{1, 2} {
		c := newCluster(t, units)
		c.Set(map[string]any{"advert_interval": 40, "status_notifications": false})
		rest(t, c)
		holder := c.Serving()[0]
		c.Set(map[string]any{"router_id": 51})
		for range 4 {
			holder.Host.Slow = true
			work(c, c.Nodes...)
		}
		require.NotEmpty(t, holder.Host.Pinned)
		third := c.Add()
		for range 6 {
			holder.Host.Slow = true
			work(c, c.Nodes...)
			require.Equal(t, []*charmtest.Node{holder}, c.Serving(), "%s", c)
		}
		require.NotEmpty(t, holder.Host.Pinned)
		require.NotEmpty(t, third.Juju.Own("cluster:1")["aside"], "%s", c)
		announced := holder.Juju.Own("cluster:1")["next"] != ""
		require.Equal(t, units > 1, announced)
		require.Equal(t, announced, strings.Contains(holder.Juju.Own("cluster:1")["knows"], fmt.Sprintf("%d:1", units)), "%s", c)
		holder.Host.Slow = false
		holder.Await("update-status")
		work(c, c.Nodes...)
		work(c, c.Nodes...)
		require.Empty(t, third.Juju.Own("cluster:1")["aside"], "%s", c)
		rest(t, c)
		agreed(t, c, fmt.Sprint(units))
		require.Zero(t, c.Gaps)
	}
}

// TestUnitsChangeOverThoughElectionsAreSlow, one after the other.
func TestUnitsChangeOverThoughElectionsAreSlow(t *testing.T) {
	c := newCluster(t, 3)
	c.Set(map[string]any{"router_id": 42})
	waits := 0
	for round := range 30 {
		for _, n := range c.Nodes {
			n.Host.Slow = round < 10 && round%3 > 0
			n.Await("update-status")
			work(c, n)
			if len(n.Host.Pinned) > 0 {
				waits++
			}
		}
	}
	rest(t, c)
	agreed(t, c, "slow")
	require.Zero(t, c.Gaps)
	require.NotZero(t, waits)
}
