package host_test

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/host"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/systemdtest"
)

// systemd answers at the machine's socket for the given units.
func (m machine) systemd(s systemdtest.Systemd) {
	m.t.Helper()
	socket := m.in("/run/systemd/private")
	require.NoError(m.t, os.MkdirAll(filepath.Dir(socket), 0o755))
	listener, err := net.Listen("unix", socket)
	require.NoError(m.t, err)
	m.t.Cleanup(func() { _ = listener.Close() })
	go s.Serve(listener)
}

// TestSystemdIsAskedWithoutAProgram, and says what systemctl shows.
func TestSystemdIsAskedWithoutAProgram(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	const units = "/org/freedesktop/systemd1/unit/"
	for claim, c := range map[string]struct {
		daemon systemdtest.Unit
		shows  string
		file   string
	}{
		"it runs":        {systemdtest.Unit{ActiveState: "active", UnitFileState: "enabled", MainPID: 1}, "active 1", "enabled"},
		"it is starting": {systemdtest.Unit{ActiveState: "activating", UnitFileState: "enabled"}, "activating 0", "enabled"},
		"it failed":      {systemdtest.Unit{ActiveState: "failed", UnitFileState: "disabled"}, "failed 0", "disabled"},
		"it is masked":   {systemdtest.Unit{ActiveState: "inactive", UnitFileState: "masked"}, "inactive 0", "masked"},
		"it is masked till the next boot and runs": {systemdtest.Unit{ActiveState: "active", UnitFileState: "masked-runtime", MainPID: 1}, "active 1", "masked-runtime"},
		"there is none": {systemdtest.Unit{ActiveState: "inactive"}, "inactive 0", ""},
	} {
		t.Run(claim, func(t *testing.T) {
			m := newMachine(t)
			m.set(t, "keepalived.service", c.shows)
			m.set(t, "keepalived.service.file", c.file)
			m.set(t, m.l.NotifierUnit(), "active 0")
			shown := m.observe()
			require.Contains(t, m.says("calls"), "systemctl show")
			m.set(t, "calls", "")
			m.systemd(systemdtest.Systemd{Unit: func(path dbus.ObjectPath) systemdtest.Unit {
				switch path {
				case units + "keepalived_2eservice":
					return c.daemon
				case units + "keepalived_2dnotifier_2dkeepalived_2epath":
					return systemdtest.Unit{ActiveState: "active", UnitFileState: "enabled"}
				}
				return systemdtest.Unit{ActiveState: "inactive"}
			}})
			require.Equal(t, shown, m.observe())
			require.NotContains(t, m.says("calls"), "systemctl")
		})
	}
}

// TestSystemctlIsAskedWhereSystemdDoesNotLetAskItself: it may find another way, and has words.
func TestSystemctlIsAskedWhereSystemdDoesNotLetAskItself(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	for claim, arrange := range map[string]func(m machine, socket string){
		"there is no socket": func(machine, string) {},
		"nobody listens": func(_ machine, socket string) {
			listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
			require.NoError(t, err)
			listener.SetUnlinkOnClose(false)
			require.NoError(t, listener.Close())
		},
		"it hangs up, as one that is started anew": func(_ machine, socket string) {
			listener, err := net.Listen("unix", socket)
			require.NoError(t, err)
			t.Cleanup(func() { _ = listener.Close() })
			go func() {
				for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
					_ = conn.Close()
				}
			}()
		},
	} {
		t.Run(claim, func(t *testing.T) {
			m := newMachine(t)
			require.NoError(t, os.MkdirAll(m.in("/run/systemd"), 0o755))
			arrange(m, m.in("/run/systemd/private"))
			m.set(t, "keepalived.service", "active 0")
			require.True(t, m.observe().Active)
		})
	}
}

func TestASystemdThatDoesNotAnswerIsNotWaitedForForever(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	for claim, s := range map[string]systemdtest.Systemd{
		"to whom is there":     {Hung: true},
		"to what it was asked": {Unit: func(dbus.ObjectPath) systemdtest.Unit { select {} }},
	} {
		m := newMachine(t)
		m.systemd(s)
		require.ErrorIs(t, host.AskSystemd(100*time.Millisecond, m.in("/run/systemd/private"), "keepalived.service"), host.ErrSilent, claim)
	}
}
