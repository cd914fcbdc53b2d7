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
	unit         names.UnitTag
	dataDir      string
	transientDir string
	socket       string
	hookTool     string
	guarantee    time.Duration
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
	if err != nil {
		fmt.Fprintln(os.Stderr, "unit-agent:", err)
		os.Exit(1)
	}
}

func parse(args []string) (options, error) {
	var o options
	fs := flag.NewFlagSet("unit-agent", flag.ExitOnError)
	unit := fs.String("unit", "", "unit `name`, as in keepalived/0")
	levels := fs.String("log", "<root>=INFO;unit=DEBUG", "log levels in loggo's `form`")
	fs.StringVar(&o.dataDir, "data-dir", agentconfig.DataDir, "Juju's data `directory`")
	fs.StringVar(&o.transientDir, "transient-dir", "/run/juju", "`directory` that a reboot empties")
	fs.StringVar(&o.socket, "controller", "/run/juju-lab/controller.sock", "controller's unix `socket`")
	fs.StringVar(&o.hookTool, "hook-tool", "/usr/lib/juju-lab/jujuc", "hook tool `program`")
	fs.DurationVar(&o.guarantee, "leader-guarantee", 2*time.Second,
		"how long is-leader stays true without asking again; leases last twice as long (Juju: 30s)")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if !names.IsValidUnit(*unit) {
		return o, fmt.Errorf("cannot start: %q is not a unit name (--unit)", *unit)
	}
	o.unit = names.NewUnitTag(*unit)
	if _, err := loggo.ReplaceDefaultWriter(loggo.NewSimpleWriter(os.Stderr, loggo.DefaultFormatter)); err != nil {
		return o, fmt.Errorf("cannot set up logging: %w", err)
	}
	if err := loggo.ConfigureLoggers(*levels); err != nil {
		return o, fmt.Errorf("cannot set log levels: %w", err)
	}
	return o, nil
}

// newMachineLock returns the lock that the agents of a machine share.
func newMachineLock(agent, dataDir string) (machinelock.Lock, error) {
	return machinelock.New(machinelock.Config{
		AgentName:   agent,
		Clock:       clock.WallClock,
		Logger:      loggo.GetLogger("juju.machinelock"),
		LogFilename: filepath.Join(dataDir, "machine-lock.log"),
	})
}

// jujuExec is Juju's juju-exec; JUJU_DATA_DIR overrides the data directory.
func jujuExec() int {
	if dir := os.Getenv("JUJU_DATA_DIR"); dir != "" {
		agentconfig.DataDir = dir
	}
	ctx, err := cmd.DefaultContext()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ERROR", err)
		return 2
	}
	lock, err := newMachineLock("juju-exec", agentconfig.DataDir)
	if err != nil {
		cmd.WriteError(ctx.Stderr, err)
		return 2
	}
	return cmd.Main(&run.RunCommand{MachineLock: lock}, ctx, os.Args[1:])
}

// installHookTool puts the hook tool where Juju makes the tools' links to it.
func installHookTool(o options) error {
	if _, err := os.Stat(o.hookTool); err != nil {
		return fmt.Errorf("cannot install hook tool: %w", err)
	}
	dir := filepath.Join(o.dataDir, "tools", o.unit.String())
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot install hook tool: %w", err)
	}
	link := filepath.Join(dir, "jujuc")
	if err := os.Remove(link); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot install hook tool: %w", err)
	}
	if err := os.Symlink(o.hookTool, link); err != nil {
		return fmt.Errorf("cannot install hook tool: %w", err)
	}
	return nil
}
