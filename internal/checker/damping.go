package checker

import "time"

const (
	// asideGap is the least time between two steps aside.
	asideGap = 10 * time.Second
	// firstHold is how long a unit is held back after its service failed and came
	// back; each further failure doubles it, up to longestHold.
	firstHold   = time.Minute
	longestHold = 5 * time.Minute
	// forgiven is how long a service must have worked, after its unit was no longer
	// held back, until its failures are forgotten.
	forgiven = 10 * time.Minute
)

// damping keeps a service that comes and goes from moving the addresses each
// time. It does no I/O. Everything that remembers earlier moves in order to
// hold back the next one belongs here.
//
// A unit whose service failed and works again is held back for a time: it takes
// the addresses from no unit that can be relied on, but still from a sick one, so
// holding back never leaves clients with a dead service while another works.
// A first failure is acted on as fast as ever.
type damping struct {
	lastAside time.Time
	// failures count until they are forgiven.
	failures int
	// until is when holding back ends; zero while the unit is not held back.
	until time.Time
	// free is when it ended last.
	free time.Time
}

// mayStepAside tells whether the last step aside is long enough ago.
func (d *damping) mayStepAside(now time.Time) bool {
	return d.lastAside.IsZero() || now.Sub(d.lastAside) >= asideGap
}

// steppedAside remembers one.
func (d *damping) steppedAside(now time.Time) {
	d.lastAside = now
}

// fell takes in that a service that worked no longer does.
func (d *damping) fell(now time.Time) {
	d.expire(now)
	if d.until.IsZero() && now.Sub(d.free) >= forgiven {
		d.failures = 0
	}
	d.failures++
	d.until = time.Time{}
}

// recovered takes in that a service that failed works again, and begins to hold
// the unit back.
func (d *damping) recovered(now time.Time) {
	if d.failures == 0 {
		return // it had not worked before
	}
	hold := longestHold
	if doublings := d.failures - 1; doublings < 8 {
		hold = min(firstHold<<doublings, longestHold)
	}
	d.until = now.Add(hold)
}

// heldBack tells whether the unit is held back; expire ends it.
func (d *damping) heldBack() bool { return !d.until.IsZero() }

// expire ends holding back when it is time, and returns when to call it again
// (zero: nothing to wait for).
func (d *damping) expire(now time.Time) time.Time {
	if d.heldBack() && !now.Before(d.until) {
		d.free, d.until = d.until, time.Time{}
	}
	return d.until
}
