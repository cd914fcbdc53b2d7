package host_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/step"
)

func TestAnEmptyMachine(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	seen := m.observe()
	assert.Equal(t, "2.2.7", seen.Version)
	assert.Empty(t, seen.Files)
	assert.Empty(t, seen.Neighbours)
	assert.Empty(t, seen.Owed)
	assert.False(t, seen.Active || seen.CheckerActive || seen.BinaryCurrent || seen.Check.Known)
	assert.True(t, func() bool {
		for _, i := range seen.Interfaces {
			if i.Name == "lo" {
				return true
			}
		}
		return false
	}(), "the kernel's interfaces are listed")
	require.NoError(t, os.Remove(m.programs.path("keepalived")))
	assert.Empty(t, m.observe().Version)
}

func TestARefusedConfigurationLeavesTheLiveFilesUntouched(t *testing.T) {
	t.Parallel()
	for claim, c := range map[string]struct{ refusal, status, want string }{
		"with a status and words":  {"(FILE: Line 3) Unknown keyword 'x'\nmore", "5", "(/etc/keepalived/keepalived.conf: Line 3) Unknown keyword 'x'"},
		"with a status and silent": {"", "5", "exit status 5"},
	} {
		t.Run(claim, func(t *testing.T) {
			m := newMachine(t)
			m.put(layout.MainFile, "old main\n")
			m.put(m.l.Fragment(), "old fragment\n")
			before := m.files()
			m.set(t, "refusal", c.refusal)
			m.set(t, "status", c.status)
			err := m.Apply(m.l, step.Step{Action: step.Test, Files: file(m.l.Fragment(), "new fragment\n")})
			var blocked *status.Blocked
			require.ErrorAs(t, err, &blocked)
			assert.Equal(t, "keepalived refuses the configuration, the last good one stays: "+c.want, err.Error())
			assert.Equal(t, before, m.files())
			assert.Equal(t, "old main\n", m.text(layout.MainFile))
			assert.Equal(t, "old fragment\n", m.text(m.l.Fragment()))
		})
	}
}

func TestWhatKeepalivedRemarksOnAConfigurationThatItPassesIsNoRefusal(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(layout.MainFile, "include "+layout.FragmentDir+"/*.conf\n")
	m.set(t, "refusal", "(FILE) Note: something")
	m.apply(step.Step{Action: step.Test, Files: file(m.l.Fragment(), "new fragment\n")})
}

// TestTheTestMakesTheTrackFilesThatItNames: from 2.2.8 on keepalived refuses a track file
// whose directory is missing, as on a machine that has served nothing since its boot.
func TestTheTestMakesTheTrackFilesThatItNames(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	tracked := func(l layout.Layout) string { return "track_file x {\n    file \"" + l.TrackFile() + "\"\n}\n" }
	other := layout.Layout{Application: "other"}
	m.put(other.Fragment(), tracked(other))
	before := m.files()
	test := step.Step{Action: step.Test, Files: []step.File{
		{Path: layout.MainFile, Content: "include " + layout.FragmentDir + "/*.conf\n"},
		{Path: m.l.Fragment(), Content: tracked(m.l) + tracked(layout.Layout{Application: m.l.Application, Router: 2})},
	}}
	m.apply(test)
	assert.Equal(t, before, m.files(), "the test leaves nothing")
	for _, name := range []string{"keepalived/priority", "keepalived/priority-2", "other/priority"} {
		assert.Contains(t, m.says("tested"), name)
	}
	m.set(t, "refusal", "(FILE) "+m.root+m.l.State()+"/candidate/run/keepalived/priority is odd")
	m.set(t, "status", "5")
	assert.ErrorContains(t, m.Apply(m.l, test), ") "+m.l.TrackFile()+" is odd", "the place is told as on the machine")
	assert.Equal(t, before, m.files())
}

