package reconcile

import (
	"slices"
	"time"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// agreement is what this unit does about the parameters that all units of the
// group share. A change goes through the peer relation so that there is neither
// a gap nor a second holder:
//
//  1. The holder announces the new parameters and goes on as before.
//  2. Every standby stands aside (its instance is in the FAULT state, silent) and
//     says so. From then on it does as the holder does, whatever its own options
//     say meanwhile.
//  3. The holder pins the virtual IPs to its loopback device, where the machine
//     answers for them just as well, changes over, takes the pins away once its new instance
//     is MASTER, and says what it runs.
//  4. The standbys change over and take part again.
//
// A standby that finds the virtual IP dead while it stands aside (nobody answers at
// it, says he has it, or advertises) takes part again by itself, so a holder lost on the way costs a failover, not the address. Peers
// at whose address nothing answers count as lost: nobody waits for them or follows
// them. A unit that comes back from the dead with other parameters than the rest
// stands aside until it has changed over.
//
// What remains: a hook acts on what it read when it began. When the holder is lost,
// or a lost unit comes back, between the two, there may be two holders until the
// hooks have run that the databags then published cause. A unit that was cut off
// from the others, yet not switched off, holds beside them from when it is
// connected again to the end of its next hook.
type agreement struct {
	// was and run are what the configuration says before and after this hook.
	was, run vrrp.Parameters
	// next is this unit's own announcement. aside, when not empty, keeps it out of
	// the election and says for what: an announcement, or a word for people.
	next  *endpoint.Announcement
	aside string
	// holds tells that this unit holds the virtual IPs now.
	holds bool
	// pin tells that the change happens under held addresses.
	pin bool
	// moving tells that wanted differs from run; of the others, ready are prepared.
	moving        bool
	wanted        vrrp.Parameters
	ready, others int
	// waits are the units that this one waits for, as far as it knows.
	waits []juju.Unit
	// upgraded and planned count the group's units while some may still run the
	// Python charm; zero otherwise.
	upgraded, planned int
}

// What a unit stands aside for, other than an announcement.
const (
	untilAgreed  = "until all units run the same"
	untilResumed = "paused by an operator"
	untilListed  = "until every unit sends its advertisements here"
)

// agree decides on the parameters.
func (d Desired) agree(o Observed) (a agreement) {
	wanted := d.target()
	current, serving := d.running(o.Machine)
	a = agreement{was: current, run: current, wanted: wanted, holds: serving && o.Machine.has(current.Anchor)}
	// Routers that are to end are silent by the time the first one changes.
	if ends := current.Spread && !wanted.Spread; serving && !ends && d.occupied(wanted.VirtualRouterID) {
		a.wanted = current // another router has yet to leave it
		defer func() { a.wanted, a.moving = wanted, true }()
	}
	switch {
	case !serving, d.related && d.told.Runs == nil && current.Constant() && !a.holds:
		// A hook that was killed may have left files of which nobody was told.
		a = d.join(a, o)
	case d.pythonLeft(o, current):
		// keepalived takes an address away for a moment when its prefix length
		// changes, and before 2.2.5 for seconds when a script goes.
		_, ours := o.Machine.Files[d.Layout.Fragment()]
		a.upgraded, a.planned, a.pin = 1+len(d.peers), o.Planned, a.holds && !ours
	case d.alone() && !d.awaited():
		a.pin = a.holds && a.run != a.wanted
		a.run = a.wanted
		if !a.holds && d.told.Aside == untilKnown {
			a.aside = untilKnown
		}
	case a.holds:
		a = d.lead(a, o.Machine)
	default:
		a = d.follow(a)
	}
	a.moving = a.run != a.wanted
	return a
}

// lead decides for a unit that holds the virtual IPs.
func (d Desired) lead(a agreement, m Machine) agreement {
	if a.run == a.wanted || d.ends || d.awaited() {
		return a
	}
	// Units that understand each other need no care, if the holder goes first: a
	// standby that learns a longer interval late would take over meanwhile.
	if a.wanted.Understands(a.run) || d.takesPart(a.wanted) {
		a.run = a.wanted
		return a
	}
	a.next = d.announce(a.wanted, d.reign(m))
	if leader := d.leader(a.wanted, a.next); leader != a.next {
		// Of two that hold, the later one changes over; the other lets go.
		a.next, a.aside = nil, leader.String()
		return a
	}
	for _, p := range d.peers {
		if p.Runs == nil || p.lost && *p.Runs == a.wanted {
			continue
		}
		a.others++
		// A lost unit that comes back finds the announcement, if it was there before.
		if p.Aside == a.next.String() || p.lost && d.told.Next != nil && *d.told.Next == *a.next {
			a.ready++
		} else {
			a.waits = append(a.waits, p.unit)
		}
	}
	if a.ready == a.others && d.gathered(a, m) {
		a.run, a.pin, a.next = a.wanted, true, nil
	}
	return a
}

// follow decides for a unit that does not hold the virtual IPs.
func (d Desired) follow(a agreement) agreement {
	promised := endpoint.ParseAnnouncement(d.told.Aside)
	open := false
	for _, p := range d.serving() {
		if promised != nil && p.unit == promised.Holder {
			open = p.Next != nil && *p.Next == *promised
			if *p.Runs == promised.Parameters && d.acceptable(*p.Runs) {
				a.run = *p.Runs
			}
		}
	}
	if d.takesPart(a.wanted) {
		a.run = a.wanted
	}
	leader := d.leader(a.wanted, nil)
	// Who takes no part yet waits for the end of whatever is announced.
	silent := d.told.Aside != "" || d.told.Runs == nil || d.unconfirmed
	switch {
	case leader != nil:
		a.aside = leader.String()
	case open:
		a.aside = d.told.Aside
	case d.differs(a.run), silent && d.announces(), (d.unconfirmed || d.told.Aside == untilAgreed) && d.returnsTo(a.run):
		a.aside = untilAgreed
	}
	return a
}

// join decides for a unit that serves nothing yet: it does as the others do.
// Before its first hook of the peer relation it knows of no other.
func (d Desired) join(a agreement, o Observed) agreement {
	a.run = a.wanted
	if k := d.Layout.Router; k > 0 {
		// What all units run in the first router is agreed upon.
		a.run, a.run.Spread = d.first, false
		a.run.VirtualRouterID += vrrp.VirtualRouterID(k)
		a.run.Anchor = vrrp.Anchor(a.run.VirtualRouterID, d.first.Anchor.Is6())
	}
	own := a.run
	for _, p := range d.serving() {
		if d.acceptable(*p.Runs) && (a.run == own || p.Aside == "") {
			a.run = *p.Runs
		}
	}
	if len(d.peers) == 0 && o.Planned > 1 {
		a.aside = untilKnown
		return a
	}
	return d.follow(a)
}

// acceptable tells parameters that this unit may run on a peer's word: nothing a
// peer says reaches the configuration unless the options could have said it.
func (d Desired) acceptable(p vrrp.Parameters) bool {
	known := p.Constant() || slices.ContainsFunc(d.options.VirtualIPs, func(v config.VirtualIP) bool { return v.Addr() == p.Anchor })
	step := 10 * time.Millisecond
	if p.Version == 2 {
		step = time.Second
	}
	return known && (p.Auth == "" || p.Auth == vrrp.Fingerprint(d.secret)) && p.Interval%step == 0 && p.Interval >= config.ShortestInterval && p.Interval <= config.LongestInterval
}

// announce returns this unit's announcement: the one it made already in this reign,
// or a new one that is later than all it knows of.
func (d Desired) announce(wanted vrrp.Parameters, since int64) *endpoint.Announcement {
	a := endpoint.Announcement{Parameters: wanted, Holder: d.unit, Since: since, Round: d.told.Round}
	if last := d.told.Next; last != nil && *last == a {
		return &a
	}
	for _, p := range d.peers {
		a.Round = max(a.Round, p.Round)
	}
	a.Round++
	return &a
}

// leader returns the last announcement of these parameters; own is this unit's
// own, if it makes one.
func (d Desired) leader(wanted vrrp.Parameters, own *endpoint.Announcement) *endpoint.Announcement {
	last := own
	for _, p := range d.serving() {
		if p.Next != nil && p.Next.Parameters == wanted && p.Next.Holder == p.unit && (last == nil || p.Next.After(*last)) {
			last = p.Next
		}
	}
	return last
}

// reign is when this unit's instance became MASTER, in seconds since 1970.
func (d Desired) reign(m Machine) int64 {
	for _, i := range m.Instances {
		if i.Name == d.Layout.Instance() {
			return int64(i.LastTransition)
		}
	}
	return 0
}

// master tells whether this unit's instance is MASTER.
func (d Desired) master(m Machine) bool {
	return slices.ContainsFunc(m.Instances, func(i keepalived.InstanceState) bool {
		return i.Name == d.Layout.Instance() && i.State == keepalived.Master
	})
}
