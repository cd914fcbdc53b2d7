package host_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/reconcile"
)

// TestTheNoteOfAnEndOutlivesTheRemovalOfEverythingElse and is in the way of no other unit.
func TestTheNoteOfAnEndOutlivesTheRemovalOfEverythingElse(t *testing.T) {
	m := newMachine(t)
	require.False(t, m.observe().Stopped)
	before := m.files()
	m.apply(reconcile.Step{Action: reconcile.End})
	m.apply(reconcile.Step{Action: reconcile.End})
	require.Equal(t, before, m.files(), "it is in the charm's directory")
	require.True(t, m.observe().Stopped)
	m.apply(reconcile.Step{Action: reconcile.RemoveState})
	require.True(t, m.observe().Stopped)
	require.False(t, newMachine(t).observe().Stopped, "another charm's directory")
	m.apply(reconcile.Step{Action: reconcile.Begin})
	m.apply(reconcile.Step{Action: reconcile.Begin})
	require.False(t, m.observe().Stopped)
}
