package checker

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
)

const (
	// watchInterval parts two looks at the virtual IP while aside.
	watchInterval = 250 * time.Millisecond
	// watchTimeout is how long one look waits for an answer.
	watchTimeout = 400 * time.Millisecond
)

// deadAfter is how long a virtual IP must have given no sign of life until the unit takes
// part again.
func deadAfter(i healthcheck.Instance) time.Duration {
	return time.Duration(max(i.DeadAfter, healthcheck.DefaultDeadAfter))
}

// untilHook is what a unit stands aside for after a boot.
const untilHook = "until a hook has run since the boot"

// lookout looks at the virtual IPs of instances that stand aside.
type lookout struct {
	// dead are instances whose virtual IP gives no answer.
	dead chan int
	// watching are the functions that end looks, by instance.
	watching map[int]context.CancelFunc
	asker    *asker // nil: nobody is asked
}

// standAside takes those instances out of the election that are to stand aside.
func (l *loop) standAside(ctx context.Context) {
	booted := l.booted && !l.election.holdsAny()
	for i, t := range l.tracks {
		reason := group.ParseAside(t.Aside).String()
		if reason == "" && booted {
			reason = untilHook
		}
		if reason == "" {
			continue
		}
		l.election.members[i].out, l.chronicle.instances[i].aside = true, reason
		l.log.Printf("instance %s stands aside: %s", t.Name, reason)
		if watched, err := netip.ParseAddrPort(t.Watch); err == nil {
			var limited context.Context
			limited, l.lookout.watching[i] = context.WithCancel(ctx)
			links := l.config.Links
			if t.WatchLink != "" {
				links = []string{t.WatchLink}
			}
			go awaitDeath(limited, targets(watched, t.Instance), links, deadAfter(t.Instance), l.lookout.asker, i, l.lookout.dead)
		}
	}
	l.closeAsker()
}

// openAsker begins to ask for virtual IPs where an instance may have to.
func (l *loop) openAsker() {
	if !slices.ContainsFunc(l.config.Instances, func(i healthcheck.Instance) bool { return i.Watch != "" && (i.Aside != "" || l.booted) }) {
		return
	}
	var err error
	if l.lookout.asker, err = openAsker(l.config.Links); err != nil {
		l.log.Printf("cannot ask who has a virtual IP, only its port is looked at: %v", err)
	}
}

// closeAsker ends asking when nothing is looked at (any more).
func (l *loop) closeAsker() {
	if len(l.lookout.watching) == 0 {
		l.lookout.asker.close()
	}
}

// died takes in that nobody answers for the virtual IP of instance i. Whoever
// advertises has it all the same.
func (l *loop) died(i int, now time.Time) {
	l.hear(now)
	m := &l.election.members[i]
	if !m.out || l.chronicle.instances[i].heard.since(now.Add(-deadAfter(l.tracks[i].Instance))) {
		return
	}
	l.lookout.watching[i]()
	delete(l.lookout.watching, i)
	l.closeAsker()
	m.out = false
	l.takesPart(i)
	l.log.Printf("instance %s takes part again: nobody answers at %s", l.tracks[i].Name, l.tracks[i].Watch)
}

// targets are where to look for signs of life of an instance: at the virtual IP that is
// watched, and then at its others, as that one may have been taken away.
func targets(watched netip.AddrPort, i healthcheck.Instance) []netip.AddrPort {
	list := []netip.AddrPort{watched}
	for _, a := range i.Addresses[min(1, len(i.Addresses)):] { // the first one is the anchor
		if a != watched.Addr() {
			list = append(list, netip.AddrPortFrom(a, watched.Port()))
		}
	}
	return list
}

// awaitDeath looks at a virtual IP until ctx is done, and names its instance again and
// again once it has been dead for so long. The instance's others are looked at once it has
// given no sign for half of that time; one that does is the one to look at from then on. A unit that waits for the others to change
// over must not be the reason that nobody takes the address over when their holder is
// lost. Nor may it be the second one that has it: a machine that drops what comes to
// the port is alive, and answers the question who has the address. While one of links is
// down nobody can be seen.
func awaitDeath(ctx context.Context, targets []netip.AddrPort, links []string, after time.Duration, asker *asker, instance int, dead chan<- int) {
	answered := time.Now()
	ticks := time.NewTicker(watchInterval)
	defer ticks.Stop()
	for {
		look := targets[:1]
		if time.Since(answered) >= after/2 {
			look = targets
		}
		for _, t := range look {
			asker.ask(t.Addr())
		}
		down := slices.ContainsFunc(links, func(name string) bool { return !linkUp(name) })
		alive := answers(ctx, look, asker)
		if down || alive >= 0 {
			answered = time.Now()
		}
		for n, t := range look {
			if at := asker.lastAnswer(t.Addr()); at.After(answered) {
				answered, alive = at, n
			}
		}
		if alive > 0 {
			targets[0], targets[alive] = targets[alive], targets[0]
		}
		if time.Since(answered) >= after {
			select {
			case <-ctx.Done():
			case dead <- instance:
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// answers finds a virtual IP at which some machine answers, -1 for none: it accepts the
// connection or refuses it. Where this machine itself has the address by its owner, as a
// real server of LVS has, no connection leaves it, and who has the address is only asked.
func answers(ctx context.Context, targets []netip.AddrPort, asker *asker) int {
	own, err := readAddresses()
	limited, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	answered := make(chan int, len(targets))
	for n, t := range targets {
		if err == nil && len(own[t.Addr()]) > 0 {
			if asker.can(t.Addr()) {
				n = -1
			}
			answered <- n
			continue
		}
		go func() {
			var d net.Dialer
			c, err := d.DialContext(limited, "tcp", t.String())
			if err == nil {
				c.Close()
			}
			if err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
				n = -1
			}
			answered <- n
		}()
	}
	for range targets {
		if n := <-answered; n >= 0 {
			return n
		}
	}
	return -1
}
