package reconcile

import (
	"net/netip"
	"slices"
	"time"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// agreement is what this unit does about the parameters that all units of the
// group share. A change goes through the peer relation so that there is neither
// a gap nor a second holder:
//
//  1. The holder announces the new parameters and goes on as before.
//  2. Every standby stands aside (its instance is in the FAULT state, silent) and
//     says so.
//  3. The holder pins the virtual IPs to its loopback device, which answers for
//     them just as well, changes over, takes the pins away once its new instance
//     is MASTER, and says what it runs.
//  4. The standbys change over and take part again.
//
// A standby that finds the virtual IP dead while it stands aside takes part again
// by itself, so a holder lost on the way costs a failover, not the address.
type agreement struct {
	// run is what the configuration says after this hook.
	run vrrp.Parameters
	// next is this unit's own announcement, aside the one it stands aside for.
	next, aside *endpoint.Announcement
	// holds tells that this unit holds the virtual IPs now.
	holds bool
	// pin tells that the change happens under held addresses.
	pin bool
	// moving tells that wanted differs from run; of the others, ready are prepared.
	moving        bool
	wanted        vrrp.Parameters
	ready, others int
	// upgraded and planned count the group's units while some may still run the
	// Python charm; zero otherwise.
	upgraded, planned int
}

// target is what the options ask for.
func target(o config.Options) vrrp.Parameters {
	six := !slices.ContainsFunc(o.VirtualIPs, func(v config.VirtualIP) bool { return v.Addr().Is4() })
	return vrrp.Parameters{
		Version:         o.Version,
		Mode:            o.Mode,
		VirtualRouterID: o.VirtualRouterID,
		Interval:        o.AdvertInterval,
		Anchor:          vrrp.Anchor(o.VirtualRouterID, six),
	}
}

// running returns what the installed configuration says, the Python charm's
// included; false when nothing is served yet.
func (d Desired) running(m Machine) (vrrp.Parameters, bool) {
	if p, ok := keepalived.ReadParameters(m.Files[d.Layout.Fragment()], d.Layout.Instance()); ok {
		return p, true
	}
	if len(m.Neighbours) > 0 {
		return vrrp.Parameters{}, false
	}
	return keepalived.ReadPython(m.Files[MainFile])
}

// agree decides on the parameters.
func (d Desired) agree(o Observed) agreement {
	wanted := target(d.options)
	wanted.Auth = vrrp.Fingerprint(d.secret)
	current, serving := d.running(o.Machine)
	if !serving {
		return d.join(wanted)
	}
	holds := o.Machine.has(current.Anchor)
	a := agreement{run: current, wanted: wanted, holds: holds, moving: current != wanted}
	if !a.moving {
		return a
	}
	if d.pythonLeft(o, current) {
		// keepalived takes an address away for a moment when its prefix length
		// changes, and before 2.2.5 for seconds when a script goes.
		_, ours := o.Machine.Files[d.Layout.Fragment()]
		a.upgraded, a.planned, a.pin = 1+len(d.peers), o.Planned, holds && !ours
		return a
	}
	switch {
	case d.alone():
		return a.changeOver(holds)
	case wanted.Understands(current):
		// The holder goes first: a standby that learns a longer interval late
		// would take over meanwhile.
		if holds || d.somebodyRuns(wanted) {
			return a.changeOver(false)
		}
		return a
	}
	if holds {
		a.next = &endpoint.Announcement{Parameters: wanted, Holder: o.Event.Unit, Since: d.reign(o.Machine)}
	} else if d.somebodyRuns(wanted) {
		return a.changeOver(false)
	}
	if leader := d.announced(wanted, a.next); leader != nil && leader != a.next {
		// Of two that hold, the later one changes over; the other lets go.
		a.next, a.aside = nil, leader
		return a
	}
	if a.next == nil {
		return a
	}
	return d.await(a, o.Machine)
}

// await counts who is prepared for this unit's announcement, and changes over
// when all are. A peer that has not answered counts as lost, not as unprepared,
// when nothing answers at its addresses.
func (d Desired) await(a agreement, m Machine) agreement {
	for _, p := range d.peers {
		if p.runs == nil || *p.runs == a.wanted {
			continue
		}
		a.others++
		if p.aside != nil && *p.aside == *a.next || m.lost(p) {
			a.ready++
		}
	}
	if a.ready < a.others {
		return a
	}
	return a.changeOver(true)
}

func (a agreement) changeOver(pin bool) agreement {
	return agreement{run: a.wanted, wanted: a.wanted, holds: a.holds, pin: pin}
}

// join decides for a unit that serves nothing yet: it does as the others do, and
// stands aside while they are changing over.
func (d Desired) join(wanted vrrp.Parameters) agreement {
	a := agreement{run: wanted, wanted: wanted}
	for _, p := range d.peers {
		if p.runs == nil || !d.acceptable(*p.runs) {
			continue
		}
		if *p.runs == wanted {
			return agreement{run: wanted, wanted: wanted}
		}
		a.run, a.moving = *p.runs, true
	}
	if a.moving {
		a.aside = d.announced(wanted, nil)
	}
	return a
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

// announced returns the announcement of these parameters by whoever began to
// hold last; own is this unit's own, if it makes one.
func (d Desired) announced(wanted vrrp.Parameters, own *endpoint.Announcement) *endpoint.Announcement {
	last := own
	for _, p := range d.peers {
		if p.next == nil || p.next.Parameters != wanted || p.next.Holder != p.unit {
			continue
		}
		if last == nil || p.next.Since > last.Since {
			last = p.next
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

// alone tells that no other unit of the group serves.
func (d Desired) alone() bool {
	return !slices.ContainsFunc(d.peers, func(p peer) bool { return p.runs != nil })
}

func (d Desired) somebodyRuns(wanted vrrp.Parameters) bool {
	return slices.ContainsFunc(d.peers, func(p peer) bool { return p.runs != nil && *p.runs == wanted })
}

// pythonLeft tells whether units of the Python charm may be left: with its
// parameters in use, not every unit of the group is known as a peer yet.
func (d Desired) pythonLeft(o Observed, current vrrp.Parameters) bool {
	return !current.Constant() && 1+len(d.peers) < o.Planned
}

// mixed tells that this unit speaks as the Python charm does, because units of it
// are left or were a moment ago.
func (a agreement) mixed() bool { return !a.run.Constant() }

// NeedsPlanned tells whether the decision depends on how many units the
// application has.
func NeedsPlanned(o Observed) bool {
	d := Desired{Layout: Layout{o.Event.Unit.Application}}
	current, serving := d.running(o.Machine)
	return serving && !current.Constant() || o.newcomer()
}

// Probe lists the addresses of peers that an announcement of this unit still
// waits for; whether anything answers there tells a lost peer from a slow one.
func Probe(o Observed) []netip.Addr {
	d, err := Desire(o)
	if err != nil || d.agreement.next == nil {
		return nil
	}
	var list []netip.Addr
	for _, p := range d.peers {
		if p.runs != nil && (p.aside == nil || *p.aside != *d.agreement.next) && p.address.IsValid() {
			list = append(list, p.address)
		}
	}
	return list
}

// lost tells that nothing answers at a peer's address.
func (m Machine) lost(p peer) bool { return slices.Contains(m.Unreachable, p.address) }
