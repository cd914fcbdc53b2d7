package hooktool

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"net"
	"net/rpc"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const wantsInput = "hook tool requires stdin, none supplied"

// Jujuc answers as a unit agent does; relation-set wants input.
type Jujuc struct {
	mu     sync.Mutex
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
	j.mu.Lock()
	defer j.mu.Unlock()
	j.last = req
	*resp = Response{Code: len(req.Args), Stdout: []byte("out"), Stderr: []byte("err")}
	if j.answer != nil {
		*resp = *j.answer
	}
	return nil
}

func (j *Jujuc) asked() Request {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.last
}

func (j *Jujuc) answers(with Response) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.answer = &with
}

var program string

func TestMain(m *testing.M) { os.Exit(withProgram(m)) }

func withProgram(m *testing.M) int {
	dir, err := os.MkdirTemp("", "hooktool-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	program = filepath.Join(dir, "jujuc")
	if err := Build(context.Background(), program); err != nil {
		panic(err)
	}
	return m.Run()
}

// ran is what came of a tool.
type ran struct {
	code        int
	out, errors string
}

// run runs a tool in a working directory of its own.
func run(t testing.TB, tool string, args []string, input string) ran {
	t.Helper()
	link := filepath.Join(t.TempDir(), tool)
	require.NoError(t, os.Symlink(program, link))
	cmd := exec.CommandContext(t.Context(), link, args...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &out, &errs
	cmd.Dir = filepath.Dir(link)
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return ran{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// listen is where the agent is to be found; an address that begins with @ is abstract.
func listen(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("unix", address)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	t.Setenv("JUJU_CONTEXT_ID", "ctx")
	t.Setenv("JUJU_AGENT_SOCKET_ADDRESS", address)
	t.Setenv("JUJU_AGENT_SOCKET_NETWORK", "unix")
	return l
}

func unitAgent(t *testing.T, address ...string) *Jujuc {
	t.Helper()
	l := listen(t, cmp.Or(strings.Join(address, ""), filepath.Join(t.TempDir(), "agent.socket")))
	j := &Jujuc{}
	s := rpc.NewServer()
	require.NoError(t, s.Register(j))
	go s.Accept(l)
	return j
}

func TestAToolPassesArgumentsOutputAndExitCode(t *testing.T) {
	for name, address := range map[string]string{"a socket in the file system": "", "an abstract socket": "@keepalived-hooktool-test"} {
		t.Run(name, func(t *testing.T) {
			j := unitAgent(t, address)
			require.Equal(t, ran{2, "out", "err"}, run(t, "status-set", []string{"active", "ready"}, "unread"))
			require.Equal(t, "ctx", j.asked().ContextId)
			require.Equal(t, "status-set", j.asked().CommandName)
			require.Equal(t, []string{"active", "ready"}, j.asked().Args)
			require.True(t, filepath.IsAbs(j.asked().Dir))
			require.False(t, j.asked().StdinSet, "input is sent only to tools that ask for it")
		})
	}
}

func TestAToolThatWantsInputGetsIt(t *testing.T) {
	j := unitAgent(t)
	require.Equal(t, ran{2, "out", "err"}, run(t, "relation-set", []string{"--file", "-"}, "k: v\n"))
	require.Equal(t, "k: v\n", string(j.asked().Stdin))
}

func TestWhatFailsIsSaid(t *testing.T) {
	t.Run("what the agent refuses", func(t *testing.T) {
		unitAgent(t)
		require.Equal(t, ran{1, "", "ERROR no such context\n"}, run(t, "juju-log", nil, ""))
	})
	t.Run("outside a hook", func(t *testing.T) {
		t.Setenv("JUJU_CONTEXT_ID", "")
		require.Contains(t, run(t, "config-get", nil, "").errors, "not in a hook")
	})
	for name, address := range map[string]string{"no agent": "/nonexistent/socket", "a path too long": "/" + strings.Repeat("x", 200)} {
		t.Run(name, func(t *testing.T) {
			unitAgent(t)
			t.Setenv("JUJU_AGENT_SOCKET_ADDRESS", address)
			got := run(t, "config-get", nil, "")
			require.Equal(t, 1, got.code)
			require.Contains(t, got.errors, "ERROR cannot reach unit agent: ")
		})
	}
}

// net/rpc and gob of the standard library are at the other end.
func TestNumbersAndTextsOfEverySizePass(t *testing.T) {
	passes := func(size, code int) {
		j := unitAgent(t)
		text := strings.Repeat("x", size)
		passed := text[:min(size, 100_000)] // what an argument may have (execve(2))
		j.answers(Response{Code: code, Stdout: []byte(text), Stderr: []byte(text + "e")})
		t.Setenv("JUJU_AGENT_TOKEN", passed)
		got := run(t, "relation-set", []string{"", passed, "é\n"}, text)
		require.Equal(t, code&0xff, got.code)
		require.True(t, got.out == text && got.errors == text+"e", "%d bytes come back", size)
		want := Request{ContextId: "ctx", Dir: j.asked().Dir, CommandName: "relation-set", Args: []string{"", passed, "é\n"}, StdinSet: true, Token: passed}
		if size > 0 {
			want.Stdin = []byte(text)
		}
		require.True(t, reflect.DeepEqual(want, j.asked()), "%d bytes arrive", size)
	}
	for _, size := range []int{0, 1, 127, 128, 255, 256, 65535, 65536, 1 << 20} {
		passes(size, 0)
	}
	for _, code := range []int{1, -1, 63, 64, -64, -65, 127, 255, -1 << 31, 1 << 31} {
		passes(1, code)
	}
}

func FuzzAnswers(f *testing.F) {
	for _, answer := range []string{"", "\x80", "\x03\x82\x01", "\x05\x82\x01\x02\x10\x00", "\x04\x82\x01\x7f\x00", "\xf7\xff\xff\xff\xff\xff\xff\xff\xff",
		"\xfc\x7f\xff\xff\xff", "\x03\x82\x05\x00", "\x02\x82\x00\x04\x84\x02\x90\x00", "\x02\x82\x00\x02\x84\x00"} {
		f.Add([]byte(answer))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		l := listen(t, filepath.Join(t.TempDir(), "agent.socket"))
		go func() {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			_, _ = conn.Write(answer)
			_, _ = conn.Read(make([]byte, 64<<10))
		}()
		got := run(t, "config-get", nil, "")
		require.NotEqual(t, -1, got.code, "the tool ends by itself: %s", got.errors)
	})
}
