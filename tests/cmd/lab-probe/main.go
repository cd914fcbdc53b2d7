// Lab-probe opens a new TCP connection to a target every few milliseconds and prints, as one JSON
// object per line, each change it sees and, when its input ends or a signal comes, a report.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"keepalived-charm/tests/probe"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "lab-probe:", err)
		os.Exit(1)
	}
}

func run() error {
	runtime.GOMAXPROCS(1) // several run at once, and what they take is missing where they measure
	target := flag.String("target", "", "`address:port` to probe")
	var p probe.Prober
	flag.DurationVar(&p.Interval, "interval", probe.DefaultInterval, "time between starts of attempts")
	flag.DurationVar(&p.Limit, "limit", probe.DefaultLimit, "time an attempt has to succeed")
	flag.BoolVar(&p.Name, "name", false, "ask for the server's name by HTTP; no name is a failed attempt")
	flag.BoolVar(&p.Hold, "hold", false, "also keep one connection open all the time")
	flag.Parse()
	var err error
	if p.Target, err = netip.ParseAddrPort(*target); err != nil {
		return fmt.Errorf("-target is %q, must be address:port: %w", *target, err)
	}
	if p.Interval <= 0 || p.Limit <= 0 {
		return fmt.Errorf("-interval is %s and -limit %s, both must be above 0", p.Interval, p.Limit)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // however it ends, it ends the run
		stop()
	}()
	out := json.NewEncoder(os.Stdout)
	emit := func(e probe.Event) { err = out.Encode(e) }
	report := p.Run(ctx, emit)
	emit(probe.Event{Kind: probe.EventReport, At: report.To, Report: &report})
	if err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	return nil
}
