// Hooktool is the client side of Juju's hook tools: the program that a unit's
// tools directory links config-get, relation-set and the rest to, installed there
// as jujuc. The name it is called by says which tool to run; the unit agent runs
// it and sends back output and exit code.
//
// Juju's own client is a tenth of its agent; this one starts in a few
// milliseconds. It speaks to agents of Juju 2.9 to 3.6, and net/rpc's protocol
// without net/rpc, which would bring an HTTP server along, and without the packages gob,
// net and fmt, which would take a third of each run: a hook runs a dozen of these, and they
// were a fifth of all that a lab did.
package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// request and response are Juju's, matched by field name on the wire.
type request struct {
	ContextId   string
	Dir         string
	CommandName string
	Args        []string
	StdinSet    bool // tells empty input from none
	Stdin       []byte
	Token       string
}

type response struct {
	Code   int
	Stdout []byte
	Stderr []byte
}

// agent is a connection to the unit agent.
type agent struct {
	conn     io.ReadWriter
	sequence uint64
}

// call runs a hook tool in the agent; an error of the agent's own is an agentError.
func (a *agent) call(req request) (response, error) {
	call := []message{head(a.sequence), req.message()}
	if a.sequence == 0 {
		call = append(definitions(), call...)
	}
	a.sequence++
	if _, err := a.conn.Write(stream(call...)); err != nil {
		return response{}, err
	}
	in := reader{a.conn}
	// net/rpc's Response: ServiceMethod, Seq, Error.
	_, answer, err := in.read(true, false, true)
	if err != nil {
		return response{}, err
	}
	if len(answer[2]) > 0 {
		_, _, err := in.read() // what stands for a result
		return response{}, errors.Join(err, agentError(answer[2]))
	}
	numbers, texts, err := in.read(false, true, true)
	if err != nil {
		return response{}, err
	}
	code := int(numbers[0] >> 1)
	if numbers[0]&1 == 1 {
		code = ^code
	}
	return response{Code: code, Stdout: texts[1], Stderr: texts[2]}, nil
}

type agentError string

func (e agentError) Error() string { return string(e) }

// wantsInput is the agent's answer when a tool reads its standard input.
const wantsInput = "hook tool requires stdin, none supplied"

func main() {
	code, err := run(filepath.Base(os.Args[0]), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		_, _ = os.Stderr.WriteString("ERROR " + err.Error() + "\n")
		code = 1
	}
	os.Exit(code)
}

// run asks the agent named in the environment to run a tool.
func run(tool string, args []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	req := request{
		ContextId: os.Getenv("JUJU_CONTEXT_ID"), CommandName: tool, Args: args,
		Token: os.Getenv("JUJU_AGENT_TOKEN"),
	}
	address := os.Getenv("JUJU_AGENT_SOCKET_ADDRESS")
	if req.ContextId == "" || address == "" {
		return 0, errors.New("JUJU_CONTEXT_ID or JUJU_AGENT_SOCKET_ADDRESS not set: not in a hook")
	}
	if network := os.Getenv("JUJU_AGENT_SOCKET_NETWORK"); network != "" && network != "unix" {
		return 0, errors.New("cannot reach unit agent: its socket is not a unix socket")
	}
	var err error
	if req.Dir, err = os.Getwd(); err != nil {
		return 0, because("cannot find working directory", err)
	}
	conn, err := dial(address)
	if err != nil {
		return 0, because("cannot reach unit agent", err)
	}
	defer conn.Close()
	a := agent{conn: conn}
	resp, err := a.call(req)
	if errors.Is(err, agentError(wantsInput)) {
		if req.Stdin, err = io.ReadAll(stdin); err != nil {
			return 0, because("cannot read standard input", err)
		}
		req.StdinSet = true
		resp, err = a.call(req)
	}
	if err != nil {
		return 0, err
	}
	if _, err := stdout.Write(resp.Stdout); err != nil {
		return 0, because("cannot write output", err)
	}
	if _, err := stderr.Write(resp.Stderr); err != nil {
		return 0, because("cannot write messages", err)
	}
	return resp.Code, nil
}

// dial connects to a socket, in the file system or abstract.
func dial(address string) (*os.File, error) {
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	conn := os.NewFile(uintptr(fd), address)
	if err := syscall.Connect(fd, &syscall.SockaddrUnix{Name: address}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// because is an error with its cause.
func because(what string, cause error) error { return errors.New(what + ": " + cause.Error()) }
