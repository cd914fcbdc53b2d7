package checker

import (
	"context"
	"errors"
	"slices"
	"time"

	"keepalived-charm/internal/healthcheck"
)

const (
	// mostParallel bounds how many checks run at a time.
	mostParallel = 8
	// starvedAfter is how much longer than its timeout a check takes only when this
	// process did not get to run: what timed out then was perhaps the checker.
	starvedAfter = 200 * time.Millisecond
	// voidLimit is how long outcomes may be void for that reason.
	voidLimit = 5 * time.Second
)

// parallel is how many checks may run at a time. Systemd is asked by one: a
// systemd that answers late says nothing about the service.
func parallel(c healthcheck.Check) int {
	if c.Type == healthcheck.Unit {
		return 1
	}
	return max(1, min(c.Fall, mostParallel))
}

// listen follows the hints about the target's listener.
func (l *loop) listen(now time.Time) {
	if now.Sub(l.hinted) >= l.hintPace() {
		l.hinted = now
		if l.hint.news(now, time.Duration(l.config.Check.Interval)) {
			l.hurry = true
		}
		if l.wantsList() {
			l.round.had, l.round.listed = l.hint.taken(), now
		}
	}
}

// hintPace is how often to look at the listener: sooner where connections wait, and to look
// again tells more.
func (l *loop) hintPace() time.Duration {
	if l.hint != nil && (l.hint.waiting && !l.hint.stuck || l.wantsList()) {
		return untakenLook
	}
	return l.pace(hintInterval)
}

// wantsList tells that a check is not answered and connections wait, of which no list was tried.
func (l *loop) wantsList() bool {
	return l.hint != nil && l.hint.waiting && l.round.running > 0 && l.round.listed.IsZero()
}

// nobodyTakes tells that the service took no connection while a check went without an answer, as
// far as the kernel shows: others wait, and the service has none that it did not have soon after
// the check began. One at its connection limit has as many as it may, among them those that it took
// meanwhile. Checks that began later wait behind this one, and would tell nothing more.
func (l *loop) nobodyTakes(o outcome) bool {
	if l.round.had == nil || !errors.Is(o.err, errTimeout) ||
		l.round.listed.Sub(o.started) > time.Duration(l.config.Check.Timeout)/4 {
		return false
	}
	has := l.hint.taken()
	return has != nil && has.within(l.round.had)
}

// begin begins a check when it is time for one, and returns when it is time for
// the next (zero: an outcome comes first).
func (l *loop) begin(ctx context.Context, now time.Time) time.Time {
	if l.hurry && l.round.running == 0 && l.election.health.mayHurry() {
		l.hurry, l.checkAt = false, now
	}
	if l.checkAt.IsZero() || now.Before(l.checkAt) {
		return l.checkAt
	}
	if len(l.checking) == l.parallel {
		// Checks that were given up have not ended yet.
		l.checkAt = now.Add(l.election.health.retry(time.Duration(l.config.Check.Interval)))
		return l.checkAt
	}
	l.round.begin(ctx, now)
	l.checking = append(l.checking, now)
	l.requests <- request{ctx: l.round.ctx, begun: now}
	l.checkAt = l.following()
	return l.checkAt
}

// following is when the next check of a round that goes on begins; zero when its
// outcomes decide first.
func (l *loop) following() time.Time {
	h, check := &l.election.health, l.config.Check
	if l.round.running > 0 && (h.verdict == sick || l.round.running >= l.parallel || h.failed+l.round.running >= h.fall) {
		return time.Time{}
	}
	return l.round.join(time.Duration(check.Timeout), h.retry(time.Duration(check.Interval)))
}

// judge takes in the outcome of a check.
func (l *loop) judge(o outcome) {
	if n := slices.Index(l.checking, o.begun); n >= 0 {
		l.checking = slices.Delete(l.checking, n, n+1)
	}
	if o.ctx != l.round.ctx {
		return // its round is over
	}
	l.round.running--
	if l.starved(o) {
		l.checkAt = l.following()
		return
	}
	interval, ended := time.Duration(l.config.Check.Interval), o.started.Add(o.took)
	h, untaken := &l.election.health, l.nobodyTakes(o)
	if untaken {
		h.failed += max(min(l.parallel, h.fall-h.failed)-1, 0)
	}
	changed, aside := l.election.observe(o.err == nil, ended)
	h.refused = o.err != nil && nobody(o.err)
	switch {
	case o.err == nil || h.verdict == sick:
		l.round.over()
		l.checkAt = o.started.Add(interval)
	case untaken:
		l.round.over()
		l.checkAt = ended
	default:
		l.checkAt = l.following()
	}
	l.status.checked(o)
	l.status.data.InARow = max(h.passes, h.failed)
	l.scrapes.checked(o)
	if changed {
		l.judged(o)
		l.tell(o, aside)
	}
}

// starved tells that a check timed out because this process did not run, not for
// ever: a machine that is that busy has a service that hangs.
func (l *loop) starved(o outcome) bool {
	late := errors.Is(o.err, errTimeout) && o.took > time.Duration(l.config.Check.Timeout)+starvedAfter
	if !late {
		l.voided = time.Time{}
		return false
	}
	if l.voided.IsZero() {
		l.voided = o.started
	}
	return o.started.Sub(l.voided) < voidLimit
}

// tell says that the verdict changed, and what follows from it.
func (l *loop) tell(o outcome, aside int) {
	h, application, check := &l.election.health, l.config.Application, l.config.Check
	l.status.verdict(h.verdict, l.election.damping.until)
	if h.verdict == healthy {
		l.log.Printf("%s is healthy: %s passes", application, check)
		if until := l.election.damping.until; !until.IsZero() {
			l.log.Printf("%s is held back for %v: a unit that can be relied on comes first",
				application, time.Until(until).Round(time.Second))
		}
	} else {
		l.log.Printf("%s is sick after %d failed checks of %s: %s", application, h.failed, check, oneLine(o.err))
	}
	if aside > 0 {
		l.status.steppedAside()
		l.log.Printf("%s steps aside so that a healthy unit takes over at once", application)
	}
}

// check runs one check per request.
func (l *loop) check(ctx context.Context) {
	for {
		o := outcome{}
		select {
		case <-ctx.Done():
			return
		case o.request = <-l.requests:
		}
		o.started = time.Now()
		limited, cancel := context.WithTimeout(o.ctx, time.Duration(l.config.Check.Timeout))
		o.found, o.err = l.prober.probe(limited)
		cancel()
		o.took = time.Since(o.started)
		select {
		case <-ctx.Done():
			return
		case l.outcomes <- o:
		}
	}
}