func TestWhatKeepalivedSaysOfAConfigurationFromBeforeTheCharmRefusesNothing(t *testing.T) {
	t.Parallel()
	for place, ours := range map[string]string{layout.MainFile: "", layout.ForeignFile: "include " + layout.FragmentDir + "/*.conf\n"} {
		m := newMachine(t)
		m.put(place, "odd script\n")
		if ours != "" {
			m.put(m.l.Fragment(), "old fragment\n")
		}
		m.testsOurs("odd script", place)
	}
}

// testsOurs requires that a test beside what the machine's owner has refuses what is wrong
// with our fragment alone.
func (m machine) testsOurs(owners, place string) {
	m.t.Helper()
	for fragment, refused := range map[string]string{"vrrp_instance x\n": "", "odd fragment\n": "warning: odd fragment"} {
		err := m.Apply(m.l, step.Step{Action: step.Test, Files: []step.File{
			{Path: layout.MainFile, Content: "include " + layout.ForeignFile + "\ninclude " + layout.FragmentDir + "/*.conf\n"},
			{Path: m.l.Fragment(), Content: fragment},
		}})
		assert.Contains(m.t, m.says("tested"), owners)
		if refused == "" {
			assert.NoError(m.t, err, place)
		} else {
			assert.ErrorContains(m.t, err, refused, place)
		}
	}
}

// TestScriptsOfTheOwnersUsersRefuseNothing: keepalived 2.2.7 ends its test by SIGTERM where
// one has a user other than root.
func TestScriptsOfTheOwnersUsersRefuseNothing(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	ends := m.programs.path("keepalived")
	m.programs.dir = t.TempDir()
	fake := m.programs.path("keepalived")
	require.NoError(t, os.Rename(ends, fake))
	// A shell that is started with a signal ignored goes on ignoring it; a Go program does not.
	require.NoError(t, os.WriteFile(ends, []byte("#!/bin/sh\nkill -TERM $$\nexec "+fake+" \"$@\"\n"), 0o755))
	m.put(layout.MainFile, "script_user nobody\n")
	m.testsOurs("script_user nobody", layout.MainFile)
}

func TestTheTestSeesTheWholeConfigurationToCome(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	other := layout.Layout{Application: "other"}
	m.put(layout.MainFile, "old main\n")
	m.put(other.Fragment(), "neighbour\n")
	m.apply(step.Step{Action: step.Test, Files: []step.File{
		{Path: layout.ForeignFile, Content: "foreign\n"},
		{Path: layout.MainFile, Content: "new main\ninclude " + layout.FragmentDir + "/*.conf\n"},
		{Path: m.l.Fragment(), Content: "new fragment\n"},
	}})
	tested := m.says("tested")
	for _, part := range []string{"new main\n", "new fragment\n", "neighbour\n"} {
		assert.Contains(t, tested, part)
	}
	assert.NotContains(t, tested, "old main")
	assert.NotContains(t, tested, "foreign")
	assert.NotContains(t, tested, layout.FragmentDir+"/", "the candidate includes candidates")
	m.apply(step.Step{Action: step.Test, Files: []step.File{
		{Path: layout.MainFile, Content: "include " + layout.FragmentDir + "/*.conf\n"}, {Path: other.Fragment(), Remove: true}}})
	assert.NotContains(t, m.says("tested"), "neighbour", "what goes is not tested")
}

func TestAKeepalivedThatCannotBeRunIsAFaultNotARefusal(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	require.NoError(t, os.Remove(m.programs.path("keepalived")))
	err := m.Apply(m.l, step.Step{Action: step.Test, Files: file(m.l.Fragment(), "x")})
	var blocked *status.Blocked
	require.Error(t, err)
	require.NotErrorAs(t, err, &blocked)
	require.ErrorContains(t, err, "cannot test the configuration: ")
}

