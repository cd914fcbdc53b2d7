package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/controller"
	"keepalived-charm/tests/poll"
)

func TestSubordinateLivesAsJujuLetsIt(t *testing.T) {
	l := newLab(t, controller.Config{})
	l.deploy(2)
	start := time.Time{}

	leader, err := l.Leader("sub")
	require.NoError(t, err)
	follower := "sub/1"
	if leader == follower {
		follower = "sub/0"
	}

	t.Run("from deploy to running the hooks come in Juju's order", func(t *testing.T) {
		for unit, leading := range map[string]string{leader: "leader-elected", follower: "leader-settings-changed"} {
			hooks := l.Hooks(unit, start)
			require.GreaterOrEqual(t, len(hooks), 8, "%s ran %v", unit, hooks)
			require.Equal(t, "install", hooks[0])
			require.ElementsMatch(t, []string{"juju-info-relation-created", "cluster-relation-created"}, hooks[1:3])
			require.Equal(t, []string{leading, "config-changed", "start"}, hooks[3:6])
			require.Contains(t, hooks[6:], "cluster-relation-joined")
			require.Contains(t, hooks[6:], "juju-info-relation-joined")
			require.Less(t, slices.Index(hooks, "cluster-relation-joined"), lastIndex(hooks, "cluster-relation-changed"))
		}
	})
	t.Run("status, version and databags reach the controller", func(t *testing.T) {
		for _, unit := range []string{"sub/0", "sub/1"} {
			u, ok := l.Status().Unit(unit)
			require.True(t, ok)
			require.Equal(t, "active", u.Workload.Status)
			require.Equal(t, "color red edition 0", u.Workload.Message)
			require.Equal(t, "idle", u.Agent.Status)
			require.Equal(t, "1.0", u.WorkloadVersion)
		}
		id, err := l.RelationID("sub:cluster", "sub:cluster")
		require.NoError(t, err)
		data, err := l.UnitData(id, "sub/1")
		require.NoError(t, err)
		require.Equal(t, "10.9.0.11", data["address"])
		app, err := l.AppData(id, "sub")
		require.NoError(t, err)
		require.Equal(t, map[string]string{"leader": leader}, app)
	})
	t.Run("a config change runs config-changed on every unit", func(t *testing.T) {
		now := time.Now()
		require.NoError(t, l.SetConfig("sub", map[string]string{"color": "blue"}))
		l.settled()
		for _, unit := range []string{"sub/0", "sub/1"} {
			require.Equal(t, []string{"config-changed"}, l.Hooks(unit, now))
			u, _ := l.Status().Unit(unit)
			require.Equal(t, "color blue edition 0", u.Workload.Message)
		}
	})
	t.Run("a changed address runs config-changed on that machine's unit only", func(t *testing.T) {
		now := time.Now()
		require.NoError(t, l.SetAddresses("0", controller.Address{Value: "10.9.0.99", CIDR: "10.9.0.0/24", Interface: "eth0"}))
		l.settled()
		require.Equal(t, "config-changed", l.Hooks("sub/0", now)[0])
		require.NotContains(t, l.Hooks("sub/1", now), "config-changed")
	})
	t.Run("update-status runs when told to", func(t *testing.T) {
		now := time.Now()
		require.NoError(t, l.TriggerUpdateStatus())
		l.settled()
		require.Equal(t, []string{"update-status"}, l.Hooks("sub/0", now))
		require.Equal(t, []string{"update-status"}, l.Hooks("sub/1", now))
	})
	t.Run("actions return results, failures and the reason for it", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		res, err := l.RunAction(ctx, "sub/0", "greet", nil)
		require.NoError(t, err)
		require.Equal(t, controller.ActionCompleted, res.Status)
		require.Equal(t, "hello world", res.Results["greeting"])
		require.Equal(t, []string{"about to greet"}, res.Log)
		res, err = l.RunAction(ctx, "sub/0", "refuse", nil)
		require.NoError(t, err)
		require.Equal(t, controller.ActionFailed, res.Status)
		require.Equal(t, "will not", res.Message)
		res, err = l.RunAction(ctx, "sub/1", "greet", map[string]any{"name": 7})
		require.NoError(t, err)
		require.Equal(t, controller.ActionFailed, res.Status, "Juju checks the type")
	})
	t.Run("an action that takes too long is cancelled", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		now := time.Now()
		go func() {
			defer cancel()
			_, _ = l.WaitEvent(ctx, now, func(e controller.Event) bool { // without one the action ends with patience
				return e.Kind == controller.ActionBegin && e.Name == "sleep"
			})
		}()
		res, err := l.RunAction(ctx, "sub/0", "sleep", nil)
		require.ErrorIs(t, err, context.Canceled)
		l.settled()
		res, err = l.Action(res.ID)
		require.NoError(t, err)
		require.Equal(t, controller.ActionAborted, res.Status, "it began, and did not sleep to its end")
	})
	t.Run("juju-exec runs hook tools and flushes", func(t *testing.T) {
		out, err := l.exec("sub/0", `status-set active "by exec"; config-get color; exit 3`)
		require.ErrorContains(t, err, "exit status 3")
		require.Equal(t, "blue\n", out)
		u, _ := l.Status().Unit("sub/0")
		require.Equal(t, "by exec", u.Workload.Message)
	})
	t.Run("a relation to a model-only consumer runs joined and changed and carries data", func(t *testing.T) {
		now := time.Now()
		id, err := l.Integrate("sub:website", "haproxy:reverseproxy")
		require.NoError(t, err)
		l.settled()
		hooks := l.Hooks("sub/1", now)
		require.Equal(t, "website-relation-created", hooks[0])
		require.Len(t, hooks, 5, "created and two times joined and changed: %v", hooks)
		data, err := l.UnitData(id, "sub/1")
		require.NoError(t, err)
		require.Equal(t, "80", data["port"])
		u, _ := l.Status().Unit("sub/1")
		require.Equal(t, []string{"80/tcp"}, u.Ports)
		now = time.Now()
		require.NoError(t, l.SetUnitData(id, "haproxy/0", map[string]string{"k": "v"}))
		l.settled()
		require.Equal(t, []string{"website-relation-changed"}, l.Hooks("sub/1", now))
	})
	t.Run("leadership moves", func(t *testing.T) {
		now := time.Now()
		require.NoError(t, l.SetLeader(follower))
		l.settled()
		got, err := l.Leader("sub")
		require.NoError(t, err)
		require.Equal(t, follower, got)
		require.Contains(t, l.Hooks(follower, now), "leader-elected")
		require.Contains(t, l.Hooks(leader, now), "leader-settings-changed")
	})
	t.Run("refresh runs upgrade-charm then config-changed and replaces the files", func(t *testing.T) {
		now := time.Now()
		require.NoError(t, l.Refresh("sub", l.charm(1), false))
		l.settled()
		hooks := l.Hooks("sub/0", now)
		require.Equal(t, []string{"upgrade-charm", "config-changed"}, hooks[:2])
		require.NotContains(t, hooks, "install")
		charm := filepath.Join(l.home("sub/0"), "juju/agents/unit-sub-0/charm")
		require.NoFileExists(t, filepath.Join(charm, "only-in-0"))
		require.FileExists(t, filepath.Join(charm, "only-in-1"))
		u, _ := l.Status().Unit("sub/0")
		require.Equal(t, 1, u.CharmRevision)
	})
	t.Run("a principal unit removed takes its subordinate along", func(t *testing.T) {
		now := time.Now()
		require.NoError(t, l.RemoveUnit("haproxy/1"))
		l.gone(t, "sub/1")
		require.Contains(t, l.Hooks("sub/0", now), "cluster-relation-departed")
		_, ok := l.Status().Unit("haproxy/1")
		require.False(t, ok)
	})
	t.Run("the last container relation removed ends the unit", func(t *testing.T) {
		now := time.Now()
		require.NoError(t, l.RemoveRelation("sub:juju-info", "haproxy:juju-info"))
		l.gone(t, "sub/0")
		hooks := l.Hooks("sub/0", now)
		require.Equal(t, []string{"stop", "remove"}, hooks[len(hooks)-2:], "ran %v", hooks)
		require.ElementsMatch(t, []string{
			"juju-info-relation-departed", "juju-info-relation-broken",
			"website-relation-departed", "website-relation-broken",
		}, hooks[:len(hooks)-2])
		seen, err := os.ReadFile(filepath.Join(l.home("sub/0"), "juju/agents/unit-sub-0/seen"))
		require.NoError(t, err)
		require.Contains(t, string(seen), "hooks/website-relation-departed haproxy/0 sub/0\n",
			"JUJU_DEPARTING_UNIT names the unit that goes")
	})
}

