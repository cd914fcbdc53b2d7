// Package decide says what a unit is to be: from all that a hook has read it derives what
// the unit claims and is granted, the virtual routers that it has a part in, where their
// virtual IPs are, and what it tells others. It does no I/O and renders no text.
package decide

import (
	"net/netip"
	"slices"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/step"
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
	Mode   Mode
	Layout layout.Layout
	// Files is the content of every managed file that is to exist, Tried that of the
	// fragment as Trial says; empty for none.
	Files map[string]string
	Tried string
	// Publish holds the keys to write per relation.
	Publish map[juju.RelationID]juju.Databag

	Options config.Options
	// asked are the virtual IPs of the options that the unit took last.
	asked map[netip.Prefix]bool
	// named are the interfaces that are named for single virtual IPs.
	named map[netip.Addr]string
	rank  vrrp.Rank
	Peers []Peer
	// others are units beside which this one serves, and no peers.
	others map[juju.Unit]endpoint.Member
	// asks tells that the principal unit asks for virtual IPs.
	asks bool
	// Routers are the virtual routers that the unit has a part in, by number: one, or with
	// option spread several. There is the first of them while the unit serves.
	Routers []Router
	// former are addresses that unicast advertisements go to, whoever is a peer now.
	former []netip.Addr
	// Links are those that the instance needs: without one of them it is in
	// the FAULT state.
	Links []string
	// seats are those of what the unit runs, later those of what it wants.
	seats
	later seats
	// Trial are the VRRP instances as they are to be after a change that is announced now:
	// keepalived tests them before anybody stands aside for it.
	Trial []keepalived.VRRPInstance
	// Related tells that there is a peer relation, Unbound that its network space has no
	// address on this machine.
	Related, Unbound bool
	// Spread tells that each virtual IP has a virtual router and returns to the unit whose
	// turn it is, ends that there is to be one for all again, gathers that this unit is about
	// to hold all of them for that.
	Spread        bool
	ends, gathers bool
	// first are the parameters of the first of several.
	first vrrp.Parameters
	// lingers tells that some peer is one that Juju lists no more: no hook tells when it has left.
	lingers bool
	// leaving tells a unit whose peers are being taken away.
	leaving bool
	// Paused tells that an operator keeps this unit out of the election.
	Paused bool
	Unit   juju.Unit
	// Before3 tells Juju 2.9, where actions are run by another command.
	Before3 bool
	// secret is the password of VRRP version 2; empty for none.
	secret string
	// told is what this unit told its peers before.
	told endpoint.Member
	// knows is whom this unit tells that it knows, unaware are those who do not know of it.
	knows   group.Known
	unaware []juju.Unit
	// unconfirmed tells that the health checker waits for a hook to look at its
	// configuration, as it does after a boot.
	unconfirmed bool
	// address is where peers send unicast advertisements to this unit; mute tells that the
	// machine has none now.
	address netip.Addr
	mute    bool
	// Watch is what the health checker is told.
	Watch healthcheck.Config
	// Claims are what the unit wants of what is around it.
	Claims []Claim
	// begins tells that the unit serves nothing yet; found is what a look at the network
	// found wrong with what it serves.
	begins bool
	Found  []conflict.Finding
	// own are the machine's own addresses, floating those that keepalived may have put there.
	own      []netip.Addr
	floating map[netip.Addr]bool
	// Intruded are settings of the machine's owner that break virtual IPs.
	Intruded []Intrusion
	// Lacks is why the unit has nothing to serve; nil where it is for want of option
	// virtual_ip.
	Lacks error
	// Owner is the other unit of the application that serves on this machine; zero: none.
	// Beside is this unit's principal then.
	Owner, Beside juju.Unit
	// Free is a virtual router ID that nobody was heard to use.
	Free vrrp.VirtualRouterID
}

// Decide derives it. The error is a *status.Blocked, *status.Waiting or *config.Invalid when
// somebody must act; with it come the claims that were weighed until then, the refused one
// among them.
func Decide(o facts.Observed) (Desired, error) {
	o.Machine = o.Machine.Indexed()
	d := Desired{
		Mode:        modeFor(o),
		Layout:      o.Layout(),
		Files:       map[string]string{},
		Publish:     map[juju.RelationID]juju.Databag{},
		Peers:       Peers(o),
		others:      others(o),
		asks:        o.Request() != nil,
		Related:     o.Related(),
		Unbound:     len(o.Ingress) == 0,
		Paused:      o.Machine.Paused,
		Unit:        o.Event.Unit,
		Before3:     before3(o.Event.Version),
		told:        o.Told(),
		unconfirmed: o.Machine.Booted || slices.Contains(o.Machine.Owed, step.RestartChecker),
	}
	if d.Mode != Serving {
		if o.Upgrades() {
			d.takeBack(o)
		}
		return d, nil
	}
	if o.Machine.Unread != nil {
		return d, &status.Blocked{Message: status.Say(status.LaterRecord, "APPLICATION", d.Layout.Application).Message}
	}
	if o.Options.Fault != nil {
		return d, o.Options.Fault
	}
	var err error
	d.Options, d.asked = o.Options.Options, map[netip.Prefix]bool{}
	for _, v := range o.Machine.Used().VirtualIPs {
		d.asked[v.Prefix] = true
	}
	d.named = map[netip.Addr]string{}
	for _, v := range d.Options.VirtualIPs {
		d.named[v.Addr()] = v.Interface
	}
	d.rank = rankOf(o, d.Peers)
	d.floating, d.begins = o.Floating(), !o.Machine.Applied.Serves()
	d.own = ownAddresses(o, d.floating, d.copies(o.Machine))
	if owner, taken := o.Owner(); taken {
		d.Owner, d.Beside = owner, o.Event.Principal
		d.Options.VirtualIPs = nil // which that unit serves
	}
	if len(d.Options.VirtualIPs) == 0 {
		d.Mode, d.Lacks = Idle, o.Lacks
		d.knows, _ = acquainted(o, d.Peers, false)
	} else {
		if err := d.claimPassword(o); err != nil {
			return d, err
		}
		d.former, d.leaving, d.lingers = formerly(o), o.Leaving(), slices.ContainsFunc(d.Peers, func(p Peer) bool { return p.left })
		d.knows, d.unaware = acquainted(o, d.Peers, true)
		if d.Routers, err = d.share(o, d.decide(o, 0)); err != nil {
			return d, err
		}
		o.Machine.Interfaces = o.Machine.Without(d.floating)
		o.Machine = o.Machine.Indexed()
		if err := d.arrange(o); err != nil {
			return d, err
		}
		if err := d.judge(o); err != nil {
			return d, err
		}
	}
	d.publish(o)
	return d, nil
}

// taken refuses a virtual IP that is a unit's own address: keepalived would take the
// address away from its owner. What a peer says of its own addresses is told (alsoOwn);
// when it answers there as well, a look at the network refuses.
func taken(o facts.Observed, v netip.Addr, unit string) error {
	return o.Options.WrongVirtualIPs("a free address, " + v.String() + " is the own address of " + unit)
}

// LooksAgain tells that this unit has to look again soon: a peer was seen to hold
// virtual IPs beside it, or the daemon or the unit waits for what nobody tells of.
func (d Desired) LooksAgain(m facts.Machine) bool {
	return d.shares() || d.lingers || m.Scarce.Limit > 0 || d.AnyRouter(func(r Router) bool { return r.Soon })
}