func TestWhatIsOwedOutlivesTheHookAndIsPaidOnce(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.apply(step.Step{Action: step.Owe, FollowUps: []step.FollowUp{step.Reload, step.DaemonReload}})
	want := []step.FollowUp{step.DaemonReload, step.Reload}
	require.Equal(t, want, m.observe().Owed, "in the order in which they are due")
	m.set(t, "failing", "reload-or-restart")
	pay := step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload}}
	err := m.Apply(m.l, pay)
	require.EqualError(t, err, "cannot reload-or-restart keepalived.service: systemctl reload-or-restart: exit status 1: Failed to reload-or-restart: Access denied")
	require.Equal(t, want, m.observe().Owed, "a reload that failed is still owed")
	m.set(t, "failing", "")
	m.apply(pay)
	require.Equal(t, want[:1], m.observe().Owed)
	m.apply(step.Step{Action: step.Forget, FollowUps: want})
	require.Empty(t, m.observe().Owed)
}

func TestAServiceThatIsStillStartingIsStartedAnew(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.set(t, "keepalived.service", "activating 12")
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload}})
	require.Contains(t, m.calls(), "systemctl restart keepalived.service")
}

// TestAMaskedServiceThatRunsReadsItsConfiguration though systemd refuses every job for it.
func TestAMaskedServiceThatRunsReadsItsConfiguration(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start(t.TempDir())
	reload := step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload}}
	for file, runtime := range map[string]bool{"masked": false, "masked-runtime": true} {
		m.set(t, "keepalived.service.file", file)
		seen := m.observe()
		require.True(t, seen.Masked && seen.Active)
		require.Equal(t, runtime, seen.MaskedRuntime)
		m.set(t, "read", "")
		m.apply(reload)
		poll.Until(t, func() bool { return m.says("read") == "again" }, 10*time.Second, time.Millisecond)
	}
	m.set(t, "keepalived.service", "failed 0")
	require.ErrorContains(t, m.Apply(m.l, reload), "Unit keepalived.service is masked")
}

// TestAServiceThatCannotBeEnabledServesToday, and what is left to do is still owed.
func TestAServiceThatCannotBeEnabledServesToday(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.set(t, "keepalived.service.file", "disabled")
	require.True(t, m.observe().Disabled)
	m.set(t, "failing", "enable reset-failed")
	m.apply(step.Step{Action: step.Owe, FollowUps: []step.FollowUp{step.Reload}})
	err := m.Apply(m.l, step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload}})
	require.ErrorContains(t, err, "cannot enable --quiet keepalived.service: ")
	require.Contains(t, m.calls(), "systemctl reload-or-restart keepalived.service")
	require.Equal(t, []step.FollowUp{step.Reload}, m.observe().Owed)
}

// TestWhatIsEnabledIsNotEnabledAgain: it would have systemd read all units.
func TestWhatIsEnabledIsNotEnabledAgain(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(m.l.YieldUnit(), "[Service]\n")
	services := []string{"keepalived.service", m.l.CheckerService(), m.l.YieldService(), m.l.NotifierUnit()}
	enabled := func(state string) (times int) {
		for _, name := range services {
			m.set(t, name+".file", state)
		}
		m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload, step.RestartChecker, step.StartNotifier}})
		for _, call := range m.calls() {
			if strings.HasPrefix(call, "systemctl enable ") {
				times++
			}
		}
		return times
	}
	require.Zero(t, enabled("enabled"))
	require.Equal(t, len(services), enabled("disabled"))
}

func TestAReloadMakesTheTrackFileFirstAndKeepsItsValue(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(m.l.CheckerConfig(), checkerConfig(t, m.l.TrackFile()))
	reload := step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload}}
	m.apply(reload)
	require.Equal(t, "0    \n", m.text(m.l.TrackFile()))
	require.Equal(t, []string{"systemctl show --property=Id,ActiveState,MainPID,UnitFileState keepalived.service", "systemctl enable --quiet keepalived.service",
		"systemctl reset-failed keepalived.service", "systemctl reload-or-restart keepalived.service"}, m.calls())
	m.put(m.l.TrackFile(), "204  \n")
	m.apply(reload)
	require.Equal(t, "204  \n", m.text(m.l.TrackFile()))
	m.put(m.l.CheckerConfig(), "{")
	require.ErrorContains(t, m.Apply(m.l, reload), "cannot read "+m.l.CheckerConfig())
	m.apply(step.Step{Action: step.Write, Files: []step.File{{Path: m.l.CheckerConfig(), Remove: true}}})
	m.apply(reload)
}