func lastIndex(list []string, s string) int {
	for i := len(list) - 1; i >= 0; i-- {
		if list[i] == s {
			return i
		}
	}
	return -1
}

// gone waits for a unit's removal and for its agent to end with exit code 0.
func (l *lab) gone(t *testing.T, unit string) {
	t.Helper()
	l.wait(unit+" removed", func(s controller.Snapshot) bool { _, ok := s.Unit(unit); return !ok })
	p := l.process(unit)
	select {
	case <-p.done:
		require.True(t, p.cmd.ProcessState.Success(), "agent of %s: %v", unit, p.cmd.ProcessState)
	case <-time.After(patience):
		t.Fatalf("agent of %s still runs", unit)
	}
	l.settled()
}

func TestFailedHookIsRetriedAndCanBeResolved(t *testing.T) {
	l := newLab(t, controller.Config{RetryMin: time.Second, RetryMax: 2 * time.Second})
	l.deploy(1)
	require.NoError(t, l.SetConfig("sub", map[string]string{"fail": "true"}))
	failed := func(s controller.Snapshot) bool {
		u, _ := s.Unit("sub/0")
		return u.Agent.Status == "error" && u.Agent.Message == `hook failed: "config-changed"`
	}
	l.wait("hook error", failed)
	now := time.Now()
	poll.Until(t, func() bool { return len(l.Hooks("sub/0", now)) >= 2 }, patience, 50*time.Millisecond)
	require.NoError(t, l.SetConfig("sub", map[string]string{"fail": "false"}))
	l.wait("recovery", func(s controller.Snapshot) bool {
		u, _ := s.Unit("sub/0")
		return u.Agent.Status == "idle" && u.Workload.Status == "active"
	})
	l.settled()

	require.NoError(t, l.SetConfig("sub", map[string]string{"fail": "true"}))
	l.wait("hook error", failed)
	require.NoError(t, l.Resolve("sub/0", false))
	l.wait("resolved", func(s controller.Snapshot) bool { u, _ := s.Unit("sub/0"); return u.Agent.Status == "idle" })
	now = time.Now()
	l.settled()
	require.Empty(t, l.Hooks("sub/0", now), "resolved without retry skips the hook")
}

