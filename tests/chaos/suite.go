package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"keepalived-charm/tests/lab"
)

// Patience is how long a connection may take before it counts as lost: a host that
// is busy with three machines is no fault.
const Patience = 900 * time.Millisecond

// Options say what Run does.
type Options struct {
	// Rows is a regular expression that picks faults by their name; empty: all.
	Rows string
	// Random adds faults picked at random for that long, 0-24h, with Seed.
	Random time.Duration
	Seed   uint64
	// Dir gets faults.md and results.json; empty: no files.
	Dir string
	// Out gets the table, Progress a line for each fault.
	Out, Progress io.Writer
}

// Run deploys three units in an empty lab, breaks them in every way and returns an
// error when something did not recover or a bound was not met. The results are
// written all the same.
func Run(ctx context.Context, l *lab.Lab, o Options) error {
	if o.Random < 0 || o.Random > 24*time.Hour {
		return fmt.Errorf("cannot break things for %v: it must be 0-24h", o.Random)
	}
	rows, err := pick(o)
	if err != nil {
		return err
	}
	s := &Stage{Lab: l, served: lab.VIP.String()}
	if err := l.Standard(ctx, map[string]string{"virtual_ip": s.served}); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	report := Report{Rows: rows, Date: time.Now().UTC().Format(time.DateOnly)}
	if report.Machine, err = describe(ctx, l); err != nil {
		return err
	}
	for i := range rows {
		err = errors.Join(err, s.row(ctx, &rows[i], o.Progress))
	}
	if o.Random > 0 && ctx.Err() == nil {
		report.Random, report.Seed = o.Random, o.Seed
		fmt.Fprintf(o.Progress, "random faults for %v, CHAOS_SEED=%d\n", o.Random, o.Seed)
		dice := rand.New(rand.NewPCG(o.Seed, 0))
		for end := time.Now().Add(o.Random); time.Now().Before(end) && ctx.Err() == nil; {
			pause(ctx, rand.N(2*time.Second))
			err = errors.Join(err, s.row(ctx, &rows[dice.IntN(len(rows))], o.Progress))
		}
	}
	fmt.Fprint(o.Out, report.Table())
	if o.Dir != "" {
		err = errors.Join(err, report.write(o.Dir))
	}
	return err
}

// pick returns a row for every fault that is wanted.
func pick(o Options) ([]Row, error) {
	match, err := regexp.Compile("(?i)" + o.Rows)
	if err != nil {
		return nil, fmt.Errorf("cannot pick faults: %w", err)
	}
	var rows []Row
	var names []string
	for _, f := range Faults() {
		names = append(names, f.Name)
		if match.MatchString(f.Name) {
			rows = append(rows, Row{Name: f.Name, Fault: f})
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("cannot pick faults: %q matches none of: %s", o.Rows, strings.Join(names, "; "))
	}
	return rows, nil
}

// row performs a fault, says what it did, and returns what it should not have done.
func (s *Stage) row(ctx context.Context, row *Row, progress io.Writer) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	begin := time.Now()
	r, err := s.perform(ctx, row.Fault)
	if err != nil {
		err = fmt.Errorf("%s: %w", row.Fault.Name, err)
		fmt.Fprintf(progress, "%v\n%s", err, s.explain(ctx, begin))
		if r.Open == "" {
			return err
		}
	}
	row.Results = append(row.Results, r)
	fmt.Fprintf(progress, "%-75s %v  (%v)\n", row.Fault.Name, r, time.Since(begin).Round(100*time.Millisecond))
	why := row.Fault.Bounds.unmet(r)
	if why != "" || r.Late != "" {
		fmt.Fprintf(progress, "  %s\n%s", why, s.explain(ctx, begin))
	}
	if why != "" {
		err = errors.Join(err, fmt.Errorf("%s: %s", row.Fault.Name, why))
	}
	return err
}

// explain is what daemon, health checker and charm logged on the machines.
func (s *Stage) explain(ctx context.Context, since time.Time) string {
	var b strings.Builder
	for _, m := range s.Net.Machines() {
		if !m.Running() {
			continue
		}
		text, err := m.Run(ctx, fmt.Sprintf("journalctl --utc --no-pager --quiet --output=short-precise --since=@%d | grep -v -e 'hooktool' | tail -n 60", since.Unix()))
		if err != nil {
			text = err.Error()
		}
		b.WriteString("    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") + "\n")
	}
	return b.String()
}

// write keeps the report in the forms that people and programs read.
func (r Report) write(dir string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	for name, text := range map[string]string{"faults.md": r.Document(), "results.json": string(raw) + "\n"} {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644)
		}
	}
	if err != nil {
		return fmt.Errorf("cannot keep results: %w", err)
	}
	return nil
}

// worst is the longest of some times.
func worst(results []Result, of func(Result) time.Duration) time.Duration {
	var all []time.Duration
	for _, r := range results {
		all = append(all, of(r))
	}
	return slices.Max(all)
}