// TestAReloadMakesThePlacesOfNeighboursTrackFiles: their fragments are read as well,
// whatever became of their hooks. The files would hide a boot.
func TestAReloadMakesThePlacesOfNeighboursTrackFiles(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	other := layout.Layout{Application: "other"}
	m.put(other.Fragment(), "x")
	m.put(other.Binary(), "")
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload}})
	require.DirExists(t, m.in(other.Run()))
	require.NoFileExists(t, m.in(other.TrackFile()))
	info, err := os.Stat(m.in(other.Run()))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestFollowUpsCallSystemd(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for f, want := range map[step.FollowUp][]string{
		step.DaemonReload: {"systemctl daemon-reload"},
		step.RestartChecker: {"systemctl show --property=Id,ActiveState,MainPID,UnitFileState keepalived-checker-keepalived.service keepalived-yield-keepalived.service",
			"systemctl enable --quiet keepalived-checker-keepalived.service", "systemctl restart keepalived-checker-keepalived.service"},
	} {
		m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{f}})
		require.Equal(t, want, m.calls())
	}
	m.apply(step.Step{Action: step.StopKeepalived})
	require.Equal(t, []string{"systemctl stop keepalived.service", "systemctl reset-failed keepalived.service"}, m.calls())
	m.apply(step.Step{Action: step.StopChecker})
	require.Equal(t, []string{"systemctl stop keepalived-checker-keepalived.service",
		"systemctl reset-failed keepalived-checker-keepalived.service"}, m.calls(), "what has no unit file cannot be disabled")
	m.put(m.l.CheckerUnit(), "[Service]\n")
	m.put(m.l.YieldUnit(), "[Service]\n")
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.RestartChecker}})
	require.Equal(t, []string{"systemctl enable --quiet keepalived-yield-keepalived.service",
		"systemctl start --no-block keepalived-yield-keepalived.service"}, m.calls()[3:])
	m.apply(step.Step{Action: step.StopChecker})
	require.Equal(t, []string{"systemctl disable --quiet --now keepalived-yield-keepalived.service",
		"systemctl reset-failed keepalived-yield-keepalived.service",
		"systemctl disable --quiet --now keepalived-checker-keepalived.service",
		"systemctl reset-failed keepalived-checker-keepalived.service"}, m.calls(), "others take over first")
	m.set(t, "failing", "reset-failed")
	m.apply(step.Step{Action: step.StopNotifier})
	require.Equal(t, []string{"systemctl stop keepalived-notifier-keepalived.path keepalived-notifier-keepalived.service",
		"systemctl reset-failed keepalived-notifier-keepalived.path keepalived-notifier-keepalived.service"}, m.calls(),
		"what failed is forgotten; systemd refuses that of a unit that it has not loaded")
	require.ErrorContains(t, m.Apply(m.l, step.Step{Action: "dance"}), "knows no such step")
	require.ErrorContains(t, m.Apply(m.l, step.Step{Action: step.Do, FollowUps: []step.FollowUp{"dance"}}), "knows no such follow-up")
}

// TestANotifierThatDoesNotStartEndsNoHook: systemd takes an inotify instance for each file that
// it waits for, and fails the job where root has none left (systemd, path.c, path_enter_waiting).
func TestANotifierThatDoesNotStartEndsNoHook(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.apply(step.Step{Action: step.Owe, FollowUps: []step.FollowUp{step.StartNotifier}})
	m.set(t, "failing", m.l.NotifierUnit())
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.StartNotifier}})
	require.Contains(t, m.calls(), "systemctl restart "+m.l.NotifierUnit(), "one that cannot be enabled may still start")
	require.Empty(t, m.observe().Owed)
}

