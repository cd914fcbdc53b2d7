package chaos

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/probe"
)

// A Result is what one fault did once.
type Result struct {
	// Gap is the longest time without a new connection and Overlap the longest with
	// two holders, from the beginning of the fault on; After is the part of Overlap
	// after the end of its cause.
	Gap, Overlap, After time.Duration
	// Back is the time from the end of the cause until one machine held the address
	// and answered for good, Right until every status said so.
	Back, Right time.Duration
	// Moves counts how often the address changed machines.
	Moves int
	// By names who put it right, Status what juju status showed of the unit.
	By, Status []string
	// Late says what was still wrong after 12 s, when the next hook came; empty when it
	// took none.
	Late string
	// Open says what never got right; empty when all did.
	Open string
}

// quiet is how long nothing may happen after all is right.
const quiet = 1500 * time.Millisecond

// perform does one fault on a settled deployment and waits until it is one again.
func (s *Stage) perform(ctx context.Context, f Fault) (Result, error) {
	if err := s.aim(ctx, f.Standby); err != nil {
		return Result{}, err
	}
	if f.Prepare != nil {
		if err := f.Prepare(ctx, s); err != nil {
			return Result{}, err
		}
	}
	r, err := s.measure(ctx, f)
	if f.Restore != nil {
		err = errors.Join(err, f.Restore(ctx, s))
	}
	return r, errors.Join(err, s.settle(ctx))
}

// measure does the fault while a client connects and the kernels are watched.
func (s *Stage) measure(ctx context.Context, f Fault) (Result, error) {
	defer s.Quietly(ctx)()
	before := s.restarts(ctx)
	client, err := s.Probe(ctx, lab.VIP)
	if err != nil {
		return Result{}, err
	}
	if err = client.WaitGood(ctx); err != nil {
		_, stopErr := client.Stop()
		return Result{}, errors.Join(err, stopErr)
	}
	said := s.watch(s.Target)
	pause(ctx, 300*time.Millisecond)
	begin := time.Now()
	ended := begin
	err = f.Inject(ctx, s)
	if f.Recover != nil {
		pause(ctx, time.Until(begin.Add(f.Lasts)))
		// The cause ends even where the fault could not be made in full.
		err = errors.Join(err, f.Recover(ctx, s))
		ended = time.Now()
	}
	r := Result{}
	r.Late, r.Open = s.calm(ctx)
	report, stopErr := client.Stop()
	said.end()
	if err = errors.Join(err, stopErr, s.Holders.Err()); err != nil {
		return r, err
	}
	if said.wrong.After(ended) {
		r.Right = said.wrong.Sub(ended)
	}
	r.Status = telling(said.said)
	s.sum(&r, report, begin, ended)
	r.By = s.repairers(ctx, begin, before, r.Moves)
	if r.Late != "" && !slices.Contains(r.By, "hook update-status") {
		r.By = append(r.By, "status at the next hook")
	}
	return r, nil
}

// calm waits until all is well and stays so; it returns what was wrong when the
// next regular hook came, and what never got right.
func (s *Stage) calm(ctx context.Context) (late, open string) {
	for {
		hook, err := s.converge(ctx)
		if hook != "" {
			late = hook
		}
		if err != nil {
			return late, err.Error()
		}
		pause(ctx, quiet)
		if s.wrong() == "" {
			return late, ""
		}
	}
}

// sum takes in what client and kernels saw.
func (s *Stage) sum(r *Result, report probe.Report, begin, ended time.Time) {
	now := time.Now()
	holding := s.Holders.Between(lab.VIP, begin, now)
	r.Gap, r.Overlap, r.Moves = report.Longest().Length(), holding.Shared, len(holding.Moves)
	r.After = s.Holders.Between(lab.VIP, ended, now).Shared
	last := s.Holders.Unsettled(lab.VIP, begin, now)
	for _, gap := range report.Gaps {
		if gap.To.After(last) {
			last = gap.To
		}
		if gap.Open && gap.Length() > Patience && r.Open == "" {
			r.Open = "nobody answers"
		}
	}
	if last.After(ended) {
		r.Back = last.Sub(ended)
	}
	if holders := s.Holders.Holders(lab.VIP); r.Open == "" && (len(holders) != 1 || holders[0] != report.Server()) {
		r.Open = fmt.Sprintf("clients reach %s, the holder is %v", report.Server(), holders)
	}
}

// telling leaves out what a unit said before and after, and passing moments that
// come with any run of a hook.
func telling(said []string) []string {
	if len(said) < 3 {
		return nil
	}
	var list []string
	for _, text := range said[1 : len(said)-1] {
		if text != said[0] && text != said[len(said)-1] && !slices.Contains(list, text) {
			list = append(list, strings.TrimSpace(text))
		}
	}
	return list
}