func TestControllerAwayAndBack(t *testing.T) {
	l := newLab(t, controller.Config{RetryMin: time.Second})
	l.deploy(1)
	pid := l.process("sub/0").cmd.Process.Pid
	now := time.Now()
	require.NoError(t, l.SetConfig("sub", map[string]string{"slow": "2"}))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err := l.WaitEvent(ctx, now, func(e controller.Event) bool {
		return e.Kind == controller.HookBegin && e.Name == "config-changed"
	})
	require.NoError(t, err)
	l.Down()
	poll.Until(t, func() bool {
		_, err := l.exec("sub/0", "true")
		return err != nil
	}, patience, 200*time.Millisecond, "without controller juju-exec fails")
	l.Up()
	l.settled()
	require.NoError(t, l.SetConfig("sub", map[string]string{"slow": "0", "color": "green"}))
	l.wait("green", func(s controller.Snapshot) bool {
		u, _ := s.Unit("sub/0")
		return strings.Contains(u.Workload.Message, "green")
	})
	l.settled()
	u, _ := l.Status().Unit("sub/0")
	require.Equal(t, "idle", u.Agent.Status)
	require.Equal(t, pid, l.process("sub/0").cmd.Process.Pid, "the agent outlives the outage")
	_, err = l.exec("sub/0", "true")
	require.NoError(t, err)
}

func TestWithoutAutomaticRetryAFailedHookWaitsForResolved(t *testing.T) {
	l := newLab(t, controller.Config{NoRetry: true, RetryMin: 100 * time.Millisecond})
	l.deploy(1)
	now := time.Now()
	require.NoError(t, l.SetConfig("sub", map[string]string{"fail": "true"}))
	l.settled()
	time.Sleep(time.Second)
	require.Equal(t, []string{"config-changed"}, l.Hooks("sub/0", now), "it failed once and stays so")
	u, _ := l.Status().Unit("sub/0")
	require.Equal(t, "error", u.Agent.Status)
	require.Contains(t, l.Status().String(), `hook failed: "config-changed"`)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	res, err := l.RunAction(ctx, "sub/0", "greet", nil)
	require.NoError(t, err)
	require.Equal(t, controller.ActionCompleted, res.Status, "actions run in hook error too")
	l.settled()

	now = time.Now()
	require.NoError(t, l.SetConfig("sub", map[string]string{"fail": "false"}))
	require.NoError(t, l.Resolve("sub/0", true))
	l.wait("recovery", func(s controller.Snapshot) bool { u, _ := s.Unit("sub/0"); return u.Agent.Status == "idle" })
	l.settled()
	require.Contains(t, l.Hooks("sub/0", now), "config-changed")
}

func TestAnotherUnitLeadsAfterTheLeadersAgentIsGone(t *testing.T) {
	l := newLab(t, controller.Config{})
	l.deploy(2)
	leader, err := l.Leader("sub")
	require.NoError(t, err)
	p := l.process(leader)
	require.NoError(t, p.cmd.Process.Kill())
	<-p.done
	u, _ := l.Status().Unit(leader)
	require.NoError(t, l.SetMachineDown(u.Machine, true))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = l.WaitEvent(ctx, time.Now(), func(e controller.Event) bool {
		return e.Kind == controller.HookEnd && e.Name == "leader-elected" && e.Unit != leader
	})
	require.NoError(t, err)
	l.settled()
	got, err := l.Leader("sub")
	require.NoError(t, err)
	require.NotEqual(t, leader, got)
}
