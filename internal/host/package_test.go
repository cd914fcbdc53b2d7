package host_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/step"
)

func TestOnlyAPackageThatTheCharmInstalledIsRemoved(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(m.l.Binary(), "x")
	m.apply(step.Step{Action: step.RemovePackage})
	require.Empty(t, m.says("calls"))
	require.NoDirExists(t, m.in(layout.StateRoot))
	m.apply(step.Step{Action: step.InstallPackage})
	calls := m.calls()
	require.Len(t, calls, 4)
	require.Contains(t, calls[2], "--no-install-recommends install keepalived")
	m.apply(step.Step{Action: step.RemovePackage})
	require.Contains(t, m.calls()[0], "purge keepalived")
	require.NoDirExists(t, m.in(layout.StateRoot))
	m.apply(step.Step{Action: step.RemovePackage})
	require.Empty(t, m.says("calls"))
}

// TestAPackageFromBeforeTheCharmIsNeverRemoved: its program may be missing all the same,
// and is then brought back. Of one that was removed and not purged the settings were there
// (/etc/default/keepalived, which its owner may have changed).
func TestAPackageFromBeforeTheCharmIsNeverRemoved(t *testing.T) {
	t.Parallel()
	needs.Time(t)
	for state, how := range map[string]string{
		"installed": "", "half-configured": "", "config-files": "remove", "not-installed": "purge", "": "purge",
	} {
		t.Run("dpkg says "+state, func(t *testing.T) {
			m := newMachine(t)
			m.set(t, "package", state)
			for range 2 {
				m.apply(step.Step{Action: step.InstallPackage})
			}
			m.calls()
			m.apply(step.Step{Action: step.RemovePackage})
			for _, word := range []string{"remove", "purge"} {
				require.Equal(t, word == how, strings.Contains(m.says("calls"), " "+word+" keepalived"), word)
			}
			require.NoDirExists(t, m.in(layout.StateRoot))
		})
	}
}

// TestNoPackageButKeepalivedIsRemoved has Debian's apt-get decide: what was installed since
// and needs keepalived is the machine owner's, as is a package held since.
func TestNoPackageButKeepalivedIsRemoved(t *testing.T) {
	needs.Time(t)
	apt := needs.Program(t, "apt-get")
	for claim, c := range map[string]struct {
		state, others string
		removed       bool
	}{
		"nothing needs it":               {"install", "", true},
		"another package needs it":       {"install", installed("neutron-l3-agent", "install", "Depends: keepalived\n"), false},
		"another package needs nothing":  {"install", installed("haproxy", "install", ""), true},
		"it is held":                     {"hold", "", false},
		"apt does not know it":           {"", "", false},
		"others cannot stay as they are": {"install", installed("haproxy", "install", "Depends: libnothing\n"), false},
	} {
		t.Run(claim, func(t *testing.T) {
			m := newMachine(t)
			m.apply(step.Step{Action: step.InstallPackage})
			known := ""
			if c.state != "" { // apt knows the package
				known = installed("keepalived", c.state, "")
			}
			dir := m.realApt(apt, known+c.others, "")
			m.apply(step.Step{Action: step.RemovePackage})
			did := dpkgDid(dir)
			require.Equal(t, c.removed, strings.Contains(did, "keepalived"), "%s", did)
			require.NotContains(t, did, "neutron-l3-agent")
			require.NoDirExists(t, m.in(layout.StateRoot))
		})
	}
}

