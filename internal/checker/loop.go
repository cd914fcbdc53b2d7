package checker

import (
	"context"
	"log"
	"os"
	"path/filepath"
	"time"

	"keepalived-charm/internal/healthcheck"
)

// stuckAfter is how much longer than its timeout a check may last before the
// checker counts as hung.
const stuckAfter = 10 * time.Second

// verdictWait is how long systemd is told that the checker still starts, unless it
// has a verdict before: who starts it can then ask what the verdict is.
const verdictWait = 3 * time.Second

// request is one check to carry out, of the round whose context it carries.
type request struct {
	ctx   context.Context
	begun time.Time
}

// outcome is the result of one check.
type outcome struct {
	request
	err     error
	found   string // what a pass rests on, see prober
	started time.Time
	took    time.Duration
}

// loop is the checker at work. All its state belongs to the goroutine of run;
// the one that runs the checks only gets requests and gives outcomes.
type loop struct {
	config   healthcheck.Config
	log      *log.Logger
	began    time.Time
	election election
	tracks   []track
	status   statusWriter
	news     *news   // nil: nobody wants to know
	orders   *orders // nil: nobody can give any
	// before is what the checker that ran before said last.
	before    Status
	chronicle chronicle
	// strangers are those that the status file tells of.
	strangers string
	journal   *journal // nil: there is no history
	links     *linkWatch
	ears      []*listener
	heardAt   time.Time
	service   serviceManager
	daemon    daemonWatch
	replaced  replacement
	prober    prober
	hint      *listenHint
	watch     *addressWatch
	watched   map[string]bool // all addresses, as event text; true for an instance's first
	sources   sources         // nil: not known yet
	here      map[string]bool // virtual IPs that events told of
	lacking   lacking

	requests chan request
	outcomes chan outcome
	// parallel is how many checks may run at a time.
	parallel int
	lookout  lookout
	scrapes  scrapes

	local bool // the target is on this machine
	round round
	// checking are the beginnings of the checks that have not ended, the oldest first;
	// those of rounds that are over are among them.
	checking []time.Time
	// checkAt is when the next check begins; zero while outcomes are waited for.
	checkAt time.Time
	hinted  time.Time
	// hurry remembers a hint until it may be followed.
	hurry bool
	// voided is since when all outcomes were void because this process did not run.
	voided   time.Time
	rereadAt time.Time
	// readyAt is when systemd is told at the latest that the checker has started;
	// zero once it was told.
	readyAt time.Time
	// booted tells that no hook has looked at the configuration since the boot.
	booted bool
}

// newLoop opens what needs privileges: the files, which it gives to owner, and
// what the check reads.
func newLoop(c healthcheck.Config, version string, owner identity, log *log.Logger) (*loop, error) {
	l := &loop{
		config:   c,
		log:      log,
		began:    time.Now(),
		election: election{policy: c.Policy, peers: c.Peers},
		watched:  map[string]bool{},
		here:     map[string]bool{},
		parallel: parallel(c.Check),
		scrapes:  scrapes{hook: -1},
		lookout:  lookout{dead: make(chan int), watching: map[int]context.CancelFunc{}},
	}
	l.requests, l.outcomes = make(chan request, l.parallel), make(chan outcome, l.parallel)
	l.election.health = health{fall: c.Check.Fall, rise: c.Check.Rise}
	if c.Check.Type == healthcheck.None {
		l.election.health.verdict = healthy
	}
	l.status = newStatusWriter(c, l.election.health.verdict)
	var err error
	if l.prober, err = newProber(c); err != nil {
		return nil, err
	}
	if err := l.openFiles(owner); err != nil {
		l.close()
		return nil, err
	}
	if c.Booted != "" {
		_, err := os.Stat(c.Booted)
		l.booted = err == nil
	}
	l.election.resume(time.Now())
	l.chronicle, l.heardAt = newChronicle(c), time.Now()
	l.journal = openJournal(c.History, log)
	if c.StatusFile != "" {
		l.orders = openOrders(filepath.Join(filepath.Dir(c.StatusFile), healthcheck.Orders), log)
	}
	l.openEars()
	l.openAsker()
	l.links = watchLinks(c.Links, log)
	l.hint = newListenHint(c)
	l.service = newServiceManager()
	l.daemon.groups, l.daemon.proc, l.daemon.interval = DaemonGroups(), "/proc", time.Duration(c.AdvertInterval)
	l.replaced.file = "/etc/keepalived/keepalived.conf"
	l.scrapes = openScrapes(c, version, log)
	return l, nil
}

