package host_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/host"
	"keepalived-charm/internal/step"
)

// TestTheNoteOfAnEndOutlivesTheRemovalOfEverythingElse and is in the way of no other unit.
func TestTheNoteOfAnEndOutlivesTheRemovalOfEverythingElse(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	require.False(t, m.observe().Stopped)
	before := m.files()
	m.apply(step.Step{Action: step.End})
	m.apply(step.Step{Action: step.End})
	require.Equal(t, before, m.files(), "it is in the charm's directory")
	require.True(t, m.observe().Stopped)
	m.apply(step.Step{Action: step.RemoveState})
	require.True(t, m.observe().Stopped)
	require.False(t, newMachine(t).observe().Stopped, "another charm's directory")
	require.False(t, m.observe().Departs)
	m.apply(step.Step{Action: step.Depart})
	require.True(t, m.observe().Departs)
	m.apply(step.Step{Action: step.Begin})
	m.apply(step.Step{Action: step.Begin})
	require.False(t, m.observe().Stopped)
	require.False(t, m.observe().Departs)
}

// TestAUnitIsGoneWithItsAgent, whether a hook of it has run or not.
func TestAUnitIsGoneWithItsAgent(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	agents := t.TempDir()
	m.put(m.l.Owner(), "keepalived/1\n")
	for _, unit := range []string{"unit-keepalived-0", "unit-keepalived-1"} {
		require.NoError(t, os.MkdirAll(filepath.Join(agents, unit, "charm"), 0o755))
	}
	seen := func(self string) facts.Machine {
		seen, err := host.New(m.root, self).Observe(m.l)
		require.NoError(t, err)
		return seen
	}
	self := filepath.Join(agents, "unit-keepalived-0", "charm", "dispatch")
	require.False(t, seen(self).OwnerGone)
	require.NoError(t, os.RemoveAll(filepath.Join(agents, "unit-keepalived-1")))
	require.True(t, seen(self).OwnerGone)
	require.False(t, seen(filepath.Join(agents, "elsewhere", "charm", "dispatch")).OwnerGone, "nothing tells where agents are")
	require.NoError(t, os.Remove(m.in(m.l.Owner())))
	require.False(t, seen(self).OwnerGone)
}
