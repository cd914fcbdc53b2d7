package machine_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/machine"
	"keepalived-charm/tests/poll"
)

func TestMachine(t *testing.T) {
	ctx := withTimeout(t, 8*time.Minute)
	lab := newLab(t, ctx)
	shared := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(shared, "note"), []byte("from the host"), 0o644))
	m := newMachine(t, ctx, lab, "juju-0", machine.Bind{Host: shared, Machine: "/run/lab"})
	other := newMachine(t, ctx, lab, "juju-1")

	start := time.Now()
	require.NoError(t, m.Start(ctx))
	t.Logf("booted in %s", time.Since(start).Round(time.Millisecond))
	require.NoError(t, other.Start(ctx))
	require.ErrorContains(t, m.Start(ctx), "it is running")

	for _, test := range []struct {
		claim string
		check func(*testing.T, context.Context, *machine.Lab, *machine.Machine, *machine.Machine)
	}{
		{"commands run as on a computer of its own", checkExec},
		{"a cancelled command is killed", checkCancel},
		{"files go in and out", checkFiles},
		{"systemd units run with user, watchdog and restart", checkUnits},
		{"keepalived is installed from the image, sysctls of net can be set", checkPackages},
		{"haproxy answers with the machine's name", checkHAProxy},
		{"a cable can be pulled, a partition keeps the carrier", checkCable},
		{"a second interface comes and goes", checkSecondInterface},
		{"a frozen machine answers no request and goes on when thawed", checkFreeze},
		{"a killed machine comes back with its disk and without stale addresses", checkKill},
		{"a machine that reboots itself comes back", checkReboot},
		{"a machine that powers itself off stays off", checkPowerOff},
		{"a destroyed machine frees its name", checkDestroy},
	} {
		require.True(t, t.Run(test.claim, func(t *testing.T) { test.check(t, ctx, lab, m, other) }))
	}
}

func checkExec(t *testing.T, ctx context.Context, _ *machine.Lab, m, _ *machine.Machine) {
	state, err := m.Exec(ctx, "systemctl", "is-system-running")
	require.NoError(t, err)
	require.Equal(t, machine.Result{Stdout: "running\n"}, state)

	result, err := m.Exec(ctx, "sh", "-c", "echo out; echo err >&2; exit 7")
	require.NoError(t, err)
	require.Equal(t, machine.Result{Stdout: "out\n", Stderr: "err\n", Code: 7}, result)

	t.Setenv("LEAK", "1")
	out, err := m.Run(ctx, `hostname; pwd; echo "${LEAK:-clean}"; id -u; ls /sys/class/net`)
	require.NoError(t, err)
	require.Equal(t, "juju-0\n/\nclean\n0\neth0\nlo\n", out)

	_, err = m.Run(ctx, "echo because >&2; false; echo not reached")
	require.ErrorContains(t, err, "exit status 1: because")
	missing, err := m.Exec(ctx, "no-such-command")
	require.NoError(t, err)
	require.Equal(t, 127, missing.Code)
}

func checkCancel(t *testing.T, ctx context.Context, _ *machine.Lab, m, _ *machine.Machine) {
	short, cancel := context.WithTimeout(ctx, 200*time.Millisecond)
	defer cancel()
	_, err := m.Exec(short, "sleep", "1234")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	poll.Until(t, func() bool {
		result, err := m.Exec(ctx, "pgrep", "--full", "^sleep 1234$")
		return err == nil && result.Code == 1
	}, 5*time.Second, 20*time.Millisecond)
}

func checkFiles(t *testing.T, ctx context.Context, _ *machine.Lab, m, _ *machine.Machine) {
	require.NoError(t, m.WriteFile(ctx, "/srv/new dir/file", []byte("one\ntwo"), 0o640))
	data, err := m.ReadFile(ctx, "/srv/new dir/file")
	require.NoError(t, err)
	require.Equal(t, "one\ntwo", string(data))
	out, err := m.Run(ctx, `stat --format='%a %U' '/srv/new dir/file'; cat /run/lab/note; echo back >/run/lab/reply`)
	require.NoError(t, err)
	require.Equal(t, "640 root\nfrom the host", out)
	_, err = m.ReadFile(ctx, "/srv/absent")
	require.ErrorContains(t, err, "No such file")

	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "sub/tool"), []byte("#!/bin/sh\necho ran"), 0o755))
	require.NoError(t, os.Symlink("sub/tool", filepath.Join(dir, "link")))
	require.NoError(t, m.CopyIn(ctx, dir, "/opt/tree"))
	require.NoError(t, m.CopyIn(ctx, filepath.Join(dir, "sub/tool"), "/opt/single"))
	out, err = m.Run(ctx, "/opt/tree/link; /opt/single")
	require.NoError(t, err)
	require.Equal(t, "ran\nran\n", out)
}

func checkUnits(t *testing.T, ctx context.Context, _ *machine.Lab, m, _ *machine.Machine) {
	const unit = "[Service]\nType=notify\nNotifyAccess=all\nUser=nobody\nWatchdogSec=300ms\nRestart=always\nRestartSec=50ms\n" +
		"ProtectSystem=strict\nPrivateTmp=yes\nExecStart=/bin/sh -c 'id -un; systemd-notify --ready; exec sleep 1000'\n"
	require.NoError(t, m.WriteFile(ctx, "/etc/systemd/system/dog.service", []byte(unit), 0o644))
	_, err := m.Run(ctx, "systemctl daemon-reload; systemctl start dog")
	require.NoError(t, err)
	poll.Until(t, func() bool {
		restarts, err := m.Run(ctx, "systemctl show --property=NRestarts --value dog")
		return err == nil && restarts >= "1\n"
	}, 10*time.Second, 50*time.Millisecond, "the watchdog restarts a silent service")
	_, err = m.Run(ctx, "systemctl stop dog; rm /etc/systemd/system/dog.service; systemctl daemon-reload")
	require.NoError(t, err)
	journal, err := m.Journal(ctx, "dog")
	require.NoError(t, err)
	require.Contains(t, journal, "nobody")
	require.Contains(t, journal, "Watchdog timeout")
}

func checkPackages(t *testing.T, ctx context.Context, lab *machine.Lab, m, _ *machine.Machine) {
	result, err := m.Exec(ctx, "dpkg-query", "--show", "keepalived")
	require.NoError(t, err)
	require.Equal(t, 1, result.Code, "the charm is to install keepalived, not the image")
	start := time.Now()
	_, err = m.Run(ctx, "apt-get update; apt-get install --yes keepalived")
	require.NoError(t, err)
	t.Logf("keepalived installed in %s", time.Since(start).Round(time.Millisecond))
	out, err := m.Run(ctx, "sysctl -qw net.ipv4.ip_nonlocal_bind=1; cat /proc/sys/net/ipv4/ip_nonlocal_bind; keepalived --version 2>&1 | head -1")
	require.NoError(t, err)
	require.Contains(t, out, "1\nKeepalived v"+lab.Base().Keepalived()+" ")
	out, err = m.Run(ctx, ". /etc/os-release; echo $VERSION_CODENAME")
	require.NoError(t, err)
	require.Equal(t, string(lab.Base())+"\n", out)
}

func checkDestroy(t *testing.T, ctx context.Context, lab *machine.Lab, _, other *machine.Machine) {
	require.NoError(t, other.Destroy(ctx))
	require.Len(t, lab.Machines(), 1)
	fresh := newMachine(t, ctx, lab, other.Name)
	require.Equal(t, other.Port().IPv4, fresh.Port().IPv4)
	require.False(t, fresh.Running())
}
