package main

import (
	"bytes"
	"errors"
	"net"
	"net/rpc"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Jujuc answers as a unit agent does; relation-set wants input.
type Jujuc struct{ last Request }

// Request has the wire form of the agent's argument.
type Request struct {
	ContextId, Dir, CommandName string
	Args                        []string
	StdinSet                    bool
	Stdin                       []byte
	Token                       string
}

// Response has the wire form of the agent's answer.
type Response struct {
	Code           int
	Stdout, Stderr []byte
}

// Main is the method that hook tools call.
func (j *Jujuc) Main(req Request, resp *Response) error {
	if req.CommandName == "juju-log" {
		return errors.New("no such context")
	}
	if req.CommandName == "relation-set" && !req.StdinSet {
		return errors.New(wantsInput)
	}
	j.last = req
	*resp = Response{Code: len(req.Args), Stdout: []byte("out"), Stderr: []byte("err")}
	return nil
}

func unitAgent(t *testing.T) *Jujuc {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "agent.socket")
	l, err := net.Listen("unix", socket)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	j := &Jujuc{}
	s := rpc.NewServer()
	require.NoError(t, s.Register(j))
	go s.Accept(l)
	t.Setenv("JUJU_CONTEXT_ID", "ctx")
	t.Setenv("JUJU_AGENT_SOCKET_ADDRESS", socket)
	t.Setenv("JUJU_AGENT_SOCKET_NETWORK", "unix")
	return j
}

func TestRunPassesArgumentsOutputAndExitCode(t *testing.T) {
	j := unitAgent(t)
	var out, errs bytes.Buffer
	code, err := run("status-set", []string{"active", "ready"}, strings.NewReader("unread"), &out, &errs)
	require.NoError(t, err)
	require.Equal(t, 2, code)
	require.Equal(t, "out", out.String())
	require.Equal(t, "err", errs.String())
	require.Equal(t, "ctx", j.last.ContextId)
	require.Equal(t, []string{"active", "ready"}, j.last.Args)
	require.True(t, filepath.IsAbs(j.last.Dir))
	require.False(t, j.last.StdinSet, "input is sent only to tools that ask for it")
}

func TestRunSendsInputToToolsThatWantIt(t *testing.T) {
	j := unitAgent(t)
	_, err := run("relation-set", []string{"--file", "-"}, strings.NewReader("k: v\n"), &bytes.Buffer{}, &bytes.Buffer{})
	require.NoError(t, err)
	require.Equal(t, "k: v\n", string(j.last.Stdin))
}

func TestRunOutsideAHookIsAnError(t *testing.T) {
	t.Setenv("JUJU_CONTEXT_ID", "")
	_, err := run("config-get", nil, nil, nil, nil)
	require.ErrorContains(t, err, "not in a hook")
}

func TestRunWithoutAgentIsAnError(t *testing.T) {
	unitAgent(t)
	t.Setenv("JUJU_AGENT_SOCKET_ADDRESS", filepath.Join(t.TempDir(), "gone"))
	_, err := run("config-get", nil, nil, nil, nil)
	require.ErrorContains(t, err, "cannot reach unit agent")
}

func TestRunTellsWhatTheAgentRefuses(t *testing.T) {
	unitAgent(t)
	_, err := run("juju-log", nil, nil, nil, nil)
	require.EqualError(t, err, "no such context")
}