func (l *loop) close() {
	for _, t := range l.tracks {
		t.file.close()
	}
	l.hint.close()
	l.lookout.asker.close()
	l.status.close()
	l.service.close()
	l.scrapes.close()
	l.news.close()
	l.orders.close()
	l.chronicle.finish(time.Now())
	l.journal.write(l.chronicle.take())
	l.journal.close()
	for _, ear := range l.ears {
		ear.close()
	}
	if l.links != nil {
		l.links.close()
	}
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
	l.checkAt, l.hinted = now, now
	if l.prober != nil {
		for range l.parallel {
			go l.check(ctx)
		}
	}
	if l.scrapes.exporter != nil {
		go l.scrapes.exporter.Run(ctx)
	}
	l.standAside(ctx)
	l.recall(now)
	l.apply(now)
	l.readyAt = now.Add(verdictWait)
	for {
		now := time.Now()
		next, err := l.step(ctx, now)
		if err == nil {
			err = alarm.set(time.Until(l.ready(now, next)))
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case o := <-l.outcomes:
			l.judge(o)
		case o := <-l.orders.waiting():
			l.chronicle.asked = time.Now()
			l.election.stepAside(l.chronicle.asked)
			l.apply(l.chronicle.asked)
			l.log.Printf("%s steps aside because it was asked to", l.config.Application)
			close(o.taken)
		case reply := <-l.scrapes.wanted:
			reply <- l.snapshot(time.Now())
		case i := <-l.lookout.dead:
			l.died(i, time.Now())
		case u, ok := <-l.watch.updates:
			if !ok {
				l.watch.close()
				l.watch = nil
				l.rereadAt = time.Time{}
				continue
			}
			ip := u.LinkAddress.IP.String()
			first, ours := l.watched[ip]
			came := u.NewAddr && !l.here[ip]
			if ours {
				l.here[ip] = u.NewAddr
			}
			switch {
			case first:
				l.readHolders()
			case ours && l.election.holdsAny():
				l.rereadIn(lackedFor)
			case ours && came:
				l.news.tell() // whoever put it there
			case !ours:
				l.addressChanged()
			}
		case c := <-l.links.changes:
			l.linkChanged(c, time.Now())
		case <-alarm.rings:
		}
	}
}

// ready tells systemd once that the checker has started, and returns when to call
// it again, next at the latest.
func (l *loop) ready(now, next time.Time) time.Time {
	switch {
	case l.readyAt.IsZero():
	case l.election.health.verdict != unknown || !now.Before(l.readyAt):
		l.service.ready()
		l.readyAt = time.Time{}
	case l.readyAt.Before(next):
		return l.readyAt
	}
	return next
}

// step does all that is due and returns when the next thing is.
func (l *loop) step(ctx context.Context, now time.Time) (time.Time, error) {
	if now.Sub(l.heardAt) >= hearInterval || l.chronicle.pending() {
		l.hear(now)
	}
	if !now.Before(l.rereadAt) {
		if err := l.reread(now); err != nil {
			return time.Time{}, err
		}
		if err := l.lookAtLacking(now); err != nil {
			return time.Time{}, err
		}
	}
	next := l.rereadAt
	sooner := func(t time.Time) {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	canWait := func(t time.Time) {
		if !t.IsZero() {
			sooner(t.Add(company))
		}
	}
	if l.prober != nil {
		if l.local {
			l.listen(now)
		}
		sooner(l.begin(ctx, now))
		if l.local {
			canWait(l.hinted.Add(l.hintPace()))
		}
		if l.round.last.Equal(now) {
			l.along(now)
		}
	}
	look, err := l.lookAtDaemon(now)
	if err != nil {
		return time.Time{}, err
	}
	canWait(look)
	if look, err = l.lookForReplacement(now); err != nil {
		return time.Time{}, err
	}
	canWait(look)
	sooner(l.election.expire(now))
	sooner(l.chronicle.expire(now))
	l.status.heldBack(l.election.damping.until)
	l.apply(now)
	canWait(l.status.due())
	canWait(l.signOfLife(now))
	return next, nil
}

// company is how late a thing may be that can wait, so that it is done when the loop wakes up
// for another: to wake up costs more than most of what is done then.
const company = 10 * time.Millisecond

// along brings forward what is done each second or so, and in full, to the beginning of a check.
func (l *loop) along(now time.Time) {
	bring := func(at *time.Time, period time.Duration) {
		if ahead := at.Sub(now); ahead > 0 && ahead < period*3/4 {
			*at = now
		}
	}
	bring(&l.service.next, l.service.watchdog/2)
	due := l.status.written.Add(statusInterval)
	bring(&due, statusInterval)
	l.status.written = due.Add(-statusInterval)
}

// standbyInterval parts two looks of a standby at what a holder has to see at once: what it
// finds moves nothing.
const standbyInterval = 500*time.Millisecond - company

// pace is how often to look at what a holder looks at so often.
func (l *loop) pace(holders time.Duration) time.Duration {
	if l.election.holdsAny() {
		return holders
	}
	return standbyInterval
}

// signOfLife gives systemd a sign of life unless a check is long overdue, and returns
// when the next is due (zero: none). How long a verdict takes does not count: with a
// long timeout that is minutes, while each check ends in its time.
func (l *loop) signOfLife(now time.Time) time.Time {
	if len(l.checking) > 0 && now.Sub(l.checking[0]) >= time.Duration(l.config.Check.Timeout)+stuckAfter {
		return time.Time{}
	}
	return l.service.alive(now)
}
