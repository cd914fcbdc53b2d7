package checker

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"
)

const (
	// watchInterval parts two looks at the virtual IP while aside.
	watchInterval = 250 * time.Millisecond
	// watchTimeout is how long one look waits for an answer.
	watchTimeout = 400 * time.Millisecond
	// deadAfter is how long the virtual IP must not have answered until the unit
	// takes part again: longer than a failover among the others takes.
	deadAfter = 2 * time.Second
)

// untilHook is what a unit stands aside for after a boot.
const untilHook = "until a hook has run since the boot"

// standAside takes those instances out of the election that are to stand aside.
func (l *loop) standAside(ctx context.Context) {
	booted := l.booted && !l.election.holdsAny()
	for i, t := range l.tracks {
		reason := t.Aside
		if reason == "" && booted {
			reason = untilHook
		}
		if reason == "" {
			continue
		}
		l.election.members[i].out, l.chronicle.instances[i].aside = true, reason
		l.log.Printf("instance %s stands aside: %s", t.Name, reason)
		if t.Watch != "" {
			go awaitDeath(ctx, t.Watch, i, l.dead)
		}
	}
}

// awaitDeath looks at a virtual IP until it has been dead for deadAfter, and then
// names its instance once. A unit that waits for the others to change over must not
// be the reason that nobody takes the address over when their holder is lost.
func awaitDeath(ctx context.Context, target string, instance int, dead chan<- int) {
	answered := time.Now()
	ticks := time.NewTicker(watchInterval)
	defer ticks.Stop()
	for {
		if answers(ctx, target) {
			answered = time.Now()
		} else if time.Since(answered) >= deadAfter {
			dead <- instance
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

// answers tells whether some machine answers at a virtual IP: it accepts the
// connection or refuses it.
func answers(ctx context.Context, target string) bool {
	limited, cancel := context.WithTimeout(ctx, watchTimeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(limited, "tcp", target)
	if err == nil {
		c.Close()
	}
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}
