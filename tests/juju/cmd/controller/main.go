// Controller is Juju's own controller over a database in memory, as a program that another
// one starts. It says on its first line where it is, as JSON:
//
//	{"address":"127.0.0.1:17070","clientStore":"/tmp/lab/client"}
//
// Then it answers each line of its input with one line, which has the same id; several at
// once, and not in their order:
//
//	{"id":1,"machine":{"version":"22.04","address":"10.0.0.1"}}    {"id":1,"machine":"0"}
//	{"id":2,"login":"unit-keepalived-0"}                           {"id":2,"login":{"Tag":"unit-keepalived-0",...}}
//	{"id":3,"provide":{"machine":"1","addresses":["10.0.0.2"]}}    {"id":3,"agent":"# format 2.0\n..."}
//	{"id":4,"settled":{"quiet":"1s","within":"1m","down":["0"]}}   {"id":4}
//	{"id":5,"away":true}                                           {"id":5}
//	{"id":6,"calls":true}                                          {"id":6,"calls":{"unit-keepalived-0 Uniter.Life":2,...}}
//	{"id":7,"events":{"after":0}}                                  {"id":7,"events":[{"Unit":"keepalived/0","Kind":"connected",...}]}
//	{"id":9,"leader":"keepalived/1"}                               {"id":9}
//	{"id":8,"units":true}                                          {"id":8,"units":{"keepalived/0":{"Machine":"0",...}}}
//
// or with {"id":1,"error":"..."}. At any time there are the lines {"wanted":"1"} and
// {"gone":"1"}, a machine that Juju wants or wants no longer, and {"report":"..."}, what must
// not happen, such as a question that the database does not understand. It ends with its
// input, or on an interrupt.
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

	"keepalived-charm/tests/juju/controller"
)

// request is a line of input: one of its fields is set beside the id.
type request struct {
	ID      int
	Machine *struct{ Version, Address string }
	Login   string
	// Provide says that a wanted machine is there, and asks for its agent's configuration.
	Provide *struct {
		Machine   string
		Addresses []string
	}
	// Settled waits until all is at rest, see controller.Controller.
	Settled *struct {
		Quiet, Within string // durations
		Down          []string
	}
	// Away takes the controller away from the socket, or brings it back.
	Away  *bool
	Calls bool
	Units bool
	// Leader is the unit that is to lead its application.
	Leader string
	// Events asks for what happened after the first so many events.
	Events *struct{ After int }
}

// reply is a line of output.
type reply struct {
	ID          int                        `json:"id,omitempty"`
	Address     string                     `json:"address,omitempty"`
	ClientStore string                     `json:"clientStore,omitempty"`
	Machine     string                     `json:"machine,omitempty"`
	Login       *controller.Login          `json:"login,omitempty"`
	Agent       string                     `json:"agent,omitempty"`
	Calls       map[string]int             `json:"calls,omitempty"`
	Events      []controller.Event         `json:"events,omitempty"`
	Units       map[string]controller.Unit `json:"units,omitempty"`
	Wanted      string                     `json:"wanted,omitempty"`
	Gone        string                     `json:"gone,omitempty"`
	Report      string                     `json:"report,omitempty"`
	Error       string                     `json:"error,omitempty"`
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
	socket := flags.String("socket", "", "unix socket at which the API listens as well")
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
		Listener: listener, Socket: *socket, Directory: *directory, Model: *model,
		Report: func(err error) { _ = o.write(reply{Report: err.Error()}) },
		Cloud: controller.Cloud{
			Wanted: func(machine string) { _ = o.write(reply{Wanted: machine}) },
			Gone:   func(machine string) { _ = o.write(reply{Gone: machine}) },
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := o.write(reply{Address: c.Address(), ClientStore: c.ClientStore()}); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- converse(ctx, c, in, o) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return nil
	}
}

// converse answers lines until there is no more.
func converse(ctx context.Context, c *controller.Controller, in io.Reader, o *output) error {
	ctx, cancel := context.WithCancel(ctx)
	var answering sync.WaitGroup
	defer answering.Wait()
	defer cancel()
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var r request
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return fmt.Errorf("cannot read %q: %w", lines.Text(), err)
		}
		answering.Go(func() {
			a, err := answer(ctx, c, r)
			if err != nil {
				a = reply{Error: err.Error()}
			}
			a.ID = r.ID
			_ = o.write(a) // who asked may have gone
		})
	}
	return lines.Err()
}

func answer(ctx context.Context, c *controller.Controller, r request) (reply, error) {
	switch {
	case r.Machine != nil:
		id, err := c.AddMachine(r.Machine.Version, r.Machine.Address)
		return reply{Machine: id}, err
	case r.Login != "":
		tag, err := names.ParseTag(r.Login)
		if err != nil {
			return reply{}, err
		}
		login, err := c.Login(tag)
		return reply{Login: &login}, err
	case r.Provide != nil:
		config, err := c.Provide(r.Provide.Machine, r.Provide.Addresses...)
		return reply{Agent: string(config)}, err
	case r.Settled != nil:
		quiet, err := time.ParseDuration(r.Settled.Quiet)
		if err != nil {
			return reply{}, err
		}
		within, err := time.ParseDuration(r.Settled.Within)
		if err != nil {
			return reply{}, err
		}
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		return reply{}, c.Settled(ctx, quiet, r.Settled.Down)
	case r.Away != nil && *r.Away:
		return reply{}, c.Cut()
	case r.Away != nil:
		return reply{}, c.Restore()
	case r.Calls:
		return reply{Calls: c.Calls()}, nil
	case r.Leader != "":
		return reply{}, c.SetLeader(r.Leader)
	case r.Units:
		return reply{Units: c.Units()}, nil
	case r.Events != nil:
		return reply{Events: c.Events(r.Events.After)}, nil
	}
	return reply{}, errors.New("cannot do what is not asked: the line has none of the requests")
}
