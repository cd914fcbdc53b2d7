package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/charm"
	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/hooktool"
	"keepalived-charm/internal/host"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/notify"
)

const help = `keepalived-charm %s: the binary of the Juju charm keepalived

Juju starts it as dispatch or hooks/NAME for every hook and action; there is
nothing to type. To see what a unit does, ask Juju:

  juju status keepalived
  juju run keepalived/0 status
  juju debug-log --include keepalived/0

The systemd services of the charm start it as:

  keepalived-charm checker --config FILE   check the service, adjust priorities
  keepalived-charm prepare --config FILE   before keepalived starts: make the
                                           track files, flush stale virtual IPs
  keepalived-charm ended --config FILE     after it ended: note how, take away the
                                           virtual IPs that it left behind
  keepalived-charm rescue --config FILE    after a checker has ended: when it found
                                           keepalived stuck, kill that; when that
                                           had ended, take away what it left; when
                                           it lost an address, put that back; when
                                           the Python charm is back, remove what
                                           this one left
  keepalived-charm yield --config FILE     before keepalived stops: let another unit
                                           take over what this one holds
  keepalived-charm notify --unit UNIT FILE ...
                                           after news: have Juju run refresh

The action run-checks starts it as:

  keepalived-charm check --config FILE     check the service once, unprivileged

What Juju runs for notify, in the charm's directory, as juju exec would:

  ./dispatch refresh                       bring the unit's status up to date

  keepalived-charm --version
`

// run finds out who started the program, and what for.
func run(args []string, getenv func(string) string) error {
	if len(args) > 1 && getenv("JUJU_DISPATCH_PATH") == "" {
		switch args[1] {
		case "--help", "-h", "help":
			fmt.Printf(help, version)
			return nil
		case "--version":
			fmt.Println(version)
			return nil
		case "checker", "check", "prepare", "yield", "ended", "rescue":
			return service(args[1], args[2:])
		case "notify":
			return news(args[2:])
		case "refresh":
			return hook("hooks/"+string(hooks.UpdateStatus), args, getenv, charm.Refresh)
		default:
			return fmt.Errorf("cannot do %q: see %s --help", args[1], args[0])
		}
	}
	return hook(getenv("JUJU_DISPATCH_PATH"), args, getenv, charm.Run)
}

// hook carries out what Juju wants at path, which is empty where Juju knows no
// dispatch.
func hook(path string, args []string, getenv func(string) string, do func(juju.Event, charm.Model, charm.Machine) error) error {
	if getenv("JUJU_UNIT_NAME") == "" {
		return errors.New("cannot run outside a Juju hook: see --help")
	}
	ev, err := juju.ParseEvent(args[0], func(name string) string {
		if name == "JUJU_DISPATCH_PATH" {
			return path
		}
		return getenv(name)
	}, endpoint.All())
	if err != nil {
		return err
	}
	// A hook does one thing after the other: more processors would each have memory and
	// threads of their own, for nothing.
	runtime.GOMAXPROCS(1)
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find the charm's binary: %w", err)
	}
	return do(ev, hooktool.Tools{}, host.New("/", self))
}

// news tells Juju that the unit's status may have changed.
func news(args []string) error {
	flags := flag.NewFlagSet("notify", flag.ContinueOnError)
	unit := flags.String("unit", "", "`name` of the unit")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if _, err := juju.ParseUnit(*unit); err != nil || flags.NArg() == 0 {
		return errors.New("cannot run notify: it takes --unit UNIT and the files that say that there are news")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return notify.Notifier{Unit: *unit, Pending: flags.Args(), Clients: notify.Clients(), Log: log.New(os.Stderr, "", 0)}.Run(ctx)
}

// service runs one of the modes that systemd starts.
func service(mode string, args []string) error {
	flags := flag.NewFlagSet(mode, flag.ContinueOnError)
	config := flags.String("config", "", "configuration `file` of the health checker")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil
	case err != nil:
		return err
	case *config == "" || flags.NArg() > 0:
		return fmt.Errorf("cannot run %s: it takes --config FILE and nothing else", mode)
	case mode == "prepare":
		return host.Prepare(*config)
	case mode == "ended":
		return host.Ended(*config, os.Getenv)
	case mode == "check":
		once, err := checker.CheckOnce(context.Background(), *config)
		if err != nil {
			return err
		}
		return json.NewEncoder(os.Stdout).Encode(once)
	case mode == "rescue":
		switch os.Getenv("EXIT_STATUS") { // systemd.exec(5)
		case strconv.Itoa(checker.StuckStatus):
			return host.New("/", "").Rescue()
		case strconv.Itoa(checker.OrphanedStatus):
			return host.New("/", "").Orphaned(*config)
		case strconv.Itoa(checker.LackingStatus):
			return host.New("/", "").Lacking(*config)
		case strconv.Itoa(checker.ReplacedStatus):
			return host.New("/", "").Retire(*config)
		}
		return nil
	case mode == "yield":
		return host.Yield(*config)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return checker.Run(ctx, *config, version, log.New(os.Stderr, "", 0))
}
