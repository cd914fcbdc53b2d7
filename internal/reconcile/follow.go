package reconcile

import (
	"fmt"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// follows tells whether an instance has the priority that its track file makes. A
// keepalived that has no inotify instance left never reads the file: it runs on its
// base priority, whatever the health checker or an operator says.
func (m Machine) follows(i keepalived.InstanceState) bool {
	track, written := m.Tracks[i.Name]
	switch {
	case !written || i.State == keepalived.Init:
		return true // it has just started, or there is nothing to follow
	case track <= vrrp.StepAside:
		return i.State == keepalived.Fault
	case i.State == keepalived.Fault:
		return true // for another reason, and its priority is as it was before
	}
	return i.Effective == vrrp.Effective(i.Base, track)
}

// Ignores tells that the daemon does not follow some track file of an application.
func (m Machine) Ignores(l Layout) bool {
	for _, i := range m.Instances {
		if l.Owns(i.Name) && !m.follows(i) {
			return true
		}
	}
	return false
}

// Unmoved tells why neither the health check nor an operator can move this unit's
// virtual IPs; empty when they can.
func (d Desired) Unmoved(m Machine) string {
	if s, unmoved := d.ignoring(m); unmoved {
		return s.Message
	}
	return ""
}

// LooksAgain tells that this unit has to look again soon: a peer was seen to hold
// virtual IPs beside it, or the daemon or the unit waits for what nobody tells of.
func (d Desired) LooksAgain(m Machine) bool {
	return d.shares() || m.InotifyLimit > 0 || d.anyRouter(func(r router) bool { return r.Soon })
}

// ignoring is the status of a unit that does not do what its track files say. A reload
// mends it as soon as keepalived can have what it lacks.
func (d Desired) ignoring(m Machine) (juju.Status, bool) {
	const least = 512 // what is suggested; 128 is the kernel's default
	switch {
	case !m.Ignores(d.Layout):
		return juju.Status{}, false
	case m.InotifyLimit > 0:
		return say(ignoresWatchless, "LIMIT", fmt.Sprint(m.InotifyLimit), "MORE", fmt.Sprint(max(least, 2*m.InotifyLimit))), true
	}
	return say(ignoresCheck), true
}
