package checker

import (
	"time"

	"keepalived-charm/internal/vrrp"
)

// asideLimit bounds how long a holder stays aside when its address does not go
// away.
const asideLimit = 500 * time.Millisecond

// election decides the value of each track file from the verdict and from who
// holds what. It does no I/O; the caller's clock is an argument.
type election struct {
	policy  vrrp.Policy
	peers   bool
	health  health
	damping damping
	members []member
}

// member is this unit's part in one VRRP instance.
type member struct {
	holder bool
	// out keeps the instance out, whatever the verdict.
	out bool
	// found is the value that the track file had at the start: until the first
	// verdict its health counts.
	found int
	// aside is when stepping aside ends at the latest; zero when not aside.
	aside time.Time
}

// observe takes in one result of the check. It tells whether the verdict
// changed, and how many instances step aside because of it.
func (e *election) observe(pass bool, now time.Time) (changed bool, aside int) {
	before := e.health.verdict
	if !e.health.observe(pass) {
		return false, 0
	}
	switch {
	case before == healthy:
		e.damping.fell(now)
	case before == sick:
		e.damping.recovered(now)
	}
	for i := range e.members {
		e.members[i].aside = time.Time{}
	}
	// At the start there is no transition: what was found then may be old.
	if before != healthy || e.health.verdict != sick {
		return true, 0
	}
	if !e.peers || e.policy.DropAllUnhealthy || !e.holdsAny() || !e.damping.mayStepAside(now) {
		return true, 0
	}
	e.damping.steppedAside(now)
	for i := range e.members {
		if e.members[i].holder {
			e.members[i].aside = now.Add(asideLimit)
			aside++
		}
	}
	return true, aside
}

// stepAside hands over every instance that this unit holds.
func (e *election) stepAside(now time.Time) {
	for i := range e.members {
		if e.members[i].holder {
			e.members[i].aside = now.Add(asideLimit)
		}
	}
}

// hold takes in whether instance i's address is there, and tells whether that
// is news.
func (e *election) hold(i int, holder bool) bool {
	m := &e.members[i]
	if m.holder == holder {
		return false
	}
	m.holder = holder
	// Gone: the standby has been told, there is nothing left to step aside from.
	m.aside = time.Time{}
	return true
}

// expire ends what lasted long enough, and returns when to call it again (zero:
// nothing to wait for).
func (e *election) expire(now time.Time) time.Time {
	next := e.damping.expire(now)
	for i := range e.members {
		m := &e.members[i]
		if !m.aside.IsZero() && !now.Before(m.aside) {
			m.aside = time.Time{}
		}
		if !m.aside.IsZero() && (next.IsZero() || m.aside.Before(next)) {
			next = m.aside
		}
	}
	return next
}

// value is what instance i's track file is to say.
func (e *election) value(i int) int {
	m := e.members[i]
	switch {
	case m.out:
		return vrrp.StepAside
	case !m.aside.IsZero(): // before a verdict it is an operator's word
		return vrrp.StepAside
	case e.health.verdict == unknown:
		return e.initial(m)
	}
	return e.adjustment(e.health.verdict == healthy, e.damping.heldBack(), m)
}

// adjustment is what health makes of a priority. A holder is not held back: its
// service works, and a move would help nobody. A mixed group has no room for it.
func (e *election) adjustment(healthy, heldBack bool, m member) int {
	if healthy && heldBack && !m.holder && !e.policy.Mixed {
		return vrrp.HeldBackWeight
	}
	return e.policy.Adjustment(healthy, m.holder)
}

// resume takes in what earlier checkers left in the track files: a unit that was
// held back still is.
func (e *election) resume(now time.Time) {
	for _, m := range e.members {
		if m.found == vrrp.HeldBackWeight && !e.damping.heldBack() {
			e.damping.fell(now)
			e.damping.recovered(now)
		}
	}
}

// initial is the value before the first verdict: the health found in the file
// with the holder of now. A checker that was killed while it stepped aside left
// StepAside behind, which would keep the unit out for good. Nothing else may
// take the unit out of the election without a verdict.
func (e *election) initial(m member) int {
	left := m.found == vrrp.StepAside
	v := e.adjustment(vrrp.Healthy(m.found), m.found == vrrp.HeldBackWeight, m)
	if v == vrrp.StepAside && !left {
		return m.found
	}
	return v
}

func (e *election) holdsAny() bool {
	for _, m := range e.members {
		if m.holder {
			return true
		}
	}
	return false
}
