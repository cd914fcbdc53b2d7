package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"time"

	"keepalived-charm/tests/bench"
)

// benchRow is an event to measure. New ones go into benchRows.
type benchRow struct {
	// Row has the event's name, its bound and what the Python charm needed.
	bench.Row
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

// stage is the lab during a bench.
type stage struct {
	*Lab
	vip netip.Addr
	// holder is the machine that has the address.
	holder string
	// faults tells when a machine's service last failed while it was holder.
	faults map[string]time.Time
}

const (
	// asideGap is how long a holder whose service failed may not step aside
	// again: meanwhile a second failure would take longer than users see.
	asideGap = 10 * time.Second
	// calm is the rest before a measurement, and jitter at most added to it, so
	// that events fall anywhere between two health checks (1 s apart).
	calm   = 1500 * time.Millisecond
	jitter = time.Second
	// healthLimit bounds how long services may take to count as healthy.
	healthLimit = 20 * time.Second
)

// measure does one run of a row, on a settled lab that it settles again.
func (s *stage) measure(ctx context.Context, row benchRow) (bench.Run, error) {
	if row.prepare != nil {
		if err := row.prepare(ctx, s); err != nil {
			return bench.Run{}, err
		}
	}
	if row.sick {
		if wait := asideGap - time.Since(s.faults[s.holder]); wait > 0 {
			s.say("  waiting %v: machine %s steps aside once in %v", wait.Round(time.Second), s.holder, asideGap)
			pause(ctx, wait)
		}
	}
	pause(ctx, calm+rand.N(jitter))
	from := time.Now()
	m, err := s.Measure(ctx, s.vip, row.rest, func(ctx context.Context) error { return row.event(ctx, s) })
	if err != nil {
		return bench.Run{}, err
	}
	if row.sick {
		s.faults[s.holder] = time.Now()
	}
	s.say("  %v", m)
	run := bench.Run{
		Outage: bench.Of(m.Outage), Open: m.Open, Attempts: m.Attempts, Lost: m.Lost,
		TwoHolders: bench.Of(m.Shared), Moves: len(m.Moves), Cuts: m.Cuts, Skipped: m.Skipped,
	}
	row.Runs = []bench.Run{run}
	if row.Unmet() != "" || m.Shared > twoHolders {
		s.explain(ctx, m, from)
	}
	if row.restore != nil {
		if err := row.restore(ctx, s); err != nil {
			return bench.Run{}, err
		}
	}
	return run, s.settle(ctx)
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

// repair starts what an event stopped, in whatever way.
const repair = `
rm -rf /run/systemd/system/haproxy.service.d
systemctl daemon-reload
systemctl kill --signal=CONT haproxy 2>/dev/null || true
systemctl reset-failed haproxy 2>/dev/null || true
systemctl start haproxy keepalived`

// settle brings the lab to the state that every run starts from: machines and
// services up, agents idle, units healthy, one holder.
func (s *stage) settle(ctx context.Context) error {
	if err := s.powerOn(ctx); err != nil {
		return err
	}
	// Hooks first: a unit that was just added has no keepalived yet.
	if err := s.Settled(ctx); err != nil {
		return err
	}
	for _, m := range s.Net.Machines() {
		if _, err := m.Run(ctx, repair); err != nil {
			return err
		}
	}
	if err := s.awaitHealth(ctx); err != nil {
		return err
	}
	var err error
	s.holder, err = s.WaitHolder(ctx, s.vip)
	return err
}

// powerOn switches every machine on that has no power.
func (s *stage) powerOn(ctx context.Context) error {
	for _, m := range s.Net.Machines() {
		if !m.Running() {
			if err := s.Heal(ctx, strings.TrimPrefix(m.Name, "juju-")); err != nil {
				return err
			}
		}
	}
	return nil
}

// awaitHealth waits until every unit's health checker says that all is well.
func (s *stage) awaitHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	for _, m := range s.Net.Machines() {
		for {
			text, err := m.ReadFile(ctx, "/run/keepalived-charm/keepalived/status.json")
			if err == nil && strings.Contains(string(text), `"verdict":"healthy"`) {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("cannot wait for %s to be healthy: %w: %.300s", m.Name, ctx.Err(), text)
			}
			pause(ctx, 50*time.Millisecond)
		}
	}
	return nil
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
