// Hooktool is the client side of Juju's hook tools: the program that a unit's
// tools directory links config-get, relation-set and the rest to, installed there
// as jujuc. The name it is called by says which tool to run; the unit agent runs
// it and sends back output and exit code.
//
// Juju's own client is a tenth of its agent; this one starts in a few
// milliseconds. It speaks to agents of Juju 2.9 to 3.6, and net/rpc's protocol
// without net/rpc, which would bring an HTTP server along: a hook runs a dozen of
// these, and they would take most of its time.
package main

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
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

// callHead and answerHead are net/rpc's Request and Response, which precede
// arguments and results.
type callHead struct {
	ServiceMethod string
	Seq           uint64
}

type answerHead struct {
	ServiceMethod string
	Seq           uint64
	Error         string
}

// agent is a connection to the unit agent.
type agent struct {
	out *gob.Encoder
	in  *gob.Decoder
	seq uint64
}

// call runs a hook tool in the agent; an error of the agent's own is an agentError.
func (a *agent) call(req request) (resp response, err error) {
	if err := a.out.Encode(callHead{"Jujuc.Main", a.seq}); err != nil {
		return resp, err
	}
	a.seq++
	if err := a.out.Encode(req); err != nil {
		return resp, err
	}
	var head answerHead
	if err := a.in.Decode(&head); err != nil {
		return resp, err
	}
	if head.Error != "" {
		return resp, errors.Join(a.in.DecodeValue(reflect.Value{}), agentError(head.Error))
	}
	return resp, a.in.Decode(&resp)
}

type agentError string

func (e agentError) Error() string { return string(e) }

// wantsInput is the agent's answer when a tool reads its standard input.
const wantsInput = "hook tool requires stdin, none supplied"

func main() {
	code, err := run(filepath.Base(os.Args[0]), os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	if err != nil {
		fmt.Fprintf(os.Stderr, "ERROR %v\n", err)
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
	address, network := os.Getenv("JUJU_AGENT_SOCKET_ADDRESS"), os.Getenv("JUJU_AGENT_SOCKET_NETWORK")
	if req.ContextId == "" || address == "" {
		return 0, errors.New("JUJU_CONTEXT_ID or JUJU_AGENT_SOCKET_ADDRESS not set: not in a hook")
	}
	if network == "" {
		network = "unix"
	}
	var err error
	if req.Dir, err = os.Getwd(); err != nil {
		return 0, fmt.Errorf("cannot find working directory: %w", err)
	}
	conn, err := net.Dial(network, address)
	if err != nil {
		return 0, fmt.Errorf("cannot reach unit agent: %w", err)
	}
	defer conn.Close()
	a := agent{out: gob.NewEncoder(conn), in: gob.NewDecoder(conn)}
	resp, err := a.call(req)
	if errors.Is(err, agentError(wantsInput)) {
		if req.Stdin, err = io.ReadAll(stdin); err != nil {
			return 0, fmt.Errorf("cannot read standard input: %w", err)
		}
		req.StdinSet = true
		resp, err = a.call(req)
	}
	if err != nil {
		return 0, err
	}
	if _, err := stdout.Write(resp.Stdout); err != nil {
		return 0, fmt.Errorf("cannot write output: %w", err)
	}
	if _, err := stderr.Write(resp.Stderr); err != nil {
		return 0, fmt.Errorf("cannot write messages: %w", err)
	}
	return resp.Code, nil
}
