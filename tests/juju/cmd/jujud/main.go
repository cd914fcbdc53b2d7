// Jujud is the agent of a machine, put together from Juju's own workers, which are
// unchanged: the one that connects to the controller, the machiner, the one for juju
// upgrade-machine, and the deployer, which runs the agents of the machine's units in this
// process as Juju's jujud does. Those have all their workers. Missing are the machine's other
// workers (new versions of Juju, containers, disks, ssh keys, proxies), for which no model of
// the lab has a use.
//
// The agent's configuration, as the controller's program renders it, is in the place where
// Juju's jujud looks for it. Machines have no network path to the controller: what is sent to
// its address on this machine goes to a unix socket that is mounted into it.
//
// Called as juju-exec (a link /usr/bin/juju-exec to it) it is Juju's juju-exec.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/juju/clock"
	"github.com/juju/cmd/v3"
	"github.com/juju/loggo"
	"github.com/juju/names/v5"

	agentconfig "github.com/juju/juju/cmd/jujud/agent/config"
	"github.com/juju/juju/cmd/jujud/run"
	"github.com/juju/juju/core/machinelock"
)

// options are the command line.
type options struct {
	machine   names.MachineTag
	dataDir   string
	socket    string
	hookTool  string
	guarantee time.Duration
	calls     string
	retry     time.Duration
}

func main() {
	if name := filepath.Base(os.Args[0]); name == "juju-exec" || name == "juju-run" {
		os.Exit(jujuExec())
	}
	opts, err := parse(os.Args[1:])
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
		err = serve(ctx, opts)
		stop()
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "jujud:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("jujud", flag.ContinueOnError)
	machine := flags.String("machine-id", "", "`number` of the machine")
	levels := flags.String("log", "<root>=INFO", "log levels of the machine's own part in loggo's `form`")
	flags.StringVar(&o.dataDir, "data-dir", agentconfig.DataDir, "Juju's data `directory`")
	flags.StringVar(&o.socket, "socket", "", "unix `socket` that leads to the controller; none where its address does")
	flags.StringVar(&o.hookTool, "hook-tool", "/usr/lib/juju-lab/jujuc", "hook tool `program`")
	flags.DurationVar(&o.guarantee, "leader-guarantee", 5*time.Second,
		"how long is-leader stays true without asking again; leases last twice as long (Juju: 30s)")
	flags.StringVar(&o.calls, "calls", "/run/juju", "`directory` of what happens to units' calls, see type caller")
	flags.DurationVar(&o.retry, "longest-retry", 0,
		"the longest `time` until a hook that failed is run again; 0 for Juju's own: 5s, twice as long each time, at most 5m")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if !names.IsValidMachine(*machine) {
		return o, fmt.Errorf("cannot start: %q is not the number of a machine (-machine-id)", *machine)
	}
	o.machine = names.NewMachineTag(*machine)
	if _, err := loggo.ReplaceDefaultWriter(loggo.NewSimpleWriter(os.Stderr, loggo.DefaultFormatter)); err != nil {
		return o, fmt.Errorf("cannot set up logging: %w", err)
	}
	if err := loggo.ConfigureLoggers(*levels); err != nil {
		return o, fmt.Errorf("cannot set log levels: %w", err)
	}
	return o, nil
}

// jujuExec is Juju's juju-exec.
func jujuExec() int {
	ctx, err := cmd.DefaultContext()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ERROR", err)
		return 2
	}
	lock, err := machinelock.New(machinelock.Config{
		AgentName:   "juju-exec",
		Clock:       clock.WallClock,
		Logger:      loggo.GetLogger("juju.machinelock"),
		LogFilename: filepath.Join(agentconfig.LogDir, "juju", "machine-lock.log"),
	})
	if err != nil {
		cmd.WriteError(ctx.Stderr, err)
		return 2
	}
	return cmd.Main(&run.RunCommand{MachineLock: lock}, ctx, os.Args[1:])
}
