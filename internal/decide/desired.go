// Package decide says what a unit is to be: from all that a hook has read it derives what
// the unit claims and is granted, the virtual routers that it has a part in, where their
// virtual IPs are, and what it tells others. It does no I/O and renders no text.
//
// A decision is made in four stages. Each is a value that holds the one before it, so that what
// is decided early cannot look at what is decided late:
//
//	self       what the unit is, goes by and knows of others, and what it claims (goBy)
//	agreement  the virtual routers, as the units agree on them (share)
//	placement  the interfaces, addresses and VRRP instances that they take (arrange)
//	Desired    what comes of it: what was found on the network (judge), what others are told
//	           (publish), what the health checker is to do; the files are rendered elsewhere
//
// What a stage claims of what is around it is weighed there (Claim).
package decide

import (
	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/vrrp"
)

// Mode is what the unit is to be. Teardown is a mode like any other, not code of
// its own.
type Mode int

// The modes.
const (
	// Serving takes part in the election for the virtual IPs.
	Serving Mode = iota
	// Idle has nothing to serve: no virtual IP is configured.
	Idle
	// Released has handed the virtual IPs over and serves nothing.
	Released
	// Gone leaves nothing of the charm on the machine.
	Gone
)

// ModeOf returns the mode that an event asks for, before options are looked at.
func ModeOf(h hooks.Kind) Mode {
	switch h {
	case hooks.Stop, hooks.PreSeriesUpgrade:
		return Released
	case hooks.Remove:
		return Gone
	}
	return Serving
}

// modeFor returns what the unit is to be, before options are looked at.
func modeFor(o facts.Observed) Mode {
	mode := ModeOf(o.Event.Hook)
	if mode == Serving && (o.Upgrades() || o.Stopped()) {
		return Released
	}
	return mode
}

// NeedsModel tells whether a hook looks at options and relations at all; the
// last hooks of a unit do not.
func NeedsModel(o facts.Observed) bool { return ModeOf(o.Event.Hook) == Serving && !o.Stopped() }

// Desired is the whole state that the unit is to be in.
type Desired struct {
	placement
	// Trial are the VRRP instances as they are to be after a change that is announced now:
	// keepalived tests them before anybody stands aside for it.
	Trial []keepalived.VRRPInstance
	// Watch is what the health checker is told.
	Watch healthcheck.Config
	// Found is what a look at the network found wrong with what the unit serves.
	Found []conflict.Finding
	// Free is a virtual router ID that nobody was heard to use.
	Free vrrp.VirtualRouterID
	// Publish holds the keys to write per relation.
	Publish map[juju.RelationID]juju.Databag
	// Files is the content of every managed file that is to exist, Tried that of the
	// fragment as Trial says; empty for none.
	Files map[string]string
	Tried string
}

// Decide derives it. The error is a *status.Blocked, *status.Waiting or *config.Invalid when
// somebody must act; with it come the claims that were weighed until then, the refused one
// among them.
func Decide(o facts.Observed) (Desired, error) {
	o.Machine = o.Machine.Indexed()
	d := Desired{Files: map[string]string{}, Publish: map[juju.RelationID]juju.Databag{}}
	d.self = learn(o)
	if d.Mode != Serving {
		if o.Upgrades() {
			d.takeBack(o)
		}
		return d, nil
	}
	if o.Machine.Unread != nil {
		return d, &status.Blocked{Message: status.Say(status.LaterRecord, "APPLICATION", d.Layout.Application).Message}
	}
	if err := d.goBy(o); err != nil {
		return d, err
	}
	if d.Mode == Serving {
		var err error
		if d.Routers, err = d.share(o, d.decide(o, 0)); err != nil {
			return d, err
		}
		o.Machine.Interfaces = o.Machine.Without(d.floating)
		o.Machine = o.Machine.Indexed()
		if err := d.arrange(o); err != nil {
			return d, err
		}
		d.Trial, d.Watch = d.trial(o), d.checker(o)
		if err := d.judge(o); err != nil {
			return d, err
		}
	}
	d.publish(o)
	return d, nil
}

// LooksAgain tells that this unit has to look again soon: a peer was seen to hold
// virtual IPs beside it, or the daemon or the unit waits for what nobody tells of.
func (d Desired) LooksAgain(m facts.Machine) bool {
	return d.shares() || d.lingers || m.Scarce.Limit > 0 || d.AnyRouter(func(r Router) bool { return r.Soon })
}
