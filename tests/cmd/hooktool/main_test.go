package main

import (
	"bytes"
	"errors"
	"net"
	"net/rpc"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Jujuc answers as a unit agent does; relation-set wants input.
type Jujuc struct {
	last   Request
	answer *Response // nil for one with as many as there are arguments for a code
}

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
	if j.answer == nil {
		j.answer = &Response{Code: len(req.Args), Stdout: []byte("out"), Stderr: []byte("err")}
	}
	*resp = *j.answer
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

// net/rpc and gob of the standard library are at the other end.
func TestNumbersAndTextsOfEverySizePass(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 20} {
		for _, code := range []int{0, 1, -1, 63, 64, -64, -65, 127, 255, -1 << 31, 1 << 31} {
			j := unitAgent(t)
			text := strings.Repeat("x", size)
			j.answer = &Response{Code: code, Stdout: []byte(text), Stderr: []byte(text + "e")}
			t.Setenv("JUJU_AGENT_TOKEN", text)
			var out, errs bytes.Buffer
			got, err := run("relation-set", []string{"", text, "é\x00"}, strings.NewReader(text), &out, &errs)
			require.NoError(t, err)
			require.Equal(t, code, got)
			require.True(t, out.String() == text && errs.String() == text+"e", "%d bytes come back", size)
			want := Request{ContextId: "ctx", Dir: j.last.Dir, CommandName: "relation-set", Args: []string{"", text, "é\x00"}, StdinSet: true, Token: text}
			if size > 0 {
				want.Stdin = []byte(text)
			}
			require.True(t, reflect.DeepEqual(want, j.last), "%d bytes arrive", size)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(stream(append(definitions(), head(3))...))
	f.Add([]byte("\x80"))
	f.Add([]byte("\x05\x82\x01\x02\x10\x00"))
	f.Add([]byte("\xf7\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		in := reader{bytes.NewReader(answer)}
		for range 4 {
			if _, _, err := in.read(true, false, true); err != nil {
				return
			}
		}
	})
}
