package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/juju/loggo"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// patience guards against hanging.
const patience = time.Minute

// echo listens at a unix socket and sends back what comes; stop ends that.
func echo(t *testing.T, socket string) (stop func()) {
	t.Helper()
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return func() { l.Close() }
}

func TestConnectionsToTheControllersAddressEndAtTheSocket(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "api.sock")
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := free.Addr().String()
	require.NoError(t, free.Close())
	stop, err := forward([]string{address}, socket)
	require.NoError(t, err)
	dial := func() net.Conn {
		c, err := net.Dial("tcp", address)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
		t.Cleanup(func() { c.Close() })
		return c
	}
	ends := func(c net.Conn) {
		t.Helper()
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, os.ErrDeadlineExceeded)
	}
	ends(dial()) // nobody listens at the socket

	defer echo(t, socket)()
	c := dial()
	_, err = c.Write([]byte("hello"))
	require.NoError(t, err)
	got := make([]byte, 5)
	_, err = io.ReadFull(c, got)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(got))

	_, err = forward([]string{address}, socket)
	require.ErrorContains(t, err, "cannot stand for the controller: ")
	stop()
	ends(c)
	_, err = net.Dial("tcp", address)
	require.Error(t, err)
}

func TestTheMachineMustBeNamed(t *testing.T) {
	for _, args := range [][]string{nil, {"-machine-id", "x"}, {"-machine-id", "0", "-log", "loud"}} {
		_, err := parse(args)
		assert.Error(t, err, "%v", args)
	}
	o, err := parse([]string{"-machine-id", "3", "-socket", "/run/api.sock"})
	require.NoError(t, err)
	assert.Equal(t, "machine-3", o.machine.String())
	assert.Equal(t, "/var/lib/juju", o.dataDir)
}

func TestHooksAreNoted(t *testing.T) {
	file := filepath.Join(t.TempDir(), "hooks.log")
	context := loggo.NewContext(loggo.INFO)
	require.NoError(t, context.AddWriter("hooks", &hookWriter{file: file, unit: "keepalived/0"}))
	log := context.GetLogger("juju.worker.uniter.operation")
	log.Infof(`ran "config-changed" hook (via hook dispatching script: dispatch)`)
	log.Errorf(`hook "start" (via hook dispatching script: dispatch) failed: signal: killed`)
	log.Warningf(`hook "stop" was terminated`)
	log.Infof(`committed operation "run start hook"`)
	context.GetLogger("unit.keepalived/0.juju-log").Infof("ran \"stop\" hook (says the charm)\nand more")
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Regexp(t, `^20\S+Z keepalived/0 config-changed\n20\S+Z keepalived/0 start\n20\S+Z keepalived/0 stop\n20\S+Z keepalived/0 says ran "stop" hook \(says the charm\)\n$`, string(text))
}