// TestAHealthCheckerThatCannotBeEnabledRunsToday, and what is left to do is still owed.
func TestAHealthCheckerThatCannotBeEnabledRunsToday(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(m.l.YieldUnit(), "[Service]\n")
	m.set(t, "failing", "enable")
	require.Error(t, m.Apply(m.l, step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.RestartChecker}}))
	require.Subset(t, m.calls(), []string{"systemctl restart " + m.l.CheckerService(), "systemctl start --no-block " + m.l.YieldService()})
}

// TestSettingsOfBeforeThatCannotBeReadEndNoHook: nobody knows them any more, and what follows
// matters more.
func TestSettingsOfBeforeThatCannotBeReadEndNoHook(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const setting = "/proc/sys/net/ipv4/ip_nonlocal_bind"
	m.put(setting, "0\n")
	m.put(layout.SysctlFile, "# Written by the Juju charm keepalived\nnet.ipv4.ip_nonlocal_bind = 1\n")
	m.put(layout.StateRoot+"/sysctl-before.json", "{")
	set := step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.ApplySysctl}}
	m.apply(set)
	require.Equal(t, "1", m.text(setting))
	require.Equal(t, `{"net.ipv4.ip_nonlocal_bind":"0"}`, m.text(layout.StateRoot+"/sysctl-before.json"))
}

func TestKernelSettingsComeAndGo(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	const v4, v6 = "/proc/sys/net/ipv4/ip_nonlocal_bind", "/proc/sys/net/ipv6/ip_nonlocal_bind"
	m.put(v4, "0\n")
	// No file at all, as without IPv6; a setting that may not be written is the same.
	m.put(layout.SysctlFile, "# Written by the Juju charm keepalived\n# comment\nnet.ipv4.ip_nonlocal_bind = 1\nnet.ipv6.ip_nonlocal_bind = 1\n")
	set := step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.ApplySysctl}}
	m.apply(set)
	m.apply(set)
	require.Equal(t, "1", m.text(v4))
	require.NoFileExists(t, m.in(v6))
	m.apply(step.Step{Action: step.Write, Files: []step.File{{Path: layout.SysctlFile, Remove: true}}})
	m.apply(set)
	require.Equal(t, "0", m.text(v4), "as it was before the charm, however often it was set")

	owners := "# Written by hand\nnet.ipv4.ip_nonlocal_bind = 1\n"
	m.put(layout.SysctlFile, "# Written by the Juju charm keepalived\n"+layout.SysctlBefore+"\nnet.ipv4.ip_forward = 1\nnet.ipv4.ip_nonlocal_bind = 0\n"+layout.SysctlOwn+"\nnet.ipv4.ip_nonlocal_bind = 1\n")
	m.put("/proc/sys/net/ipv4/ip_forward", "0\n")
	m.apply(set)
	require.Equal(t, "1", m.text(v4))
	require.Equal(t, "0\n", m.text("/proc/sys/net/ipv4/ip_forward"), "what the owner's file sets it sets as the machine boots")
	m.apply(step.Step{Action: step.Write, Files: []step.File{{Path: layout.SysctlFile, Content: owners}}})
	m.apply(set)
	require.Equal(t, "0", m.text(v4), "also where an owner's file is back")
}

