package host_test

import (
	"os"
	"path/filepath"
	"testing"

	"keepalived-charm/internal/history"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func file(path, content string) []step.File {
	return []step.File{{Path: path, Content: content}}
}

func TestFilesAreWrittenAsAWholeAndNoWiderThanNeeded(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for path, mode := range map[string]os.FileMode{
		layout.MainFile: 0o640, m.l.Fragment(): 0o640, m.l.CheckerConfig(): 0o640, m.l.Record(): 0o600,
		layout.SysctlFile: 0o644, m.l.CheckerUnit(): 0o644, m.l.DropIn(): 0o644,
	} {
		for _, content := range []string{"first\n", "second\n"} {
			m.apply(step.Step{Action: step.Write, Files: file(path, content)})
			assert.Equal(t, content, m.observe().Files[path])
			info, err := os.Stat(m.in(path))
			require.NoError(t, err)
			assert.Equal(t, mode, info.Mode(), path)
		}
		m.apply(step.Step{Action: step.Write, Files: []step.File{{Path: path, Remove: true}}})
		m.apply(step.Step{Action: step.Write, Files: []step.File{{Path: path, Remove: true}}})
		assert.NotContains(t, m.observe().Files, path)
	}
	assert.Empty(t, m.files(), "no temporary file stays")
}

// TestOnlyRootEntersWhatIsAnApplications, whichever file is the first in it.
func TestOnlyRootEntersWhatIsAnApplications(t *testing.T) {
	t.Parallel()
	for claim, first := range map[string]func(m machine){
		"a mark":   func(m machine) { m.apply(step.Step{Action: step.Owe, FollowUps: []step.FollowUp{step.Reload}}) },
		"a record": func(m machine) { m.apply(step.Step{Action: step.Write, Files: file(m.l.Record(), "{}")}) },
		"a journal": func(m machine) {
			require.NoError(t, history.Note(m.in(filepath.Join(m.l.History(), history.CharmFile)), history.Entry{Event: history.Paused}))
		},
	} {
		m := newMachine(t)
		first(m)
		for dir, mode := range map[string]os.FileMode{layout.StateRoot: 0o755, m.l.State(): 0o700} {
			info, err := os.Stat(m.in(dir))
			require.NoError(t, err)
			assert.Equal(t, mode, info.Mode().Perm(), "%s: %s", claim, dir)
		}
	}
}

func TestAConfigurationFromBeforeTheCharmStaysTheVerySameFile(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const text = "# somebody's\n"
	m.put(layout.MainFile, text)
	require.NoError(t, os.Chmod(m.in(layout.MainFile), 0o604))
	before, err := os.Stat(m.in(layout.MainFile))
	require.NoError(t, err)
	same := func(path string) {
		t.Helper()
		now, err := os.Stat(m.in(path))
		require.NoError(t, err)
		require.True(t, os.SameFile(before, now), "owner, mode and all else are those of the same file")
		require.Equal(t, os.FileMode(0o604), now.Mode())
	}
	arrive := step.Step{Action: step.Write, Files: []step.File{
		{Path: layout.ForeignFile, Content: text}, {Path: layout.MainFile, Content: "ours\n"}}}
	leave := step.Step{Action: step.Write, Files: []step.File{
		{Path: layout.MainFile, Content: text}, {Path: layout.ForeignFile, Remove: true}}}
	m.apply(step.Step{Action: step.Write, Files: arrive.Files[:1]}) // killed, and again
	m.apply(arrive)
	same(layout.ForeignFile)
	require.Equal(t, "ours\n", m.text(layout.MainFile))
	m.put(layout.MainFile+".link", "left by a killed hook")
	m.apply(step.Step{Action: step.Write, Files: leave.Files[:1]})
	m.apply(leave)
	same(layout.MainFile)
	require.Equal(t, []string{layout.MainFile}, m.files(), "nothing else is left")
}

func TestWhatAKilledWriteLeftIsSwept(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	dir := filepath.Dir(m.l.Fragment())
	for _, name := range []string{".keepalived.conf4711", ".keepalived.conf.swp", "keepalived.conf4711"} {
		m.put(filepath.Join(dir, name), "x")
	}
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.DaemonReload}})
	require.NoFileExists(t, m.in(filepath.Join(dir, ".keepalived.conf4711")))
	require.FileExists(t, m.in(filepath.Join(dir, ".keepalived.conf.swp")), "an editor's is none of ours")
	require.FileExists(t, m.in(filepath.Join(dir, "keepalived.conf4711")))
}
