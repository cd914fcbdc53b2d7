package checker

import "time"

// asideGap is the least time between two steps aside.
const asideGap = 10 * time.Second

// damping keeps a service that comes and goes from moving the addresses each
// time. It does no I/O. Everything that remembers earlier moves in order to
// hold back the next one belongs here.
type damping struct {
	lastAside time.Time
}

// mayStepAside tells whether the last step aside is long enough ago.
func (d *damping) mayStepAside(now time.Time) bool {
	return d.lastAside.IsZero() || now.Sub(d.lastAside) >= asideGap
}

// steppedAside remembers one.
func (d *damping) steppedAside(now time.Time) {
	d.lastAside = now
}