// TestThePythonCharmsSettingsGoAsWell: its file was there before, and is no owner's.
func TestThePythonCharmsSettingsGoAsWell(t *testing.T) {
	t.Parallel()
	const setting = "/proc/sys/net/ipv4/ip_nonlocal_bind"
	ours := step.File{Path: layout.SysctlFile, Content: "# Written by the Juju charm keepalived\nnet.ipv4.ip_nonlocal_bind = 1\n"}
	for claim, c := range map[string]struct {
		found, want string
		steps       []step.File
	}{
		"the Python charm's file, replaced":           {"\nnet.ipv4.ip_nonlocal_bind=1\n", "0", []step.File{ours, ours, {Path: ours.Path, Remove: true}}},
		"the Python charm's file, removed at once":    {"\nnet.ipv4.ip_nonlocal_bind=1", "0", []step.File{{Path: ours.Path, Remove: true}}},
		"no file, the owner set it in some other way": {"", "1", []step.File{ours, {Path: ours.Path, Remove: true}}},
	} {
		t.Run(claim, func(t *testing.T) {
			m := newMachine(t)
			m.put(setting, "1\n")
			if c.found != "" {
				m.put(ours.Path, c.found)
			}
			for _, f := range c.steps {
				m.apply(step.Step{Action: step.Write, Files: []step.File{f}})
				m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.ApplySysctl}})
			}
			require.Equal(t, c.want, strings.TrimSpace(m.text(setting)))
		})
	}
}

func TestTheBinaryIsCopiedAndComparedByContent(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	require.False(t, m.observe().BinaryCurrent)
	m.apply(step.Step{Action: step.InstallBinary})
	require.True(t, m.observe().BinaryCurrent)
	info, err := os.Stat(m.in(m.l.Binary()))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o755), info.Mode())
	m.put(m.l.Binary(), "charm 2")
	require.False(t, m.observe().BinaryCurrent, "another one of the same size")
	m.put(m.l.Binary(), "")
	require.False(t, m.observe().BinaryCurrent)
}

// TestAFileOfTheOwnersBesideTheFragmentsIsNoApplication: keepalived reads it all the same.
func TestAFileOfTheOwnersBesideTheFragmentsIsNoApplication(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(layout.MainFile, "include "+layout.FragmentDir+"/*.conf\n")
	m.put(m.l.Fragment(), "ours\n")
	const stray, saved = layout.FragmentDir + "/90-mine.conf", layout.FragmentDir + "/keepalived-old.conf"
	m.put(stray, "global_defs {\n}\n")
	m.put(saved, "# Written by the Juju charm keepalived for application keepalived.\n")
	require.NoError(t, os.Mkdir(m.in(layout.FragmentDir+"/dir.conf"), 0o755))
	require.NoError(t, syscall.Mkfifo(m.in(layout.FragmentDir+"/pipe.conf"), 0o600))
	lb := layout.Layout{Application: "lb"}
	m.put(lb.Fragment(), "# Written by the Juju charm keepalived for application lb.\n")
	seen := m.observe()
	require.Equal(t, map[string]string{"lb": m.text(lb.Fragment())}, seen.Neighbours)
	require.Equal(t, map[string]string{stray: "global_defs {\n}\n", saved: m.text(saved)}, seen.Included)
	var files []string
	for _, other := range seen.Others {
		files = append(files, other.File)
	}
	require.Contains(t, files, stray, "it is understood as well")
	m.apply(step.Step{Action: step.Test, Files: file(m.l.Fragment(), "new fragment\n")})
	require.Contains(t, m.says("tested"), "global_defs {", "what keepalived will read is tested with the rest")
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Reload}})
	require.NoDirExists(t, m.in(layout.Layout{Application: "90-mine"}.Run()))
	require.DirExists(t, m.in(lb.Run()))
}

// TestAConfigurationFromBeforeTheCharmIsOneBesideAnOwnersFile too.
func TestAConfigurationFromBeforeTheCharmIsOneBesideAnOwnersFile(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(layout.MainFile, "include /etc/keepalived/more\n")
	m.put("/etc/keepalived/more", "vrrp_instance X {\n}\n")
	m.put(layout.FragmentDir+"/90-mine.conf", "global_defs {\n}\n")
	require.Contains(t, m.observe().Included, "/etc/keepalived/more")
}

