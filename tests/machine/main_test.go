package machine_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/machine"
)

// ownerEnv makes the test binary play another process that owns a lab.
const ownerEnv = "LAB_TEST_OWNER"

func TestMain(m *testing.M) {
	if os.Getenv(ownerEnv) != "" {
		if err := ownLab(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests boot machines: run them as root")
		os.Exit(1)
	}
	// Not in the time of a test: it takes minutes, once.
	if _, err := machine.EnsureBase(context.Background(), os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// ownLab brings two labs up, one with a machine, prints their IDs and waits for a signal.
func ownLab() error {
	ctx := context.Background()
	image, err := machine.EnsureBase(ctx, os.Stderr)
	if err != nil {
		return err
	}
	lab, err := machine.New(ctx, image)
	if err != nil {
		return err
	}
	machine.CloseOnSignal(lab)
	other, err := machine.New(ctx, image)
	if err != nil {
		return err
	}
	machine.CloseOnSignal(other)
	m, err := lab.NewMachine(ctx, "juju-0")
	if err != nil {
		return err
	}
	if err := m.Start(ctx); err != nil {
		return err
	}
	fmt.Println(lab.ID, other.ID)
	select {}
}

// newLab makes a lab that ends with the test, and proves that nothing of it is left then.
func newLab(t *testing.T, ctx context.Context) *machine.Lab {
	t.Helper()
	image, err := machine.EnsureBase(ctx, os.Stderr)
	require.NoError(t, err)
	lab, err := machine.New(ctx, image)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, lab.Close())
		require.Empty(t, traces(t, lab.ID))
	})
	return lab
}

func newMachine(t *testing.T, ctx context.Context, lab *machine.Lab, name string, binds ...machine.Bind) *machine.Machine {
	t.Helper()
	m, err := lab.NewMachine(ctx, name, binds...)
	require.NoError(t, err)
	return m
}

// traces lists everything on this host that bears a lab's ID: mounts, network namespaces, control
// groups, processes, directories. Only this lab's, since others may run at the same time.
func traces(t *testing.T, id string) []string {
	t.Helper()
	var found []string
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for _, line := range strings.Split(string(mounts), "\n") {
		if strings.Contains(line, id) {
			found = append(found, "mount "+line)
		}
	}
	for _, pattern := range []string{"/run/netns/*" + id + "*", "/run/keepalived-lab/" + id,
		"/sys/fs/cgroup/keepalived-lab/" + id, "/sys/fs/cgroup/*/keepalived-lab/" + id,
		filepath.Join(machine.CacheDir(), "labs", id)} {
		paths, err := filepath.Glob(pattern)
		require.NoError(t, err)
		found = append(found, paths...)
	}
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	require.NoError(t, err)
	for _, path := range groups {
		if data, err := os.ReadFile(path); err == nil && strings.Contains(string(data), "keepalived-lab/"+id) {
			if stat, err := os.ReadFile(filepath.Join(filepath.Dir(path), "stat")); err == nil && !dead(string(stat)) {
				found = append(found, "process "+string(stat))
			}
		}
	}
	return found
}

// dead says whether a process has ended and only waits for the host's PID 1 to take notice, or,
// itself the first of a PID namespace, for the others there: exiting, include/linux/sched.h.
func dead(stat string) bool {
	const exiting = 0x4 // PF_EXITING, among the flags of proc_pid_stat(5)
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	flags, err := strconv.ParseUint(fields[6], 10, 32)
	return fields[0] == "Z" || fields[0] == "X" || err == nil && flags&exiting != 0
}

// startOwner runs another process that owns a lab and returns it with the lab's ID.
func startOwner(t *testing.T, ctx context.Context) (*exec.Cmd, [2]string) {
	t.Helper()
	cmd := exec.CommandContext(ctx, os.Args[0])
	cmd.Env = append(os.Environ(), ownerEnv+"=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	var ids [2]string
	_, err = fmt.Fscanln(stdout, &ids[0], &ids[1])
	require.NoError(t, err)
	return cmd, ids
}

func withTimeout(t *testing.T, limit time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}
