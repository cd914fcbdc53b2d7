package host_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/step"
)

// TestKeepalivedStartsByTheFilesOfALaterRevision: its binary is installed, and makes the
// track files.
func TestKeepalivedStartsByTheFilesOfALaterRevision(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(m.l.CheckerConfig(), `{"version": 99, "words": "unknown here"}`)
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload}})
	require.Contains(t, m.says("calls"), "reload-or-restart keepalived.service")
	m.put(m.l.CheckerConfig(), "spoilt")
	require.Error(t, m.Apply(m.l, step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload}}))
}
