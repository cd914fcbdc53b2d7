package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"keepalived-charm/tests/bench"
)

// experiment is one deployment with the events that are measured on it, one after
// the other, in every run.
type experiment struct {
	// peer is what is measured instead of the charm, nil for the charm.
	peer *peer
	// units is how many there are, 0 for three.
	units int
	// options are those that differ from the defaults; without virtual_ip it is VIP.
	options map[string]string
	rows    []*benchRow
	// most bounds how often the rows are measured, 0 does not: for what takes long,
	// and for what varies little.
	most int
}

// benchRow is an event to measure. New ones go into benchRows.
type benchRow struct {
	target
	// also are further virtual IPs that are measured in the same event, each a row
	// of the table.
	also []*target
	// sick says that the holder's service fails: see asideGap.
	sick bool
	// prepare, which may be nil, goes before the measurement; event is measured
	// and then rest, by the end of which all should be over.
	prepare func(context.Context, *stage) error
	event   func(context.Context, *stage) error
	rest    time.Duration
	// restore, which may be nil, takes back what the next run must not find and
	// stage.settle does not know.
	restore func(context.Context, *stage) error
}

// target is a row of the table with the virtual IP that it is about.
type target struct {
	// Row has the event's name, its bound and what the Python charm needed.
	bench.Row
	// vip is what clients connect to; invalid for stage.vip.
	vip netip.Addr
	// picked says that the row goes into the report.
	picked bool
}

// targets are all rows of the table that one event fills.
func (r *benchRow) targets() []*target { return append([]*target{&r.target}, r.also...) }

// measured returns the rows of the report that were measured at all.
func (e experiment) measured() []bench.Row {
	var rows []bench.Row
	for _, r := range e.rows {
		for _, t := range r.targets() {
			if t.picked && len(t.Runs) > 0 {
				rows = append(rows, t.Row)
			}
		}
	}
	return rows
}

// stage is the lab during a bench.
type stage struct {
	*Lab
	// vip is VIP, or the experiment's first virtual IP when VIP is not among them.
	vip netip.Addr
	// holder is the machine that has the address.
	holder string
	// set are the options as the stage set them.
	set map[string]string
	// peers are nil until one is measured.
	peers *peerSet
	// faults tells when a machine's service last failed while it was holder.
	faults map[string]time.Time
}

const (
	// asideGap is how long a holder whose service failed may not step aside
	// again: meanwhile a second failure would take longer than users see.
	asideGap = 10 * time.Second
	// calm is the rest before a fault, and jitter at most added to it, so
	// that events fall anywhere between two health checks (1 s apart).
	calm   = 1500 * time.Millisecond
	jitter = time.Second
)

// perform brings the deployment to what an experiment needs and measures its rows.
func (s *stage) perform(ctx context.Context, e experiment, runs int) error {
	if e.peer != nil {
		return s.performPeer(ctx, e, runs)
	}
	if err := s.arrange(ctx, e); err != nil {
		return err
	}
	if e.most > 0 {
		runs = min(runs, e.most)
	}
	var err error
	for run := range runs {
		for _, row := range e.rows {
			if row.Kind == bench.Fault && !slices.ContainsFunc(row.targets(), func(t *target) bool { return t.picked }) {
				continue // a change may be what the next one starts from
			}
			s.say("%s (%d of %d)", row.Event, run+1, runs)
			if failed := s.measure(ctx, row); failed != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", row.Event, failed))
				if s.settle(ctx) != nil {
					return err
				}
			}
		}
	}
	return err
}

// measure does one run of a row, on a settled lab that it settles again.
func (s *stage) measure(ctx context.Context, row *benchRow) error {
	if row.prepare != nil {
		if err := row.prepare(ctx, s); err != nil {
			return err
		}
	}
	if row.sick {
		if wait := asideGap - time.Since(s.faults[s.holder]); wait > 0 {
			s.say("  waiting %v: machine %s steps aside once in %v", wait.Round(time.Second), s.holder, asideGap)
			pause(ctx, wait)
		}
	}
	if row.Kind == bench.Fault {
		pause(ctx, calm+rand.N(jitter))
	}
	from := time.Now()
	var vips []netip.Addr
	for _, t := range row.targets() {
		vips = append(vips, t.vip)
		if !t.vip.IsValid() {
			vips[len(vips)-1] = s.vip
		}
	}
	all, err := s.MeasureAll(ctx, vips, row.rest, func(ctx context.Context) error { return row.event(ctx, s) })
	if err != nil {
		return err
	}
	if row.sick {
		s.faults[s.holder] = time.Now()
	}
	for i, t := range row.targets() {
		s.take(ctx, t, all[i], from)
	}
	if row.restore != nil {
		if err := row.restore(ctx, s); err != nil {
			return err
		}
	}
	return s.settle(ctx)
}

// take adds a run to a row and explains one that misses the bound.
func (s *stage) take(ctx context.Context, t *target, m Measurement, from time.Time) {
	s.say("  %v", m)
	run := bench.Run{
		Outage: bench.Of(m.Outage), Open: m.Open, Attempts: m.Attempts, Lost: m.Lost,
		TwoHolders: bench.Of(m.Shared), Moves: len(m.Moves), Cuts: m.Cuts, Skipped: m.Skipped,
	}
	t.Runs = append(t.Runs, run)
	alone := t.Row
	alone.Runs = []bench.Run{run}
	if alone.Unmet() != "" {
		s.explain(ctx, m, from)
	}
}

// explain says what a run that misses its bound looked like from inside: moves,
// and what keepalived and its health checker logged on the machines.
func (s *stage) explain(ctx context.Context, m Measurement, from time.Time) {
	for _, move := range m.Moves {
		s.say("    %s: %s to %s, gap %v, overlap %v", move.At.UTC().Format("15:04:05.000"), move.From, move.To, move.Gap, move.Overlap)
	}
	script := fmt.Sprintf("journalctl --utc --no-pager --quiet --output=short-precise --since=@%d "+
		"--unit='keepalived*' --unit='haproxy*'", from.Unix())
	for _, machine := range s.Net.Machines() {
		if !machine.Running() {
			continue
		}
		text, err := machine.Run(ctx, script)
		if err != nil {
			text = err.Error()
		}
		if text = strings.TrimSpace(text); text != "" {
			s.say("    %s", strings.ReplaceAll(text, "\n", "\n    "))
		}
	}
}

// on runs a script on the holder's machine.
func (s *stage) on(ctx context.Context, script string) error {
	m, err := s.Machine(s.holder)
	if err != nil {
		return err
	}
	_, err = m.Run(ctx, script)
	return err
}

// pause waits unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
