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
	// Dir gets table.md, outages.svg and results.json.
	Dir string
	// Out gets the table.
	Out io.Writer
}

// twoHolders bounds how long two machines may have the address: one advertisement
// interval at default options.
const twoHolders = 200 * time.Millisecond

// Bench measures what events cost clients, at the charm's default options. It
// returns an error when a bound is not met; the results are written all the same.
func (l *Lab) Bench(ctx context.Context, o BenchOptions) error {
	if o.Runs < 1 || o.Runs > 100 {
		return fmt.Errorf("cannot measure each row %d times: it must be 1-100", o.Runs)
	}
	rows, err := pickRows(o.Rows)
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
	s := &stage{Lab: l, vip: VIP, faults: map[string]time.Time{}}
	if err := s.settle(ctx); err != nil {
		return err
	}
	for _, row := range rows {
		l.say("%s", row.Event)
		for range o.Runs {
			var run bench.Run
			if run, err = s.measure(ctx, row); err != nil {
				err = fmt.Errorf("cannot measure %q: %w", row.Event, err)
				break
			}
			row.Runs = append(row.Runs, run)
		}
		if len(row.Runs) > 0 {
			report.Rows = append(report.Rows, row.Row)
		}
		if err != nil {
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

// pickRows returns the rows whose event matches.
func pickRows(pattern string) ([]benchRow, error) {
	match, err := regexp.Compile("(?i)" + pattern)
	if err != nil {
		return nil, fmt.Errorf("cannot pick rows: %w", err)
	}
	var picked []benchRow
	var events []string
	for _, row := range benchRows() {
		events = append(events, row.Event)
		if match.MatchString(row.Event) {
			picked = append(picked, row)
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
	units := len(l.Net.Machines())
	return bench.Report{
		Date:       time.Now().UTC().Format(time.DateOnly),
		Machine:    fmt.Sprintf("%d CPUs, Linux %s", runtime.NumCPU(), strings.TrimSpace(string(kernel))),
		Charm:      fmt.Sprintf("default options, %d units, keepalived %s", units, strings.TrimSpace(daemon)),
		TwoHolders: bench.Of(twoHolders),
	}, nil
}

// writeReport writes the results in the forms that people and programs read.
func writeReport(report bench.Report, dir string) error {
	raw, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot keep results: %w", err)
	}
	for name, text := range map[string]string{
		"table.md":     report.Table(),
		"outages.svg":  report.Plot(),
		"results.json": string(raw) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return fmt.Errorf("cannot keep results: %w", err)
		}
	}
	return nil
}