// realApt has Debian's apt-get decide, below a directory: from dpkg's list of what is installed,
// and an archive's list of packages. What dpkg would do is noted, see dpkgDid.
func (m machine) realApt(apt, status, archive string) (dir string) {
	m.t.Helper()
	dir = m.t.TempDir()
	require.NoError(m.t, os.Remove(m.programs.path("apt-get")))
	require.NoError(m.t, os.Symlink(apt, m.programs.path("apt-get")))
	for _, d := range []string{"lists/partial", "cache/archives/partial", "log", "etc", "repo"} {
		require.NoError(m.t, os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	for name, text := range map[string]string{
		"status": status, "extended_states": "", "repo/Packages": archive,
		"etc/sources.list": "deb [trusted=yes] file:" + dir + "/repo ./\n",
		"dpkg":             "#!/bin/sh\necho \"$@\" >>" + dir + "/did\n",
		"apt.conf": fmt.Sprintf("Dir::State %q;\nDir::State::lists \"lists\";\nDir::State::status %q;\nDir::Cache %q;\nDir::Etc %q;\nDir::Log %q;\nDir::Bin::dpkg %q;\n"+
			"APT::Architecture \"amd64\";\nAPT::Architectures \"amd64\";\nAPT::Sandbox::User \"root\";\nDPkg::Use-Pty \"false\";\n"+
			"#clear DPkg::Pre-Install-Pkgs;\n#clear DPkg::Post-Invoke;\n#clear APT::Update::Post-Invoke;\n",
			dir, dir+"/status", dir+"/cache", dir+"/etc", dir+"/log", dir+"/dpkg"),
	} {
		require.NoError(m.t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	}
	m.t.Setenv("APT_CONFIG", filepath.Join(dir, "apt.conf"))
	return dir
}

// dpkgDid is what dpkg was asked to do.
func dpkgDid(dir string) string {
	did, _ := os.ReadFile(filepath.Join(dir, "did")) // there is none where nothing was to be done
	return string(did)
}

// installed is a package in dpkg's list of those that are.
func installed(name, want, more string) string {
	return "Package: " + name + "\nStatus: " + want + " ok installed\nPriority: optional\nSection: net\nInstalled-Size: 1\nMaintainer: x <x@x>\n" +
		"Architecture: amd64\nVersion: 1\n" + more + "Description: x\n\n"
}

func TestWithoutDpkgsWordNothingIsInstalled(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	require.NoError(t, os.Remove(m.programs.path("dpkg-query")))
	require.ErrorContains(t, m.Apply(m.l, step.Step{Action: step.InstallPackage}), "cannot ask for the package: dpkg-query --show: ")
	require.Empty(t, m.files())
}

func TestThePackageStaysForAnApplicationThatServesNothingJustNow(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	other := layout.Layout{Application: "lb-two"}
	m.apply(step.Step{Action: step.InstallPackage})
	m.put(other.Binary(), "x")
	m.calls()
	m.apply(step.Step{Action: step.RemoveState})
	m.apply(step.Step{Action: step.RemovePackage})
	require.Empty(t, m.says("calls"))
	m.l = other
	m.apply(step.Step{Action: step.RemoveState})
	m.apply(step.Step{Action: step.RemovePackage})
	require.Contains(t, m.calls()[0], "purge keepalived", "the last one removes it")
	require.NoDirExists(t, m.in(layout.StateRoot))
}

func TestStalePackageListsDoNotMatterAMissingPackageDoes(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.set(t, "apt-fails", "update")
	m.apply(step.Step{Action: step.InstallPackage})
	m.set(t, "apt-fails", "install")
	err := m.Apply(m.l, step.Step{Action: step.InstallPackage})
	require.EqualError(t, err, "cannot install keepalived: apt-get -q: exit status 100: E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?")
}

// TestWhatAptRefusesIsTheOperatorsToMend, and leaves no trace: what is installed by hand
// then is the machine owner's.
func TestWhatAptRefusesIsTheOperatorsToMend(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"E: Held packages were changed and -y was used without --allow-change-held-packages.": "keepalived is held and cannot be installed: apt-mark unhold keepalived",
		"E: Unable to locate package keepalived":                                              "keepalived cannot be installed: Unable to locate package keepalived: see apt-get install keepalived",
		"E: Package 'keepalived' has no installation candidate":                               "keepalived cannot be installed: Package 'keepalived' has no installation candidate: see apt-get install keepalived",
		"E: Unable to correct problems, you have held broken packages.":                       "keepalived cannot be installed: Unable to correct problems, you have held broken packages: see apt-get install keepalived",
	} {
		t.Run(said, func(t *testing.T) {
			m := newMachine(t)
			m.set(t, "apt-fails", "install")
			m.set(t, "apt-says", said)
			err := m.Apply(m.l, step.Step{Action: step.InstallPackage})
			status, refused := status.Of(err)
			require.True(t, refused, "%v", err)
			require.Equal(t, "blocked: "+want, status.String())
			require.Empty(t, m.files())
			m.set(t, "package", "installed")
			m.set(t, "apt-fails", "")
			m.apply(step.Step{Action: step.InstallPackage})
			m.calls()
			m.apply(step.Step{Action: step.RemovePackage})
			require.NotContains(t, m.says("calls"), "purge")
		})
	}
}

// TestAMissingPackageMayBeThereOnceTheListsAre is a fault, which Juju retries.
func TestAMissingPackageMayBeThereOnceTheListsAre(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	require.NoError(t, os.Remove(m.programs.path("apt-get")))
	require.NoError(t, os.WriteFile(m.programs.path("apt-get"), []byte("#!/bin/sh\necho E: Unable to locate package keepalived\nexit 100\n"), 0o755))
	err := m.Apply(m.l, step.Step{Action: step.InstallPackage})
	require.ErrorContains(t, err, "cannot install keepalived: ")
	_, refused := status.Of(err)
	require.False(t, refused, "without lists nothing is known")
}

// TestWhoHasALockIsWaitedForAndNamed at every step that needs apt.
func TestWhoHasALockIsWaitedForAndNamed(t *testing.T) {
	t.Parallel()
	for word, action := range map[string]step.Action{"update": step.InstallPackage, "install": step.InstallPackage, "purge": step.RemovePackage} {
		t.Run(word, func(t *testing.T) {
			m := newMachine(t)
			m.put("/var/lib/keepalived-charm/installed-package", "")
			m.set(t, "apt-locks", word)
			pid, release := m.hold(m.programs.path("lock"))
			var told []string
			m.Tell(func(holder string) {
				told = append(told, holder)
				release()
			})
			m.apply(step.Step{Action: action})
			require.Equal(t, []string{fmt.Sprintf("holder (pid %d)", pid), ""}, told)
			require.Contains(t, m.says("calls"), word)
		})
	}
}

// TestTheMachinesOwnAptIsWaitedFor has Debian's apt-get ask for each lock that it needs, which
// unattended-upgrades has in turn.
func TestTheMachinesOwnAptIsWaitedFor(t *testing.T) {
	needs.Time(t)
	apt, deb := needs.Program(t, "apt-get"), needs.Program(t, "dpkg-deb")
	keepalived := debian(t, deb, "keepalived", "1:2.2.7-1", "")
	for _, file := range []string{"lists/lock", "lock-frontend", "lock", "cache/archives/lock"} {
		t.Run(file, func(t *testing.T) {
			m := newMachine(t)
			dir := m.realApt(apt, "", "")
			if file != "lists/lock" { // no lists are asked for what is there
				require.NoError(t, os.Remove(m.programs.path("dpkg-deb")))
				require.NoError(t, os.Symlink(deb, m.programs.path("dpkg-deb")))
				m.bring(keepalived)
			}
			require.NoError(t, os.WriteFile(filepath.Join(dir, file), nil, 0o640))
			pid, release := m.hold(filepath.Join(dir, file))
			var told []string
			m.Tell(func(holder string) {
				told = append(told, holder)
				release()
			})
			err := m.Apply(m.l, step.Step{Action: step.InstallPackage})
			require.Equal(t, []string{fmt.Sprintf("holder (pid %d)", pid), ""}, told, "%v", err)
			if file == "lists/lock" {
				require.EqualError(t, err, "keepalived cannot be installed: Unable to locate package keepalived: see apt-get install keepalived")
				return
			}
			require.NoError(t, err)
			require.Contains(t, dpkgDid(dir), "keepalived")
		})
	}
}

func TestAnInterruptedInstallationIsFinished(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.set(t, "apt-fails", "install")
	require.Error(t, m.Apply(m.l, step.Step{Action: step.InstallPackage}))
	require.Empty(t, m.observe().Version, "the program is there, the package may be half unpacked")
	m.set(t, "apt-fails", "")
	m.set(t, "interrupted", "yes")
	m.apply(step.Step{Action: step.InstallPackage})
	require.Equal(t, "2.2.7", m.observe().Version)
}

const (
	configOpts       = "/etc/keepalived/keepalived.config-opts"
	addressProtocols = "/etc/iproute2/rt_addrprotos.d/keepalived.conf"
)

// TestADeletedFileThatTheProgramNeedsIsBroughtBack, and nothing else: what runs is not
// started again, as by an installation.
func TestADeletedFileThatTheProgramNeedsIsBroughtBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.set(t, "package", "installed")
	m.set(t, "needs", m.in(configOpts))
	require.Empty(t, m.observe().Version)
	m.apply(step.Step{Action: step.InstallPackage})
	require.Equal(t, "2.2.7", m.observe().Version)
	require.Equal(t, "--build=x86_64-linux-gnu", m.text(configOpts))
	require.Equal(t, []string{configOpts}, m.files())
	for _, call := range m.calls() {
		require.NotContains(t, call, "install")
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "keepalived-package-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// TestADeletedFileIsMissingAfterAnInstallationToo: dpkg remembers it from a package that
// was removed, and keeps it deleted.
func TestADeletedFileIsMissingAfterAnInstallationToo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.set(t, "package", "config-files")
	m.set(t, "needs", m.in(configOpts))
	m.apply(step.Step{Action: step.InstallPackage})
	require.Equal(t, "2.2.7", m.observe().Version)
	require.FileExists(t, m.in(configOpts))
}

// TestAProgramThatDoesNotRunIsNamed: another installation changes nothing about it.
func TestAProgramThatDoesNotRunIsNamed(t *testing.T) {
	t.Parallel()
	for claim, damage := range map[string]func(m machine){
		"something else is missing": func(m machine) { m.set(t, "needs", m.in("/usr/lib/libnl-3.so.200")) },
		"the file cannot be had":    func(m machine) { m.set(t, "apt-fails", "download") },
	} {
		t.Run(claim, func(t *testing.T) {
			m := newMachine(t)
			m.set(t, "package", "installed")
			m.set(t, "needs", m.in(configOpts))
			damage(m)
			for range 2 {
				status, refused := status.Of(m.Apply(m.l, step.Step{Action: step.InstallPackage}))
				require.True(t, refused)
				require.Equal(t, "blocked: keepalived is installed and does not run: Unable to read build config options file: see keepalived --version", status.String())
			}
			m.set(t, "needs", "")
			require.Equal(t, "2.2.7", m.observe().Version, "nothing is remembered of it")
		})
	}
}

// TestWhatKeepalivedTellsIPGoesWithItsPackage: what was there before the charm stays, as
// does all of it with a package that stays.
func TestWhatKeepalivedTellsIPGoesWithItsPackage(t *testing.T) {
	t.Parallel()
	needs.Time(t)
	for claim, c := range map[string]struct {
		before map[string]string
		state  string
		left   []string
	}{
		"on a new machine":                  {},
		"others have files there":           {before: map[string]string{"/etc/iproute2/rt_tables": "1 x"}, left: []string{"/etc/iproute2/rt_tables"}},
		"it was there before":               {before: map[string]string{addressProtocols: "18 keepalived"}, left: []string{addressProtocols}},
		"the package was there":             {state: "installed", left: []string{addressProtocols}},
		"only the package's settings were":  {state: "config-files"},
		"others' names of protocols remain": {before: map[string]string{"/etc/iproute2/rt_addrprotos.d/own.conf": "7 own"}, left: []string{"/etc/iproute2/rt_addrprotos.d/own.conf"}},
	} {
		t.Run(claim, func(t *testing.T) {
			m := newMachine(t)
			m.set(t, "package", c.state)
			for path, text := range c.before {
				m.put(path, text)
			}
			for range 2 {
				m.apply(step.Step{Action: step.InstallPackage})
				m.put(addressProtocols, "18\tkeepalived\t# added by keepalived\n") // as the daemon does when it starts
			}
			m.apply(step.Step{Action: step.RemovePackage})
			require.ElementsMatch(t, c.left, m.files())
			if len(c.left) == 0 {
				require.NoDirExists(t, m.in("/etc/iproute2"))
			}
		})
	}
}
