package checker

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/history"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/vrrp"
)

const (
	// settleMove is how long after a move it is told: who took over is heard then.
	settleMove = time.Second
	// related is how long before a move an operator may have asked for it.
	related = 2 * time.Second
)

// chronicle makes entries for the history out of what the checker sees. It does no
// I/O.
type chronicle struct {
	instances []course
	// asked is when an operator last wanted the unit to hand over.
	asked time.Time
	// sick is why the check fails; empty unless the verdict is sick.
	sick string
	// down are interfaces that are down.
	down []string
	// ready are entries to be written.
	ready []history.Entry
	noted map[history.Event]*allowance
	// near tells whether the interface with an index is one of the virtual IPs'.
	near func(link int) bool
}

// course is the course of one VRRP instance.
type course struct {
	name string
	id   vrrp.VirtualRouterID // zero: nothing is heard of it
	// six tells that it talks VRRP over IPv6, unicast that routers may pass that on.
	six, unicast bool
	// addresses are those that advertisements of this group may carry.
	addresses []netip.Addr
	// version and auth are those of the advertisements that keepalived takes; zero: of all.
	version int
	auth    string
	heard   hearing
	// refused is who sends what keepalived does not take.
	refused hearing
	holder  bool
	moves   metrics.Moves
	since   time.Time // it got the instance then; zero: before the checker started
	// aside is what the unit stands aside for; empty while it takes part.
	aside string
	// begun tells that it is known how things stood when the checker started.
	begun bool
	// other is the holder among the others.
	other netip.Addr
	// move is the move that is told at due.
	move history.Entry
	due  time.Time
}

// newChronicle returns that of a checker which has seen nothing yet.
func newChronicle(c healthcheck.Config) chronicle {
	all := chronicle{near: nearby(c.Links)}
	for _, i := range c.Instances {
		all.instances = append(all.instances, course{name: i.Name, id: i.VirtualRouterID, addresses: i.Addresses, version: i.Version, auth: i.Auth,
			six: len(i.Addresses) > 0 && i.Addresses[0].Is6(), unicast: i.Unicast})
	}
	return all
}

// take returns the entries to be written, once.
func (c *chronicle) take() []history.Entry {
	ready := c.ready
	c.ready = nil
	return ready
}

// senders are all that were heard, also those that keepalived does not take.
func (k course) senders() []sender { return slices.Concat(k.heard.senders, k.refused.senders) }

// hears tells whether anybody was heard since an instant.
func (c *chronicle) hears(since time.Time) bool {
	return slices.ContainsFunc(c.instances, func(k course) bool {
		return slices.ContainsFunc(k.senders(), func(s sender) bool { return s.latest().After(since) })
	})
}

// pending tells whether a move waits to be told.
func (c *chronicle) pending() bool {
	return slices.ContainsFunc(c.instances, func(k course) bool { return !k.due.IsZero() })
}

// heard is what the others' advertisements told.
func (c *chronicle) heard(now time.Time) []Heard {
	var list []Heard
	for _, k := range c.instances {
		for _, s := range k.senders() {
			list = append(list, Heard{Instance: k.name, Address: s.address, Priority: int(s.priority),
				Last: s.last.UTC().Truncate(time.Millisecond), Released: s.released.UTC().Truncate(time.Millisecond),
				Foreign: s.foreign, Speaks: s.lately(now)})
		}
	}
	return list
}

