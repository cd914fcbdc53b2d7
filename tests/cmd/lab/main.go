// Command lab deploys the charm on machines of its own, for people: it shows a
// deployment, measures it, or keeps one up to type commands against.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"syscall"
	"time"

	"keepalived-charm/tests/chaos"
	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/machine"
)

const help = `lab: the keepalived charm on three machines, without a cloud

  lab demo   show a deployment: machines, a VIP, a machine dies, the VIP moves
  lab bench  measure outages, print the table and draw the plot
  lab chaos  break the deployment in every way, print what each fault cost
  lab up     start a lab and keep it up in the background
  lab down   end it
  lab sweep  remove what is left of labs whose process was killed

Against a lab that is up Juju's own client works, in a shell where what "lab up" prints was
typed. For what Juju has no word:

%s
MACHINE is Juju's number, as in "lab kill 0". It needs root.
`

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "--help" || args[0] == "-h" {
		fmt.Printf(help, lab.Usage())
		return nil
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	charm := flags.String("charm", "keepalived.charm", "packed charm to deploy")
	runs := flags.Int("runs", 5, "runs of each row (bench)")
	rows := flags.String("rows", "", "`regexp` that picks rows by their event (bench, chaos)")
	busy := flags.Duration("busy", time.Minute, "how long the row about busy cores takes (bench)")
	results := flags.String("o", "build/"+args[0], "`directory` for the table and the raw numbers (bench, chaos)")
	random := flags.Duration("random", 0, "how long faults go on at random after all have happened once (chaos)")
	seed := flags.Uint64("seed", rand.Uint64(), "seed of that chance (chaos)")
	start := map[string]func(context.Context, *lab.Lab) error{
		"demo": func(ctx context.Context, l *lab.Lab) error { return l.Demo(ctx) },
		"bench": func(ctx context.Context, l *lab.Lab) error {
			return l.Bench(ctx, lab.BenchOptions{Runs: *runs, Rows: *rows, Busy: *busy, Dir: *results, Out: os.Stdout})
		},
		"chaos": func(ctx context.Context, l *lab.Lab) error {
			return chaos.Run(ctx, l, chaos.Options{Rows: *rows, Random: *random, Seed: *seed, Dir: *results, Out: os.Stdout, Progress: os.Stderr})
		},
		"serve": nil,
	}[args[0]]
	switch args[0] {
	case "demo", "bench", "chaos", "serve", "up", "sweep":
		if err := flags.Parse(args[1:]); errors.Is(err, flag.ErrHelp) {
			return nil
		} else if err != nil {
			return err
		}
	default:
		return lab.Ask(os.Stdout, args...)
	}
	if os.Geteuid() != 0 {
		return errors.New("cannot start machines: run it as root")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	switch args[0] {
	case "sweep":
		return machine.CleanStale(ctx)
	case "up":
		return up(ctx, *charm)
	case "serve":
		return serve(ctx, *charm)
	}
	options := lab.Options{Charm: *charm, Progress: os.Stderr}
	if args[0] == "chaos" {
		options.Patience = chaos.Patience
	}
	return with(ctx, options, start)
}

// with runs something on a lab and ends the lab whatever happens.
func with(ctx context.Context, options lab.Options, what func(context.Context, *lab.Lab) error) error {
	l, err := lab.New(ctx, options)
	if err != nil {
		return err
	}
	err = what(ctx, l)
	if ctx.Err() != nil {
		err = errors.New("interrupted") // by a signal; what that broke off is no news
	}
	return errors.Join(err, l.Close())
}
