package controller_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/juju/controller"
)

// newCloud is newSite with a cloud that only says what it is told, and a socket.
func newCloud(t *testing.T) (s *site, wanted, gone chan string, socket string) {
	t.Helper()
	wanted, gone = make(chan string, 10), make(chan string, 10)
	socket = filepath.Join(t.TempDir(), "api.sock")
	s = newSiteWith(t, controller.Config{
		Socket: socket,
		Cloud: controller.Cloud{
			Wanted: func(id string) { wanted <- id }, Gone: func(id string) { gone <- id },
		},
	})
	return s, wanted, gone, socket
}

// next is what comes out of a channel.
func next(t *testing.T, from chan string) string {
	t.Helper()
	select {
	case s := <-from:
		return s
	case <-time.After(patience):
		require.Fail(t, "nothing comes")
		return ""
	}
}

func TestTheCloudIsToldOfMachines(t *testing.T) {
	s, wanted, gone, _ := newCloud(t)
	s.standIn("haproxy")
	s.juju("deploy ./haproxy --base ubuntu@22.04")
	require.Equal(t, "0", next(t, wanted))
	assert.Regexp(t, `(?m)^0 +pending `, s.juju("status"))
	config, err := s.Provide("0", "10.0.0.1")
	require.NoError(t, err)
	assert.Contains(t, string(config), "tag: machine-0\n")
	assert.Contains(t, string(config), s.Address())
	assert.Regexp(t, `(?m)^0 +\S+ +10\.0\.0\.1 +lab-0 `, s.juju("status"))
	_, err = s.Provide("0", "10.0.0.2")
	assert.ErrorContains(t, err, "cannot provide machine 0: ")
	_, err = s.Provide("7", "10.0.0.2")
	assert.ErrorContains(t, err, "machine 7 not found")

	s.juju("add-unit haproxy")
	require.Equal(t, "1", next(t, wanted))
	s.juju("remove-machine 0 --force --no-wait --no-prompt")
	require.Equal(t, "0", next(t, gone))
	s.juju("remove-unit haproxy/1 --no-prompt")
	require.Equal(t, "1", next(t, gone), "a machine that never was")
}

func TestWhoComesByTheSocketIsCutOff(t *testing.T) {
	s, _, _, socket := newCloud(t)
	dial := func() (net.Conn, error) { return net.Dial("unix", socket) }
	conn, err := dial()
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, s.Cut())
	require.NoError(t, s.Cut(), "again")
	require.NoError(t, conn.SetReadDeadline(time.Now().Add(patience)))
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	_, err = dial()
	require.Error(t, err)
	s.juju("status")
	require.NoError(t, s.Restore())
	require.NoError(t, s.Restore(), "again")
	again, err := dial()
	require.NoError(t, err)
	assert.NoError(t, again.Close())
	require.NoError(t, s.Cut())
}

func TestWhatIsOnItsWayIsNotSettled(t *testing.T) {
	s, wanted, _, _ := newCloud(t)
	settled := func(down ...string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		return s.Settled(ctx, 200*time.Millisecond, down)
	}
	require.NoError(t, settled(), "an empty model")
	s.standIn("haproxy")
	s.juju("deploy ./haproxy --base ubuntu@22.04")
	next(t, wanted)
	assert.ErrorContains(t, settled(), "the model is not settled: machine 0 is alive pending, unit haproxy/0 is allocating: ")
	_, err := s.Provide("0", "10.0.0.1")
	require.NoError(t, err)
	assert.ErrorContains(t, settled(), "unit haproxy/0 is allocating")
	assert.NoError(t, settled("0"), "nothing is to be expected of a machine without power")
	assert.Empty(t, s.Calls())
	s.enter("haproxy/0", "haproxy:peer")
	assert.NotZero(t, s.Calls()["unit-haproxy-0 Uniter.EnterScope"])
}
