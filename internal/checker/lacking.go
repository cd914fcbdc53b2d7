package checker

import (
	"errors"
	"log"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// lackedFor is how long a holder may be without one of its addresses before somebody is
// called: while it takes over they come one after the other, and what others take away
// keepalived itself puts back, in 0.1 s, if it hears of it.
const lackedFor = time.Second

const (
	// lackedLong is how long until this process has them put back itself: a hook that the
	// notifier called for has by then, where Juju answers.
	lackedLong = 10 * time.Second
	// rescuePause is how long a checker has run at least that ends for them: it may be in
	// vain.
	rescuePause = time.Minute
)

// LackingStatus is the exit status of a checker that found a holder without some of its
// addresses.
const LackingStatus = 79

// ErrLacking is why a checker ends that found a holder without some of its addresses: it
// may not put them back, and Juju, whose hook would, does not come.
var ErrLacking = errors.New("keepalived is MASTER and takes addresses for there that are not: has them put back")

// lacking follows which addresses the unit is without of instances that it holds.
type lacking struct {
	// addresses are those in words, since when exactly they are lacking.
	addresses string
	since     time.Time
	// told tells that they were lacking for long enough.
	told bool
}

// take takes in what is lacking now.
func (l *lacking) take(addresses []netip.Addr, now time.Time, log *log.Logger) {
	var words []string
	for _, a := range addresses {
		words = append(words, a.String())
	}
	slices.Sort(words)
	found := strings.Join(words, " ")
	if found != l.addresses {
		if l.told && found == "" {
			log.Print("no virtual IP is lacking any more")
		}
		*l = lacking{addresses: found, since: now}
	}
	if found != "" && !l.told && now.Sub(l.since) >= lackedFor {
		l.told = true
		log.Printf("keepalived is MASTER without %s", found)
	}
}

// lasting are the addresses that have been lacking for a while.
func (l *lacking) lasting() string {
	if !l.told {
		return ""
	}
	return l.addresses
}

// lookAtLacking ends a checker that may have them put back; they were just looked for.
func (l *loop) lookAtLacking(now time.Time) error {
	if l.lacking.told && now.Sub(l.lacking.since) >= lackedLong && now.Sub(l.began) >= rescuePause {
		return ErrLacking
	}
	return nil
}

// lack lists the addresses that are on none of the links, of instances that the unit
// holds.
func (k kernelAddresses) lack(tracks []track, links []string) []netip.Addr {
	var list []netip.Addr
	places := map[int]bool{1: true} // lo, where they are pinned for a moment
	for _, name := range links {
		if index := linkIndex(name); index > 0 {
			places[index] = true
		}
	}
	for _, t := range tracks {
		if !k.holds(t.Instance) {
			continue
		}
		for _, a := range t.Addresses[1:] {
			if !slices.ContainsFunc(k[a], func(index int) bool { return places[index] }) {
				list = append(list, a)
			}
		}
	}
	return list
}

// rereadIn has everything read again after d, if not before.
func (l *loop) rereadIn(d time.Duration) {
	if at := time.Now().Add(d); at.Before(l.rereadAt) {
		l.rereadAt = at
	}
}

// rereadSoon has it read again when addresses that are lacking are to be told of.
func (l *loop) rereadSoon() {
	if l.lacking.addresses != "" && !l.lacking.told {
		l.rereadIn(lackedFor)
	}
}
