package host_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/needs"
)

// own gives a machine a program of its own in the place of the one that all share.
func (m machine) own() string {
	m.t.Helper()
	program := filepath.Join(m.dir, "program")
	m.replace(program)
	for _, name := range []string{"keepalived", "daemon"} {
		require.NoError(m.t, os.Remove(m.programs.path(name)))
		require.NoError(m.t, os.Symlink("program", m.programs.path(name)))
	}
	return program
}

// replace puts a copy of the fake program in the place of a file, as dpkg does.
func (m machine) replace(file string) {
	m.t.Helper()
	text, err := os.ReadFile(fakes)
	require.NoError(m.t, err)
	require.NoError(m.t, os.WriteFile(file+".new", text, 0o755))
	require.NoError(m.t, os.Rename(file+".new", file))
}

// asks tells what keepalived is asked in one look at the machine, which has to find it well.
func (m machine) asks() string {
	m.t.Helper()
	m.set(m.t, "calls", "")
	seen := m.observe()
	require.Equal(m.t, "2.2.7", seen.Version)
	require.Len(m.t, seen.Instances, 1)
	var asked []string
	for _, call := range m.calls() {
		if question, found := strings.CutPrefix(call, "keepalived "); found {
			asked = append(asked, question)
		}
	}
	return strings.Join(asked, " ")
}

const (
	everything = "--version --signum=JSON"
	memory     = layout.StateRoot + "/keepalived/program.json"
)

// TestKeepalivedIsAskedAgainWhenSomethingItIsMadeOfChanged, and only then.
func TestKeepalivedIsAskedAgainWhenSomethingItIsMadeOfChanged(t *testing.T) {
	t.Parallel()
	needs.Time(t)
	needs.Root(t)
	m := newMachine(t)
	program := m.own()
	m.start(t.TempDir())
	require.Equal(t, everything, m.asks())
	require.Equal(t, everything, m.asks(), "an application that has no state keeps nothing")
	require.NoFileExists(t, m.in(memory))
	require.NoError(t, os.MkdirAll(m.in(m.l.State()), 0o755))
	require.Equal(t, everything, m.asks())
	require.Empty(t, m.asks())
	for claim, change := range map[string]func(m machine, program string){
		"the program is replaced": func(m machine, program string) { m.replace(program) },
		"its mode changes":        func(_ machine, program string) { require.NoError(t, os.Chmod(program, 0o700)) },
		"its time is kept": func(_ machine, program string) {
			info, err := os.Stat(program)
			require.NoError(t, err)
			require.NoError(t, os.Chtimes(program, time.Now(), info.ModTime()))
		},
		"a file that it needs comes": func(m machine, _ string) { m.put(configOpts, "--build") },
		"the memory is no JSON":      func(m machine, _ string) { m.put(memory, "{") },
		"the memory is of another format": func(m machine, _ string) {
			m.put(memory, strings.Replace(m.text(memory), `"format":1`, `"format":2`, 1))
		},
		"the memory has no version": func(m machine, _ string) { m.put(memory, strings.Replace(m.text(memory), "2.2.7", "", 1)) },
		"the memory names a killer": func(m machine, _ string) { m.put(memory, strings.Replace(m.text(memory), ":36,", ":9,", 1)) },
		"the memory has no signal":  func(m machine, _ string) { m.put(memory, strings.Replace(m.text(memory), ":36,", ":0,", 1)) },
		"the memory is of no files": func(m machine, _ string) { m.put(memory, `{"format":1,"version":"2.2.7","report_signal":36}`) },
		"the memory is gone":        func(m machine, _ string) { require.NoError(t, os.Remove(m.in(memory))) },
	} {
		t.Run(claim, func(t *testing.T) {
			time.Sleep(20 * time.Millisecond) // two ticks of the clock of a file system
			change(m, program)
			require.Equal(t, everything, m.asks())
			require.Empty(t, m.asks())
		})
	}
}

// TestNothingIsRememberedOfAProgramThatMayNotRun: what cannot run is found in the next hook.
func TestNothingIsRememberedOfAProgramThatMayNotRun(t *testing.T) {
	t.Parallel()
	needs.Time(t)
	needs.Root(t)
	serving := func(t *testing.T) (machine, string) {
		m := newMachine(t)
		program := m.own()
		m.put(configOpts, "--build")
		m.set(t, "needs", m.in(configOpts))
		m.start(t.TempDir())
		require.NoError(t, os.MkdirAll(m.in(m.l.State()), 0o755))
		m.asks()
		require.Empty(t, m.asks())
		return m, program
	}
	for claim, damage := range map[string]func(m machine, program string){
		"a file that it needs is gone":  func(m machine, _ string) { require.NoError(t, os.Remove(m.in(configOpts))) },
		"the program is gone":           func(_ machine, program string) { require.NoError(t, os.Remove(program)) },
		"the program is not executable": func(_ machine, program string) { require.NoError(t, os.Chmod(program, 0o600)) },
		"the program is damaged": func(_ machine, program string) {
			require.NoError(t, os.WriteFile(program+"2", []byte("x"), 0o755))
			require.NoError(t, os.Rename(program+"2", program))
		},
		"a library broke and the daemon has ended": func(m machine, _ string) {
			m.set(t, "keepalived.service", "failed 0")
			m.set(t, "needs", "/no such library")
		},
		"an installation has begun": func(m machine, _ string) { m.put(layout.StateRoot+"/installing-package", "") },
	} {
		t.Run(claim, func(t *testing.T) {
			m, program := serving(t)
			time.Sleep(20 * time.Millisecond) // two ticks of the clock of a file system
			damage(m, program)
			require.Empty(t, m.observe().Version)
			require.Empty(t, m.observe().Version)
		})
	}
	t.Run("the daemon is another program", func(t *testing.T) {
		m, _ := serving(t)
		m.start(t.TempDir())
		m.set(t, "keepalived.service", "active 1")
		for range 2 {
			m.set(t, "calls", "")
			require.Equal(t, "2.2.7", m.observe().Version)
			require.Contains(t, m.says("calls"), "keepalived --version")
		}
	})
}