// strangers names who advertises the virtual router ID of an instance and is no unit of
// this group, in an order of their own, and beside which of them a unit holds.
func (c *chronicle) strangers(now time.Time) string {
	var list []string
	for _, k := range c.instances {
		beside := k.holder || slices.ContainsFunc(k.heard.senders, func(s sender) bool { return !s.foreign && s.lately(now) })
		for _, s := range k.senders() {
			if s.foreign && s.lately(now) {
				list = append(list, fmt.Sprintf("%s %s %t", k.name, s.address, beside))
			}
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// takes tells whether keepalived takes an advertisement, by its version and password. A unit
// that stands aside may do so until others have changed those: it takes all.
func (k *course) takes(a advert) bool {
	return k.version == 0 || k.aside != "" || a.version == k.version && a.auth == k.auth
}

// foreign tells an advertisement that no unit of this group sends: each advertises the
// constant address of the virtual router, or in a group with units of the Python charm
// virtual IPs.
func (k *course) foreign(a advert) bool {
	return !slices.ContainsFunc(a.addresses, func(address netip.Addr) bool {
		return address == vrrp.Anchor(a.id, address.Is6()) || slices.Contains(k.addresses, address)
	})
}

// Of each kind so many entries are noted at once, and one more each time a while has passed:
// what anybody on the segment can bring about must not wash away the others, of which the
// journal keeps some hundred.
const (
	mostNoted = 100
	noteAgain = 5 * time.Minute
)

// allowance is what may still be noted of a kind.
type allowance struct {
	used    int
	since   time.Time // used counts down from then
	leftOut int
}

// note adds an entry that needs no waiting.
func (c *chronicle) note(e history.Entry) {
	if c.noted == nil {
		c.noted = map[history.Event]*allowance{}
	}
	a := c.noted[e.Event]
	if a == nil {
		a = &allowance{since: e.Time}
		c.noted[e.Event] = a
	}
	if again := e.Time.Sub(a.since) / noteAgain; again > 0 {
		a.used, a.since = max(0, a.used-int(again)), a.since.Add(again*noteAgain)
	}
	if a.used >= mostNoted+4*len(c.instances) { // each may move
		a.leftOut++
		return
	}
	a.used++
	if a.leftOut > 0 {
		e.Cause = strings.TrimSpace(fmt.Sprintf("%s (%d more of these before are not noted)", e.Cause, a.leftOut))
		a.leftOut = 0
	}
	c.ready = append(c.ready, e)
}

// begin takes in whether the unit held the instance when the checker started and
// whether the checker before knew so. A move in between was seen by nobody.
func (c *chronicle) begin(k *course, holder, known bool, now time.Time) {
	k.holder, k.begun = holder, true
	if holder == known {
		return
	}
	e := history.Entry{Time: now, Event: history.BecameStandby, Cause: history.Unknown + ": the health checker was not running"}
	if holder {
		e.Event = history.BecameHolder
		k.moves.Gain(metrics.Unknown, now)
	} else {
		k.moves.Lose(metrics.Unknown, now)
	}
	c.note(c.named(e, k))
}

// hold takes in whether the unit has an instance; before is what the checker that
// ran before knew of it.
func (c *chronicle) hold(i int, holder, before bool, now time.Time) {
	k := &c.instances[i]
	switch {
	case !k.begun:
		c.begin(k, holder, before, now)
		return
	case k.holder == holder:
		return
	}
	c.settle(k, now)
	k.holder, k.due = holder, now.Add(settleMove)
	if holder {
		k.since = now
		why, words := k.gained(now)
		k.moves.Gain(why, now)
		k.move = history.Entry{Time: now, Event: history.BecameHolder, Cause: words}
		if from, ok := k.heard.recent(); ok {
			k.move.Peer = from.address.String()
		}
		k.other = netip.Addr{}
		return
	}
	why, words := c.lost(k, now)
	k.moves.Lose(why, now)
	k.move = history.Entry{Time: now, Event: history.BecameStandby, Cause: words}
	if over, ok := k.heard.over(k.since, now); ok {
		k.move.Peer = over.address.String()
	}
}

// advert takes in what another machine sent.
func (c *chronicle) advert(a advert, at time.Time) {
	for n := range c.instances {
		k := &c.instances[n]
		if k.id == 0 || k.id != a.id || k.six != a.from.Is6() || a.routed && !k.unicast || !c.near(a.link) {
			continue // a virtual router of another family or segment
		}
		if !k.takes(a) {
			k.heard.forget(a.from)
			k.refused.take(a, true, at)
			continue
		}
		k.refused.forget(a.from)
		k.heard.take(a, k.foreign(a), at)
		if a.priority > 0 && !k.holder && k.due.IsZero() && k.other != a.from {
			c.follow(k, a.from, at)
		}
	}
}

// follow takes in another holder among the others.
func (c *chronicle) follow(k *course, to netip.Addr, at time.Time) {
	was := k.other
	k.other = to
	if !was.IsValid() {
		return // the first that is heard
	}
	n := slices.IndexFunc(k.heard.senders, func(s sender) bool { return s.address == was })
	if n < 0 {
		return
	}
	from := k.heard.senders[n]
	k.move = history.Entry{Time: at, Event: history.HolderChanged, Peer: to.String()}
	switch {
	case !from.released.IsZero():
		k.move.Cause = was.String() + " handed over (priority 0)"
	case from.speaks(at):
		k.move.Cause = was.String() + " " + standing(from.priority)
	default:
		k.move.Cause = fmt.Sprintf("%s went silent, last heard %.2f s before", was, at.Sub(from.last).Seconds())
	}
	k.due = at.Add(settleMove)
}

// expire tells moves that have settled, and returns when to call it again (zero:
// nothing to wait for).
func (c *chronicle) expire(now time.Time) time.Time {
	var next time.Time
	for n := range c.instances {
		k := &c.instances[n]
		if k.due.IsZero() {
			continue
		}
		if !now.Before(k.due) {
			c.settle(k, now)
		} else if next.IsZero() || k.due.Before(next) {
			next = k.due
		}
	}
	return next
}

// settle tells a move that was kept, with what was heard since.
func (c *chronicle) settle(k *course, now time.Time) {
	if k.due.IsZero() {
		return
	}
	k.due = time.Time{}
	to, ok := k.heard.holder(now)
	switch {
	case k.move.Event == history.BecameStandby && ok:
		k.move.Peer, k.other = to.address.String(), to.address
	case k.move.Event == history.HolderChanged && ok && to.address.String() != k.move.Peer:
		// Two sent for a moment, and the one that was there before stays.
		k.other = to.address
		return
	}
	c.note(c.named(k.move, k))
}

// tell adds an entry about instance i.
func (c *chronicle) tell(i int, e history.Entry) { c.note(c.named(e, &c.instances[i])) }

// named adds the instance's name where there are several.
func (c *chronicle) named(e history.Entry, k *course) history.Entry {
	if len(c.instances) > 1 {
		e.Instance = k.name
	}
	return e
}

// finish tells all moves at once: the checker ends.
func (c *chronicle) finish(now time.Time) {
	for n := range c.instances {
		c.settle(&c.instances[n], now)
	}
}