func TestNeighboursAreListedWithTheirFragments(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(m.l.Fragment(), "ours\n")
	m.put(layout.Layout{Application: "lb-two"}.Fragment(), "theirs\n")
	m.put(layout.FragmentDir+"/note.txt", "x")
	require.Empty(t, m.observe().Neighbours, "files of the machine's owner")
	m.put(layout.Layout{Application: "lb-two"}.CheckerConfig(), "{}")
	require.Equal(t, map[string]string{"lb-two": "theirs\n"}, m.observe().Neighbours)
}

func TestRemovalLeavesWhatOthersUse(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	other := layout.Layout{Application: "other"}
	for _, l := range []layout.Layout{m.l, other} {
		m.put(l.Binary(), "x")
		m.put(l.TrackFile(), "0\n")
	}
	m.put(other.Fragment(), "x")
	m.apply(step.Step{Action: step.RemoveState})
	m.apply(step.Step{Action: step.RemoveState})
	require.Equal(t, []string{other.Fragment(), other.TrackFile(), other.Binary()}, m.files())
	require.NoDirExists(t, m.in(m.l.State()))
	require.NoDirExists(t, m.in(m.l.Run()))
}

// TestTheDaemonIsAskedForItsState also covers the moment when the report's file is
// there but half written.
func TestTheDaemonIsAskedForItsState(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	m := newMachine(t)
	tmp := t.TempDir()
	m.start(tmp)
	want := []keepalived.InstanceState{{Name: "charm_keepalived", State: keepalived.Master, Addresses: []netip.Addr{netip.MustParseAddr("10.10.74.250")}}}
	seen := m.observe()
	require.True(t, seen.Active)
	require.Equal(t, want, seen.Instances)
	require.NoFileExists(t, filepath.Join(tmp, "keepalived.json"), "read and removed")

	// An old report is not taken for a new one.
	require.NoError(t, os.WriteFile(filepath.Join(tmp, "keepalived.json"), []byte(`[{"data":{"iname":"old"}}]`), 0o600))
	require.Equal(t, want, m.observe().Instances)
}

// TestADaemonThatHeedsNoTMPDIRIsAskedToo is about keepalived before 2.2.7.
func TestADaemonThatHeedsNoTMPDIRIsAskedToo(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	m := newMachine(t)
	root := t.TempDir()
	for _, dir := range []string{"run", "tmp"} {
		require.NoError(t, os.Mkdir(filepath.Join(root, dir), 0o755))
	}
	m.start("/run", "FAKE_ROOT="+root)
	require.Len(t, m.observe().Instances, 1)
	require.NoFileExists(t, filepath.Join(root, "tmp", "keepalived.json"), "read and removed")
	require.NoError(t, os.MkdirAll(filepath.Join(root, "run", "keepalived.json", "x"), 0o755))
	require.Len(t, m.observe().Instances, 1, "what is in the way elsewhere does not matter")
}

func TestAReportThatIsALinkIsRefused(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	m := newMachine(t)
	tmp := t.TempDir()
	m.start(tmp)
	victim := filepath.Join(t.TempDir(), "victim")
	require.NoError(t, os.WriteFile(victim, []byte(`[{"data":{"iname":"false"}}]`), 0o600))
	link := filepath.Join(tmp, "keepalived.json")
	require.NoError(t, os.Symlink(victim, link))
	require.Equal(t, "charm_keepalived", m.observe().Instances[0].Name)
	require.Equal(t, `[{"data":{"iname":"false"}}]`, func() string { text, _ := os.ReadFile(victim); return string(text) }())

}

