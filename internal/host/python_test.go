package host_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/host"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

func TestOnlyWhatThePythonCharmLeftIsRemoved(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	unit := t.TempDir()
	dir := filepath.Join(unit, "charm")
	self := filepath.Join(dir, "dispatch")
	require.NoError(t, os.MkdirAll(filepath.Join(unit, ".venv", "bin"), 0o755))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for name, text := range map[string]string{self: "charm", filepath.Join(dir, ".unit-state.db"): "SQLite format 3\x00...",
		filepath.Join(unit, ".venv", "pyvenv.cfg"): "home = /usr/bin\n"} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o755))
	}
	m.Host = host.New(m.root, self)
	require.True(t, m.observe().Leftovers)
	for range 2 {
		m.apply(step.Step{Action: step.RemoveLeftovers})
		require.False(t, m.observe().Leftovers)
	}
	require.FileExists(t, self)
	require.NoDirExists(t, filepath.Join(unit, ".venv"))

	require.NoError(t, os.WriteFile(filepath.Join(dir, ".unit-state.db"), []byte("something else"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(unit, ".venv"), nil, 0o644))
	require.False(t, m.observe().Leftovers, "other things of these names are somebody else's")
}

// TestAnotherUnitOfThePythonCharmIsKnownByItsFiles, which refreshing it to this charm removes.
func TestAnotherUnitOfThePythonCharmIsKnownByItsFiles(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	agents := t.TempDir()
	put := func(path string) {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(agents, path)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(agents, path), nil, 0o755))
	}
	self := "unit-keepalived-0/charm/dispatch"
	put(self)
	m.Host = host.New(m.root, filepath.Join(agents, self))
	put("unit-keepalived-0/charm/reactive/keepalived.py")
	put("unit-haproxy-0/charm/reactive/haproxy.py")
	put("machine-0/charm/reactive/keepalived.py")
	require.Zero(t, m.observe().PythonUnit, "its own files, and those of others")
	other := "unit-my-vip-12/charm/reactive/keepalived.py"
	put(other)
	require.Equal(t, juju.Unit{Application: "my-vip", Number: 12}, m.observe().PythonUnit)
	require.NoError(t, os.RemoveAll(filepath.Dir(filepath.Join(agents, other))))
	require.Zero(t, m.observe().PythonUnit)
}

// TestAUnitThatServesAlreadyCountsAsHealthyAtFirst: keepalived reloads before the
// health checker has written its first verdict.
func TestAUnitThatServesAlreadyCountsAsHealthyAtFirst(t *testing.T) {
	t.Parallel()
	for claim, c := range map[string]struct {
		address, failing, want string
	}{
		"holds":                         {"127.0.0.1", "", "54   \n"},
		"stands by":                     {"10.10.74.250", "", "0    \n"},
		"holds what a dead daemon left": {"127.0.0.1", "is-active", "0    \n"},
	} {
		t.Run(claim, func(t *testing.T) {
			m := newMachine(t)
			m.set(t, "failing", c.failing)
			text, err := healthcheck.Config{Application: "keepalived", Policy: vrrp.Policy{Mixed: true},
				Check: healthcheck.Check{Type: healthcheck.None},
				Instances: []healthcheck.Instance{{Name: "charm_keepalived", TrackFile: m.l.TrackFile(), Interface: "lo",
					Addresses: []netip.Addr{netip.MustParseAddr(c.address)}}}}.Marshal()
			require.NoError(t, err)
			m.put(m.l.CheckerConfig(), string(text))
			m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload}})
			require.Equal(t, c.want, m.text(m.l.TrackFile()))
		})
	}
}

// TestACharmIsKnownByTheFilesOfItsAgent.
func TestACharmIsKnownByTheFilesOfItsAgent(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	agents := t.TempDir()
	m.Host = host.New(m.root, filepath.Join(agents, "unit-keepalived-0/charm/dispatch"))
	unit := juju.Unit{Application: "my-api", Number: 12}
	require.Empty(t, m.CharmOf(unit), "there are none")
	file := filepath.Join(agents, "unit-my-api-12/charm/metadata.yaml")
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	for text, want := range map[string]string{
		"summary: x\nname: kubernetes-control-plane\nseries: [name]\n": "kubernetes-control-plane",
		"name: \"haproxy\"\r\n":  "haproxy",
		"provides:\n  name: x\n": "",
		"\x00\xff":               "",
	} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		require.Equal(t, want, m.CharmOf(unit), text)
	}
}
