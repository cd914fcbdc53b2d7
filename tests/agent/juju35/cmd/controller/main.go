// Controller is Juju 3.5.4's controller over a database in memory, as a program that another
// one starts. It says on its first line where it is, as JSON:
//
//	{"address":"127.0.0.1:17070","clientStore":"/tmp/lab/client"}
//
// Then it answers each line of its input with one line:
//
//	{"machine":{"version":"22.04","address":"10.0.0.1"}}    {"machine":"0"}
//	{"login":"unit-keepalived-0"}                           {"login":{"Tag":"unit-keepalived-0",...}}
//
// or with {"error":"..."}. What must not happen, such as a question that the database does not
// understand, is a line {"report":"..."} at any time. It ends with its input, or on an
// interrupt.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/juju/loggo"
	"github.com/juju/names/v5"

	"keepalived-charm/tests/agent/juju35/controller"
)

// request is a line of input: one of its fields is set.
type request struct {
	Machine *struct{ Version, Address string }
	Login   string
}

// reply is a line of output.
type reply struct {
	Address     string            `json:"address,omitempty"`
	ClientStore string            `json:"clientStore,omitempty"`
	Machine     string            `json:"machine,omitempty"`
	Login       *controller.Login `json:"login,omitempty"`
	Report      string            `json:"report,omitempty"`
	Error       string            `json:"error,omitempty"`
}

// output writes lines, of many goroutines.
type output struct {
	mu sync.Mutex
	w  *json.Encoder
}

func (o *output) write(r reply) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Encode(r)
}

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintf(os.Stderr, "controller: %v\n", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) (err error) {
	flags := flag.NewFlagSet("controller", flag.ContinueOnError)
	address := flags.String("address", "127.0.0.1:0", "where the API listens")
	directory := flags.String("directory", ".", "an existing directory for logs and the client store")
	model := flags.String("model", "lab", "name of the model")
	levels := flags.String("log", "<root>=WARNING", "what Juju logs to the standard error output")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if err := loggo.ConfigureLoggers(*levels); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o := &output{w: json.NewEncoder(out)}
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		return err
	}
	starting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := controller.Start(starting, controller.Config{
		Listener: listener, Directory: *directory, Model: *model,
		Report: func(err error) { _ = o.write(reply{Report: err.Error()}) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := o.write(reply{Address: c.Address(), ClientStore: c.ClientStore()}); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- converse(c, in, o) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// converse answers lines until there is no more.
func converse(c *controller.Controller, in io.Reader, o *output) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		answer, err := answer(c, lines.Bytes())
		if err != nil {
			answer = reply{Error: err.Error()}
		}
		if err := o.write(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func answer(c *controller.Controller, line []byte) (reply, error) {
	var r request
	if err := json.Unmarshal(line, &r); err != nil {
		return reply{}, fmt.Errorf("cannot read %q: %w", line, err)
	}
	if r.Machine != nil {
		id, err := c.AddMachine(r.Machine.Version, r.Machine.Address)
		return reply{Machine: id}, err
	}
	if r.Login == "" {
		return reply{}, fmt.Errorf("cannot do %s: neither a machine nor a login", line)
	}
	tag, err := names.ParseTag(r.Login)
	if err != nil {
		return reply{}, err
	}
	login, err := c.Login(tag)
	return reply{Login: &login}, err
}
