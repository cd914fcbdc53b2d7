package host_test

import (
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/reconcile"
)

func TestOnlyAPackageThatTheCharmInstalledIsRemoved(t *testing.T) {
	m := newMachine(t)
	m.put(m.l.Binary(), "x")
	m.apply(reconcile.Step{Action: reconcile.RemovePackage})
	require.Empty(t, m.says("calls"))
	require.NoDirExists(t, m.in(reconcile.StateRoot))
	m.apply(reconcile.Step{Action: reconcile.InstallPackage})
	calls := m.calls()
	require.Len(t, calls, 3)
	require.Contains(t, calls[2], "--no-install-recommends install keepalived")
	m.apply(reconcile.Step{Action: reconcile.RemovePackage})
	require.Contains(t, m.calls()[0], "purge keepalived")
	require.NoDirExists(t, m.in(reconcile.StateRoot))
	m.apply(reconcile.Step{Action: reconcile.RemovePackage})
	require.Empty(t, m.says("calls"))
}

// TestAPackageFromBeforeTheCharmIsNeverRemoved: its program may be missing all the same,
// and is then brought back.
func TestAPackageFromBeforeTheCharmIsNeverRemoved(t *testing.T) {
	for state, removed := range map[string]bool{
		"installed": false, "half-configured": false, "config-files": true, "not-installed": true, "": true,
	} {
		t.Run("dpkg says "+state, func(t *testing.T) {
			m := newMachine(t)
			m.set(t, "package", state)
			for range 2 {
				m.apply(reconcile.Step{Action: reconcile.InstallPackage})
			}
			m.calls()
			m.apply(reconcile.Step{Action: reconcile.RemovePackage})
			require.Equal(t, removed, strings.Contains(m.says("calls"), "purge keepalived"))
			require.NoDirExists(t, m.in(reconcile.StateRoot))
		})
	}
}

func TestWithoutDpkgsWordNothingIsInstalled(t *testing.T) {
	m := newMachine(t)
	require.NoError(t, os.Remove(m.programs.path("dpkg-query")))
	require.ErrorContains(t, m.Apply(m.l, reconcile.Step{Action: reconcile.InstallPackage}), "cannot ask for the package: dpkg-query --show: ")
	require.Empty(t, m.files())
}

func TestThePackageStaysForAnApplicationThatServesNothingJustNow(t *testing.T) {
	m := newMachine(t)
	other := reconcile.Layout{Application: "lb-two"}
	m.apply(reconcile.Step{Action: reconcile.InstallPackage})
	m.put(other.Binary(), "x")
	m.calls()
	m.apply(reconcile.Step{Action: reconcile.RemoveState})
	m.apply(reconcile.Step{Action: reconcile.RemovePackage})
	require.Empty(t, m.says("calls"))
	m.l = other
	m.apply(reconcile.Step{Action: reconcile.RemoveState})
	m.apply(reconcile.Step{Action: reconcile.RemovePackage})
	require.Contains(t, m.calls()[0], "purge keepalived", "the last one removes it")
	require.NoDirExists(t, m.in(reconcile.StateRoot))
}

func TestStalePackageListsDoNotMatterAMissingPackageDoes(t *testing.T) {
	m := newMachine(t)
	m.set(t, "apt-fails", "update")
	m.apply(reconcile.Step{Action: reconcile.InstallPackage})
	m.set(t, "apt-fails", "install")
	err := m.Apply(m.l, reconcile.Step{Action: reconcile.InstallPackage})
	require.EqualError(t, err, "cannot install keepalived: apt-get -q: exit status 100: E: Unable to locate package keepalived")
}

func TestAnInterruptedInstallationIsFinished(t *testing.T) {
	m := newMachine(t)
	m.set(t, "apt-fails", "install")
	require.Error(t, m.Apply(m.l, reconcile.Step{Action: reconcile.InstallPackage}))
	require.Empty(t, m.observe().Version, "the program is there, the package may be half unpacked")
	m.set(t, "apt-fails", "")
	m.set(t, "interrupted", "yes")
	m.apply(reconcile.Step{Action: reconcile.InstallPackage})
	require.Equal(t, "2.2.7", m.observe().Version)
}
