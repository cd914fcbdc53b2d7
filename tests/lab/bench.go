package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"time"

	"keepalived-charm/tests/bench"
)

// BenchOptions say what Bench measures.
type BenchOptions struct {
	// Runs is how often each row is measured, 1-100.
	Runs int
	// Rows is a regular expression that picks rows by their event; empty: all.
	Rows string
	// Busy is how long both cores are kept busy in the row that does so.
	Busy time.Duration
	// Dir gets table.md, outages.svg (faults), changes.svg and results.json.
	Dir string
	// Out gets the table.
	Out io.Writer
}

// Bench measures what events cost clients. It returns an error when a bound is not met; the results are written all the same.
func (l *Lab) Bench(ctx context.Context, o BenchOptions) error {
	if o.Runs < 1 || o.Runs > 100 {
		return fmt.Errorf("cannot measure each row %d times: it must be 1-100", o.Runs)
	}
	if o.Busy < 0 || o.Busy > time.Hour {
		return fmt.Errorf("cannot keep the cores busy for %v: it must be 0-1h", o.Busy)
	}
	experiments, err := pickRows(benchRows(o.Busy), o.Rows)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return fmt.Errorf("cannot keep results: %w", err)
	}
	if err := l.Standard(ctx, map[string]string{"virtual_ip": VIP.String()}); err != nil {
		return err
	}
	report, err := l.benchReport(ctx)
	if err != nil {
		return err
	}
	s := &stage{Lab: l, vip: VIP, set: map[string]string{}, faults: map[string]time.Time{}}
	for _, e := range experiments {
		if failed := s.perform(ctx, e, o.Runs); failed != nil {
			failed = fmt.Errorf("cannot measure every row: %w", failed)
			s.say("%v", failed)
			err = errors.Join(err, failed)
		}
		report.Rows = append(report.Rows, e.measured()...)
		if ctx.Err() != nil {
			break
		}
	}
	if len(report.Rows) > 0 {
		fmt.Fprint(o.Out, report.Table())
		err = errors.Join(err, writeReport(report, o.Dir))
	}
	if unmet := report.Unmet(); len(unmet) > 0 {
		err = errors.Join(err, fmt.Errorf("bounds not met: %s", strings.Join(unmet, "; ")))
	}
	return err
}

// pickRows returns the experiments with a row whose event matches, and marks the
// rows that do.
func pickRows(all []experiment, pattern string) ([]experiment, error) {
	match, err := regexp.Compile("(?i)" + pattern)
	if err != nil {
		return nil, fmt.Errorf("cannot pick rows: %w", err)
	}
	var picked []experiment
	var events []string
	for _, e := range all {
		any := false
		for _, row := range e.rows {
			for _, t := range row.targets() {
				events = append(events, t.Event)
				t.picked = match.MatchString(t.Event)
				any = any || t.picked
			}
		}
		if any {
			picked = append(picked, e)
		}
	}
	if len(picked) == 0 {
		return nil, fmt.Errorf("cannot pick rows: %q matches none of: %s", pattern, strings.Join(events, ", "))
	}
	return picked, nil
}

// benchReport is a report without rows: what is measured where.
func (l *Lab) benchReport(ctx context.Context) (bench.Report, error) {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return bench.Report{}, fmt.Errorf("cannot name the kernel: %w", err)
	}
	// The first machine speaks for all: they have the same base image.
	m := l.Net.Machines()[0]
	daemon, err := m.Run(ctx, `dpkg-query --show --showformat '${Version}' keepalived; printf ' on Debian '; cat /etc/debian_version`)
	if err != nil {
		return bench.Report{}, err
	}
	return bench.Report{
		Date:    time.Now().UTC().Format(time.DateOnly),
		Machine: fmt.Sprintf("%d CPUs, Linux %s", runtime.NumCPU(), strings.TrimSpace(string(kernel))),
		Charm:   "keepalived " + strings.TrimSpace(daemon),
	}, nil
}

// writeReport writes the results in the forms that people and programs read.
func writeReport(report bench.Report, dir string) error {
	raw, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot keep results: %w", err)
	}
	files := map[string]string{"table.md": report.Table(), "results.json": string(raw) + "\n"}
	for kind, name := range map[bench.Kind]string{bench.Fault: "outages.svg", bench.Change: "changes.svg"} {
		if len(report.Of(kind).Rows) > 0 {
			files[name] = report.Plot(kind)
		}
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot keep results: %w", err)
		}
	}
	return nil
}
