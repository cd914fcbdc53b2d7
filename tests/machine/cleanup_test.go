package machine_test

import (
	"context"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/machine"
)

func TestCloseLeavesNothing(t *testing.T) {
	ctx := withTimeout(t, 5*time.Minute)
	lab := newLab(t, ctx)
	m := newMachine(t, ctx, lab, "juju-0")
	require.NoError(t, m.Start(ctx))
	probe := lab.ClientCommand(ctx, "sleep", "60")
	require.NoError(t, probe.Start())
	defer func() { _ = probe.Wait() }() // it is killed, as it should be
	require.NotEmpty(t, traces(t, lab.ID), "a running lab must be seen, or the test proves nothing")

	require.NoError(t, lab.Close())
	require.Empty(t, traces(t, lab.ID))
	require.NoError(t, lab.Close(), "closing again is harmless")
	require.ErrorContains(t, m.Start(ctx), "the lab is closed")
	_, err := lab.NewMachine(ctx, "juju-1")
	require.ErrorContains(t, err, "the lab is closed")
}

func TestCloseWhileMachinesBoot(t *testing.T) {
	ctx := withTimeout(t, 5*time.Minute)
	for _, delay := range []time.Duration{0, 20 * time.Millisecond, 60 * time.Millisecond, 150 * time.Millisecond} {
		t.Run(delay.String(), func(t *testing.T) {
			lab := newLab(t, ctx)
			started := make(chan error, 2)
			for _, name := range []string{"juju-0", "juju-1"} {
				m := newMachine(t, ctx, lab, name)
				go func() { started <- m.Start(ctx) }()
			}
			time.Sleep(delay)
			require.NoError(t, lab.Close())
			for range 2 {
				<-started // either outcome is right, as long as nothing is left
			}
			require.Empty(t, traces(t, lab.ID))
		})
	}
}

func TestOwnerEndedBySignalClosesItsLabs(t *testing.T) {
	ctx := withTimeout(t, 5*time.Minute)
	owner, ids := startOwner(t, ctx)
	for _, id := range ids {
		require.NotEmpty(t, traces(t, id))
	}
	require.NoError(t, owner.Process.Signal(syscall.SIGTERM))
	require.Error(t, owner.Wait())
	require.Equal(t, 128+int(syscall.SIGTERM), owner.ProcessState.ExitCode())
	for _, id := range ids {
		require.Empty(t, traces(t, id))
	}
}

func TestLabOfKilledOwnerIsSweptByTheNextRun(t *testing.T) {
	ctx := withTimeout(t, 5*time.Minute)
	living := newLab(t, ctx)
	owner, ids := startOwner(t, ctx)
	require.NoError(t, owner.Process.Kill())
	require.Error(t, owner.Wait())
	for _, id := range ids {
		require.NotEmpty(t, traces(t, id), "nobody has cleaned up yet")
	}

	require.NoError(t, machine.CleanStale(ctx))
	for _, id := range ids {
		require.Empty(t, traces(t, id))
	}
	require.NotEmpty(t, traces(t, living.ID), "a living lab is not touched")
}

func TestSocketBesideTheLabsIsNoLab(t *testing.T) {
	ctx := withTimeout(t, time.Minute)
	newLab(t, ctx) // makes the directory
	socket, err := os.CreateTemp("/run/keepalived-lab", "control-*.sock")
	require.NoError(t, err)
	defer os.Remove(socket.Name())
	require.NoError(t, socket.Close())
	require.NoError(t, machine.CleanStale(ctx))
	require.FileExists(t, socket.Name())
}

func TestBuildingTheImageWaitsForAnotherRun(t *testing.T) {
	t.Setenv(machine.CacheEnv, t.TempDir())
	lock, err := os.OpenFile(machine.CacheDir()+"/lock", os.O_CREATE|os.O_RDWR, 0o644)
	require.NoError(t, err)
	defer lock.Close()
	require.NoError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err = machine.EnsureBase(ctx, os.Stderr)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}
