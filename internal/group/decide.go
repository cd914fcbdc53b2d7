package group

import (
	"slices"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

// Decide says what a unit does about a virtual router.
func Decide(v View) Decision {
	wanted, late := v.Wanted, false
	if v.Taken && v.Serves {
		late = v.Holds && wanted != v.Runs && v.joined(wanted)
		v.Wanted = v.Runs // until another router has left it
	}
	d := Decision{Was: v.Runs, Run: v.Runs, Wanted: v.Wanted, Holds: v.Serves && v.Holds}
	switch {
	case v.Departs && v.Serves:
		d.State, d.Aside = Departing, v.Stands
		if !d.Holds && d.Aside == TakesPart {
			d.Aside = Leaving // the others may change over without it from now on
		}
	case v.Departs:
		d = v.join(d)
		d.State, d.Aside = Departing, Leaving
	case !v.Serves, v.Grouped && !v.Told.Serves && v.Runs.Constant() && !v.Holds:
		// A hook that was killed may have left files of which nobody was told.
		d = v.join(d)
	case v.Python:
		d.State, d.Upgraded, d.Planned = Mixed, 1+len(v.Peers), v.Planned
	case v.alone() && !v.Awaited:
		d = v.single(d)
	case d.Holds:
		d = v.lead(d)
	default:
		d = v.follow(d)
	}
	if late && d.State == Holding {
		// Of two that hold, the one lets go that cannot follow yet.
		d.State, d.Aside = Returning, Agreed
	}
	d.Wanted = wanted
	d.Moving = d.Run != wanted
	d.Round = v.Told.Round
	for _, p := range v.Peers {
		if p.Announces && p.Round < mostRounds {
			d.Round = max(d.Round, p.Round)
		}
	}
	if d.Next != nil {
		d.Round = d.Next.Round
	}
	return d
}

// single decides for a unit beside which nobody serves.
func (v View) single(d Decision) Decision {
	d.State = Following
	if v.stays() {
		d.Wanted, d.Soon = d.Run, d.Run != d.Wanted || v.Told.Aside != TakesPart
	}
	if d.Holds {
		d.State, d.Pin = Holding, d.Run != d.Wanted
	} else if v.stays() || v.Stands.Announcement() != nil {
		// That one may hold what it announced. When nobody does, the agent takes part.
		d.State, d.Aside, d.Wanted = StandsAside, v.Stands, d.Run
	} else if v.Told.Aside == Unknown {
		d.State, d.Aside = Learning, Unknown
	} else if v.silent() && v.Ignored {
		d.State, d.Aside = Learning, Joins
	}
	if d.Pin {
		d.State = Changing
	}
	d.Run = d.Wanted
	return d
}

// lead decides for a unit that holds the virtual IPs.
func (v View) lead(d Decision) Decision {
	d.State = Holding
	if d.Run == d.Wanted || v.Ends || v.Awaited {
		return d
	}
	// Units that understand each other need no care, if the holder goes first: a
	// standby that learns a longer interval late would take over meanwhile.
	if d.Wanted.Understands(d.Run) && !v.unread() {
		d.Run = d.Wanted
		return d
	}
	var own *Announcement
	if !v.unread() { // who cannot be read may not be able to read one either
		own = v.announce(d.Wanted)
	}
	if leader := v.leader(d.Wanted, own); leader != own {
		// Of two that hold, the later one changes over; the other lets go.
		d.State, d.Aside = StandsAside, leader.Aside()
		return d
	}
	if own == nil {
		d.Waits = v.unreadUnits()
		return d
	}
	if v.Told.Next != nil && *v.Told.Next == *own && v.joinedSince(*own) {
		d.Run = d.Wanted // another holds with these
		return d
	}
	d.State, d.Next = Announcing, own
	gathers := d.Run.Spread && !d.Wanted.Spread
	for _, p := range v.Peers {
		if !p.Serves || p.Lost && p.Runs == d.Wanted {
			continue
		}
		d.Others++
		// A lost unit that comes back finds the announcement, if it was there before.
		if p.Aside == own.Aside() && (!gathers || p.gathered(*own)) || p.Lost && v.Told.Next != nil && *v.Told.Next == *own {
			d.Ready++
		} else {
			d.Waits = append(d.Waits, p.Unit)
		}
	}
	d.Soon = d.Ready == d.Others && v.stays()
	if d.Ready == d.Others && (!gathers || v.HoldsAll) && !v.stays() {
		d.State, d.Run, d.Pin, d.Next = Changing, d.Wanted, true, nil
	}
	return d
}

// gathered tells that a peer takes part in none of the other virtual routers any more, where
// all virtual IPs are to have one.
func (p Peer) gathered(a Announcement) bool {
	return !slices.ContainsFunc(p.Elsewhere, func(w Word) bool { return w.Serves && w.Aside != a.Aside() })
}

// follow decides for a unit that does not hold the virtual IPs.
func (v View) follow(d Decision) Decision {
	d.State = Following
	promised := v.Told.Aside.Announcement()
	at := slices.IndexFunc(v.Peers, func(p Peer) bool { return promised != nil && p.Unit == promised.Holder && p.Serves })
	if at >= 0 && v.Peers[at].Runs == promised.Parameters && v.Accepts(promised.Parameters) {
		d.Run = promised.Parameters
	}
	silent := v.silent()
	if v.joined(d.Wanted) && (silent || !v.unread()) {
		d.Run = d.Wanted
	}
	open := promised != nil && !v.settled(*promised, d.Run) // its holder has departed, maybe
	if at >= 0 {
		switch p := v.Peers[at]; {
		case p.Lost: // it may have changed over, which others have read
			open = open && p.Runs != promised.Parameters
		default: // while it cannot be read it may be about to change over still, or have
			open = p.Next != nil && *p.Next == *promised || p.Announces && p.Next == nil || p.Unread()
		}
	}
	// Those that said that they stand aside may have taken over since: their agents do so
	// without a hook. Not while the virtual IP is held by one whom this unit hears already.
	taken := v.deaf(d.Run, true) && !(v.Heeds && d.Run == v.Runs)
	leader := v.leader(d.Wanted, nil)
	switch {
	case leader != nil:
		d.State, d.Aside = StandsAside, leader.Aside()
	case open:
		d.State, d.Aside = StandsAside, v.Told.Aside
	case v.deaf(d.Run, false),
		// Who takes no part yet waits for the end of whatever is announced.
		silent && v.announced(),
		// Who took part when it was last read may be gone.
		silent && (taken || !v.joined(d.Run) && v.unread()):
		d.State, d.Aside = Returning, Agreed
		d.Soon = d.Run != v.Runs // it may hear the holder then
	case silent && v.Ignored:
		// They may be about to change over, and would not wait for it.
		d.State, d.Aside = Learning, Joins
	}
	return d
}

// join decides for a unit that serves nothing yet: it does as the others do.
// Before its first hook of the peer relation it knows of no other.
func (v View) join(d Decision) Decision {
	d.Run = v.Starts
	for _, p := range v.serving() {
		if !p.Unread() && v.Accepts(p.Runs) && (d.Run == v.Starts || p.Aside == TakesPart) {
			d.Run = p.Runs
		}
	}
	if len(v.Peers) == 0 && v.Planned > 1 {
		d.State, d.Aside = Learning, Unknown
		return d
	}
	return v.follow(d)
}

// announce returns this unit's announcement: the one it made already in this reign,
// or a new one that is later than all it knows of.
func (v View) announce(wanted vrrp.Parameters) *Announcement {
	a := Announcement{Parameters: wanted, Holder: v.Unit, Since: v.Reign}
	if last := v.Told.Next; last != nil {
		a.Round = last.Round
		if *last == a {
			return &a
		}
	}
	a.Round = min(v.lastRound()+1, mostRounds)
	return &a
}

// lastRound is that of the last announcement which any unit knows of.
func (v View) lastRound() int {
	round := v.Told.Round
	for _, p := range v.Peers {
		if p.Round <= believedRounds {
			round = max(round, p.Round)
		}
	}
	return round
}

// leader returns the last announcement of these parameters; own is this unit's
// own, if it makes one.
func (v View) leader(wanted vrrp.Parameters, own *Announcement) *Announcement {
	last := own
	for _, p := range v.serving() {
		if p.Next != nil && p.Next.Parameters == wanted && p.Next.Holder == p.Unit && (last == nil || p.Next.After(*last)) {
			last = p.Next
		}
	}
	return last
}

// WaitsFor lists the units that one which stands aside waits for.
func (v View) WaitsFor(d Decision) []juju.Unit {
	var units []juju.Unit
	for _, p := range v.serving() {
		if d.Aside == Agreed && (p.Announces || p.Unread() || !d.Run.Understands(p.Runs)) {
			units = append(units, p.Unit)
		}
	}
	return units
}
