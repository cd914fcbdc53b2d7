package checker

import (
	"net/netip"
	"slices"
	"time"

	"keepalived-charm/internal/vrrp"
)

// mostSenders bounds how many senders are remembered for an instance: anybody on
// the segment may send.
const mostSenders = 8

// sender is another machine as its advertisements show it.
type sender struct {
	address netip.Addr
	// last is the last advertisement, of this priority and with this interval; first
	// is the first of an unbroken row. One of priority 0 does not count.
	first, last time.Time
	priority    vrrp.Priority
	interval    time.Duration
	// released is when it gave its part up, by priority 0; zero once it sent again.
	released time.Time
	// foreign tells that its last advertisement carried no address of this group.
	foreign bool
}

// silentAfter is how many intervals without an advertisement make a sender silent;
// a standby takes over after three (RFC 9568 section 6.1, Active_Down_Interval).
const silentAfter = 2

// speaks tells whether the sender is a holder at an instant, as far as was heard.
func (s sender) speaks(at time.Time) bool {
	return s.released.IsZero() && !s.last.IsZero() && at.Sub(s.last) < silentAfter*s.interval+50*time.Millisecond
}

// A sender counts for a moment after its last advertisement, and no less than three of
// its intervals: one that comes late is no news. A unit counts for less, as its end is to
// be told within seconds.
const (
	strangerLately = 3 * time.Second
	unitLately     = time.Second
)

// lately tells that the sender advertised as a holder a moment ago.
func (s sender) lately(at time.Time) bool {
	limit := unitLately
	if s.foreign {
		limit = strangerLately
	}
	return s.released.IsZero() && at.Sub(s.last) < max(limit, 3*s.interval)
}

// hearing is what was heard for one instance. It does no I/O.
type hearing struct{ senders []sender }

// take takes in an advertisement; foreign tells that it is no unit's of this group.
func (h *hearing) take(a advert, foreign bool, at time.Time) {
	n := slices.IndexFunc(h.senders, func(s sender) bool { return s.address == a.from })
	if n < 0 {
		if len(h.senders) == mostSenders {
			// Who has been silent for longest makes room.
			n = slices.Index(h.senders, slices.MinFunc(h.senders, func(a, b sender) int { return a.latest().Compare(b.latest()) }))
			h.senders[n] = sender{address: a.from}
		} else {
			n = len(h.senders)
			h.senders = append(h.senders, sender{address: a.from})
		}
	}
	s := &h.senders[n]
	s.foreign = foreign
	if a.priority == 0 {
		s.released = at
		return
	}
	if !s.speaks(at) {
		s.first = at
	}
	s.last, s.priority, s.interval, s.released = at, a.priority, a.interval, time.Time{}
}

// forget leaves a sender out.
func (h *hearing) forget(address netip.Addr) {
	h.senders = slices.DeleteFunc(h.senders, func(s sender) bool { return s.address == address })
}

// latest is when the sender was heard last.
func (s sender) latest() time.Time {
	if s.released.After(s.last) {
		return s.released
	}
	return s.last
}

// since tells whether somebody has spoken as a holder of the virtual IPs since an
// instant: no stranger, who has others.
func (h *hearing) since(at time.Time) bool {
	return slices.ContainsFunc(h.senders, func(s sender) bool { return !s.foreign && s.released.IsZero() && s.last.After(at) })
}

// recent is who was heard last, as a holder or giving that up.
func (h *hearing) recent() (sender, bool) {
	var found sender
	for _, s := range h.senders {
		if s.latest().After(found.latest()) {
			found = s
		}
	}
	return found, !found.latest().IsZero()
}

// over is who spoke as a holder since an instant at which this unit got that, and a moment
// ago: keepalived gives way to the first such advertisement, and a machine that is busy tells
// of the lost address late, when the next ones are overdue as well.
func (h *hearing) over(since, now time.Time) (sender, bool) {
	var found sender
	for _, s := range h.senders {
		if s.lately(now) && s.last.After(since) && s.last.After(found.last) {
			found = s
		}
	}
	return found, !found.last.IsZero()
}

// holder is the one who speaks at an instant; of two, who began later.
func (h *hearing) holder(at time.Time) (sender, bool) {
	var found sender
	for _, s := range h.senders {
		if s.speaks(at) && s.first.After(found.first) {
			found = s
		}
	}
	return found, !found.first.IsZero()
}
