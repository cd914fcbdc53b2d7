package checker

import (
	"context"
	"log"
	"time"

	"keepalived-charm/internal/healthcheck"
)

// stuckAfter is how much longer than its timeout a check may last before the
// checker counts as hung.
const stuckAfter = 10 * time.Second

// outcome is the result of one check.
type outcome struct {
	err     error
	started time.Time
	took    time.Duration
}

// loop is the checker at work. All its state belongs to the goroutine of run;
// the one that runs the checks only gets requests and gives outcomes.
type loop struct {
	config   healthcheck.Config
	log      *log.Logger
	election election
	tracks   []track
	status   statusWriter
	service  serviceManager
	prober   prober
	hint     *listenHint
	watch    *addressWatch
	watched  map[string]bool // the instances' first addresses, as event text

	requests chan struct{}
	outcomes chan outcome
	dead     chan struct{} // closed when the virtual IP died while aside

	local    bool // the target is on this machine
	checking time.Time
	checkAt  time.Time
	hintAt   time.Time
	rereadAt time.Time
}

// newLoop opens what needs privileges: the files, which it gives to owner, and
// what the check reads.
func newLoop(c healthcheck.Config, owner identity, log *log.Logger) (*loop, error) {
	l := &loop{
		config:   c,
		log:      log,
		election: election{policy: c.Policy, peers: c.Peers, aside: c.Aside != ""},
		watched:  map[string]bool{},
		requests: make(chan struct{}, 1),
		outcomes: make(chan outcome, 1),
	}
	l.election.health = health{fall: c.Check.Fall, rise: c.Check.Rise}
	if c.Check.Type == healthcheck.None {
		l.election.health.verdict = healthy
	}
	l.status = newStatusWriter(c, l.election.health.verdict)
	var err error
	if l.prober, err = newProber(c.Check); err != nil {
		return nil, err
	}
	if err := l.openFiles(owner); err != nil {
		l.close()
		return nil, err
	}
	l.hint = newListenHint(c.Check)
	l.service = newServiceManager()
	return l, nil
}

func (l *loop) close() {
	for _, t := range l.tracks {
		t.file.close()
	}
	l.hint.close()
	l.status.close()
	if l.watch != nil {
		l.watch.close()
	}
}

// run goes on until ctx is done, or the files are no longer the ones to write.
func (l *loop) run(ctx context.Context) error {
	alarm, err := newAlarm()
	if err != nil {
		return err
	}
	defer alarm.close()
	now := time.Now()
	if err := l.reread(now); err != nil {
		return err
	}
	l.checkAt, l.hintAt = now, now.Add(hintInterval)
	if l.prober != nil {
		go l.check(ctx)
	}
	if l.election.aside {
		l.log.Printf("%s stands aside: %s", l.config.Application, l.config.Aside)
		l.dead = make(chan struct{})
		go standAside(ctx, l.config.Watch, l.dead)
	}
	l.apply(now)
	l.service.ready()
	for {
		next, err := l.step(time.Now())
		if err == nil {
			err = alarm.set(time.Until(next))
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case o := <-l.outcomes:
			l.judge(o)
		case <-l.dead:
			l.dead = nil
			l.election.aside = false
			l.log.Printf("%s takes part again: nobody answers at %s", l.config.Application, l.config.Watch)
		case u, ok := <-l.watch.updates:
			if !ok {
				l.watch.close()
				l.watch = nil
				l.rereadAt = time.Time{}
			} else if l.watched[u.LinkAddress.IP.String()] {
				l.readHolders()
			}
		case <-alarm.rings:
		}
	}
}

// check runs one check per request.
func (l *loop) check(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.requests:
		}
		o := outcome{started: time.Now()}
		limited, cancel := context.WithTimeout(ctx, time.Duration(l.config.Check.Timeout))
		o.err = l.prober.probe(limited)
		cancel()
		o.took = time.Since(o.started)
		if ctx.Err() != nil {
			return
		}
		l.outcomes <- o
	}
}

// step does all that is due and returns when the next thing is.
func (l *loop) step(now time.Time) (time.Time, error) {
	if !now.Before(l.rereadAt) {
		if err := l.reread(now); err != nil {
			return time.Time{}, err
		}
	}
	next := l.rereadAt
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	if l.prober != nil {
		if l.local {
			if !now.Before(l.hintAt) {
				l.hintAt = now.Add(hintInterval)
				if l.hint.changed() && l.election.health.mayHurry() {
					l.checkAt = now
				}
			}
			sooner(l.hintAt)
		}
		if l.checking.IsZero() {
			if !now.Before(l.checkAt) {
				l.checking = now
				l.requests <- struct{}{}
			} else {
				sooner(l.checkAt)
			}
		}
	}
	sooner(l.election.expire(now))
	l.apply(now)
	sooner(l.status.due())
	if l.checking.IsZero() || now.Sub(l.checking) < time.Duration(l.config.Check.Timeout)+stuckAfter {
		sooner(l.service.alive(now))
	}
	return next, nil
}

// judge takes in the outcome of a check.
func (l *loop) judge(o outcome) {
	l.checking = time.Time{}
	changed, aside := l.election.observe(o.err == nil, o.started.Add(o.took))
	h := &l.election.health
	l.checkAt = o.started.Add(h.pause(time.Duration(l.config.Check.Interval)))
	l.status.checked(o)
	if !changed {
		return
	}
	l.status.verdict(h.verdict)
	if h.verdict == healthy {
		l.log.Printf("%s is healthy: %s passes", l.config.Application, l.config.Check)
	} else {
		l.log.Printf("%s is sick after %d failed checks of %s: %s", l.config.Application, h.failed, l.config.Check, oneLine(o.err))
	}
	if aside > 0 {
		l.status.steppedAside()
		l.log.Printf("%s steps aside so that a healthy unit takes over at once", l.config.Application)
	}
}
