package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"keepalived-charm/internal/charm"
	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/hooktool"
	"keepalived-charm/internal/host"
	"keepalived-charm/internal/juju"
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
		case "checker", "prepare":
			return service(args[1], args[2:])
		default:
			return fmt.Errorf("cannot do %q: see %s --help", args[1], args[0])
		}
	}
	if getenv("JUJU_UNIT_NAME") == "" {
		return errors.New("cannot run outside a Juju hook: see --help")
	}
	ev, err := juju.ParseEvent(args[0], getenv, endpoint.All())
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("cannot find the charm's binary: %w", err)
	}
	return charm.Run(ev, hooktool.Tools{}, host.New("/", self))
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
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return checker.Run(ctx, *config, log.New(os.Stderr, "", 0))
}
