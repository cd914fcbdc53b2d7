package controller_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/juju/names/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/juju/controller"
	"keepalived-charm/tests/poll"
)

// strays are the goroutines, but for this one, that run or were started by Juju's code, the
// database's or the controller's.
func strays() []string {
	stacks := make([]byte, 8<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var found []string
	for _, stack := range strings.Split(string(stacks), "\n\n")[1:] {
		ours := strings.Contains(stack, "github.com/juju/") || strings.Contains(stack, "keepalived-charm/tests/")
		// See Close; and the tests' own.
		if ours && !strings.Contains(stack, "(*mongoServer).pinger") && !strings.Contains(stack, "testing.(*T).Run") &&
			!strings.Contains(stack, "keepalived-charm/tests/patience.") {
			found = append(found, stack)
		}
	}
	return found
}

// requireNoStrays fails with those that are more than before. One that told of its end may
// not have been scheduled since.
func requireNoStrays(t *testing.T, before []string) {
	t.Helper()
	var left []string
	defer func() {
		if len(left) > len(before) {
			t.Log(strings.Join(left, "\n\n"))
		}
	}()
	poll.Until(t, func() bool {
		left = strays()
		return len(left) <= len(before)
	}, 10*time.Second, 50*time.Millisecond)
}

func TestCloseLeavesNothingBehind(t *testing.T) {
	archive(t) // which may make temporary files
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	before := strays()
	directory := t.TempDir()
	c, err := controller.Start(t.Context(), controller.Config{Directory: directory, Report: func(err error) { t.Error(err) }})
	require.NoError(t, err)
	s := &site{Controller: c, t: t, charms: t.TempDir()}
	s.keepalived()
	s.juju("status")
	require.NoError(t, c.Close())
	require.NoError(t, c.Close(), "again")

	requireNoStrays(t, before)
	_, err = net.Dial("tcp", c.Address())
	assert.Error(t, err, "nobody listens")
	entries, err := os.ReadDir(directory)
	require.NoError(t, err)
	for _, e := range entries {
		assert.Contains(t, []string{"client", "log"}, e.Name())
	}
	entries, err = os.ReadDir(temporary)
	require.NoError(t, err)
	for _, e := range entries {
		// The directories of this test and the locks of Juju's client.
		if !strings.HasPrefix(e.Name(), "Test") && !strings.HasPrefix(e.Name(), "juju-") {
			t.Errorf("%s is left", e.Name())
		}
	}
}

func TestOnlyTheirOwnerReadsTheClientsFiles(t *testing.T) {
	s := newSite(t)
	info, err := os.Stat(s.ClientStore())
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	for _, name := range []string{"controllers.yaml", "accounts.yaml", "models.yaml"} {
		info, err := os.Stat(filepath.Join(s.ClientStore(), name))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode().Perm(), name)
	}
}

func TestWhatStartBeganEndsWhereItFails(t *testing.T) {
	before := strays()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("no time"))
	_, err := controller.Start(ctx, controller.Config{Directory: t.TempDir()})
	require.ErrorContains(t, err, "no time")
	requireNoStrays(t, before)

	_, err = controller.Start(t.Context(), controller.Config{Directory: filepath.Join(t.TempDir(), "missing", "file\x00")})
	assert.Error(t, err)
}

func TestMachinesAndLogins(t *testing.T) {
	s := newSite(t)
	s.machines("10.0.0.1", "10.0.0.2")
	status := s.juju("status")
	assert.Regexp(t, `(?m)^0 +started +10\.0\.0\.1 +manual:10\.0\.0\.1 +ubuntu@22\.04 +Manually provisioned machine`, status)
	login, err := s.Login(names.NewMachineTag("1"))
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(login.Nonce, "manual:10.0.0.2:"))
	_, err = s.Login(names.NewUnitTag("none/0"))
	assert.ErrorContains(t, err, `unit "none/0" not found`)
}