// TestADirectoryInTheWayOfTheReportIsMovedAside: before 2.2.7 the report is always in
// /tmp, where anybody can put one.
func TestADirectoryInTheWayOfTheReportIsMovedAside(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	m := newMachine(t)
	tmp := t.TempDir()
	m.start(tmp)
	for _, name := range []string{"a", "b"} {
		require.NoError(t, os.MkdirAll(filepath.Join(tmp, "keepalived.json", name), 0o755))
		require.Equal(t, "charm_keepalived", m.observe().Instances[0].Name)
	}
	aside, err := filepath.Glob(filepath.Join(tmp, "keepalived.json.*", "*"))
	require.NoError(t, err)
	require.Len(t, aside, 2, "nothing of anybody's is deleted")
}

func TestADaemonWithoutReportsIsNotSignalled(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start(t.TempDir())
	m.set(t, "signum", "")
	seen := m.observe()
	require.True(t, seen.Active)
	require.Empty(t, seen.Instances, "asked, it would have answered")
	m.set(t, "keepalived.service", "active 0")
	m.set(t, "signum", "36")
	require.Empty(t, m.observe().Instances, "signal 36 to process 0 would hit our own group")
}

func TestAnOldVerdictIsNone(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	now := time.Now().UTC().Format(time.RFC3339Nano)
	for text, want := range map[string]facts.CheckResult{
		`{"verdict":"healthy","written":"` + now + `"}`:                     {Known: true, Healthy: true},
		`{"verdict":"sick","written":"` + now + `","last_error":"refused"}`: {Known: true, Reason: "refused"},
		`{"verdict":"unknown","written":"` + now + `"}`:                     {},
		`{"verdict":"healthy","written":"2020-01-01T00:00:00Z"}`:            {Silent: true},
		`{"verdict":"healthy","written":"2120-01-01T00:00:00Z"}`:            {Silent: true}, // and the clock put back
		`{"verdict":`: {Silent: true},
	} {
		m.put(m.l.StatusFile(), text)
		require.Equal(t, want, m.observe().Check, text)
	}
}

func TestServicesThatAreAboutToRunCount(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	for state, want := range map[string]bool{"active": true, "reloading": true, "activating": true, "inactive": false, "failed": false, "deactivating": true} {
		m.set(t, m.l.CheckerService(), state+" 0")
		require.Equal(t, want, m.observe().CheckerActive, state)
	}
	require.NoError(t, os.Remove(m.programs.path("systemctl")))
	_, err := m.Observe(m.l)
	require.ErrorContains(t, err, "cannot ask systemd for its services: ")
}

// TestTheOwnersLastLineDoesNotGoOnInTheCharmsPart: a definition that does (\) would have
// keepalived read none of it, and pass the test.
func TestTheOwnersLastLineDoesNotGoOnInTheCharmsPart(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	real := needs.Program(t, "keepalived")
	main, err := keepalived.Main{Fragments: layout.FragmentDir, Foreign: layout.ForeignFile}.Render()
	require.NoError(t, err)
	fragment, err := os.ReadFile("../keepalived/testdata/fragment-one-vip.golden")
	require.NoError(t, err)
	for _, last := range []string{"$X=a\n", "$X=a \\\n", "$X=a \\"} {
		m := newMachine(t)
		require.NoError(t, os.Remove(m.programs.path("keepalived")))
		require.NoError(t, os.Symlink(real, m.programs.path("keepalived")))
		m.put(layout.MainFile, last)
		with := func(fragment string) step.Step {
			return step.Step{Action: step.Test, Files: []step.File{{Path: layout.MainFile, Content: main}, {Path: m.l.Fragment(), Content: fragment}}}
		}
		m.apply(with(string(fragment)))
		require.ErrorContains(t, m.Apply(m.l, with(string(fragment)+"nonsense\n")), "nonsense", "%q", last)
	}
}

// TestAReminderThatCannotBeLeftFailsNoHook: /run has no room, or takes nothing (a file is in the
// way); what the hook did and told stands.
func TestAReminderThatCannotBeLeftFailsNoHook(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(layout.RunRoot, "")
	m.Remind(m.l)
	require.Equal(t, []string{layout.RunRoot}, m.files())
}
