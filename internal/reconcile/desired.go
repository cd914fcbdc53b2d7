package reconcile

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
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

// modeOf returns the mode that an event asks for, before options are looked at.
func modeOf(h hooks.Kind) Mode {
	switch h {
	case hooks.Stop, hooks.PreSeriesUpgrade:
		return Released
	case hooks.Remove:
		return Gone
	}
	return Serving
}

// mode returns what the unit is to be, before options are looked at.
func (o Observed) mode() Mode {
	mode := modeOf(o.Event.Hook)
	if mode == Serving && (o.upgrades() || o.stopped()) {
		return Released
	}
	return mode
}

// stopped tells that the unit has run stop or remove. Juju stops no unit of a machine but
// one that it removes, yet hooks may follow: the peer relation's broken, and whatever an
// agent that was restarted begins with, start included after a reboot. Only install
// begins a unit anew.
func (o Observed) stopped() bool { return o.Machine.Stopped && o.Event.Hook != hooks.Install }

// upgrades tells that the machine's base is being upgraded. A new charm is given another
// chance, whatever became of that, and one that has ended needs no mark of it.
func (o Observed) upgrades() bool {
	switch o.Event.Hook {
	case hooks.PreSeriesUpgrade:
		return true
	case hooks.PostSeriesUpgrade, hooks.UpgradeCharm, hooks.Stop:
		return false
	}
	_, marked := o.Machine.Files[o.layout().Upgrading()]
	return marked
}

// NeedsModel tells whether a hook looks at options and relations at all; the
// last hooks of a unit do not.
func NeedsModel(o Observed) bool { return modeOf(o.Event.Hook) == Serving && !o.stopped() }

// Blocked is a condition that only the operator can end. The unit keeps its last
// good configuration.
type Blocked struct{ Message string }

// Error returns the message that juju status shows.
func (b *Blocked) Error() string { return b.Message }

// Waiting is a condition that somebody or something else ends. The unit keeps its
// last good configuration meanwhile.
type Waiting struct{ Message string }

// Error returns the message that juju status shows.
func (w *Waiting) Error() string { return w.Message }

// Desired is the whole state that the unit is to be in.
type Desired struct {
	Mode   Mode
	Layout Layout
	// Files is the content of every managed file that is to exist.
	Files map[string]string
	// Publish holds the keys to write per relation.
	Publish map[juju.RelationID]juju.Databag

	options config.Options
	// asked are the virtual IPs of the options that the unit took last.
	asked map[netip.Prefix]bool
	rank  vrrp.Rank
	peers []peer
	// routers are the virtual routers that the unit has a part in, by number: one, or with
	// option spread several. There is the first of them while the unit serves.
	routers []router
	// former are addresses that unicast advertisements go to, whoever is a peer now.
	former []netip.Addr
	// interfaces are those that the instance needs: without one of them it is in
	// the FAULT state.
	interfaces []string
	// chosenFor is the interface of each virtual IP.
	chosenFor map[netip.Addr]string
	// related tells that there is a peer relation.
	related bool
	// Spread tells that each virtual IP has a virtual router and returns to the unit whose
	// turn it is, ends that there is to be one for all again, gathers that this unit is about
	// to hold all of them for that.
	Spread        bool
	ends, gathers bool
	// first are the parameters of the first of several.
	first vrrp.Parameters
	// leaving tells a unit whose peers are being taken away.
	leaving bool
	// paused tells that an operator keeps this unit out of the election.
	paused bool
	unit   juju.Unit
	// before3 tells Juju 2.9, where actions are run by another command.
	before3 bool
	// secret is the password of VRRP version 2; empty for none.
	secret string
	// told is what this unit told its peers before.
	told endpoint.Member
	// unconfirmed tells that the health checker waits for a hook to look at its
	// configuration, as it does after a boot.
	unconfirmed bool
	// speaks is the interface where advertisements travel.
	speaks string
	// address is where peers send unicast advertisements to this unit; mute tells that the
	// machine has none now.
	address netip.Addr
	mute    bool
	// watch is what the health checker is told.
	watch healthcheck.Config
	// Claims are what the unit wants of what is around it.
	Claims []Claim
	// begins tells that the unit serves nothing yet; found is what a look at the network
	// found wrong with what it serves.
	begins bool
	found  []conflict.Finding
	// own are the machine's own addresses, floating those that keepalived may have put there.
	own      []netip.Addr
	floating map[netip.Addr]bool
	// intruded are settings of the machine's owner that break virtual IPs.
	intruded []intrusion
	// owner is the other unit of the application that serves on this machine; zero: none.
	// beside is this unit's principal then.
	owner, beside juju.Unit
	// free is a virtual router ID that nobody was heard to use.
	free vrrp.VirtualRouterID
}

// Desire derives the wanted state. The error is a *Blocked or *config.Invalid
// when the operator must act, a fault of the charm otherwise.
func Desire(o Observed) (Desired, error) {
	d, err := Decide(o)
	if err == nil && d.Mode == Serving {
		err = d.render(o)
	}
	if err != nil {
		return Desired{}, err
	}
	return d, nil
}

// Decide is Desire without the text of any file. With an error come the claims that were
// weighed until then, the refused one among them.
func Decide(o Observed) (Desired, error) {
	o.Machine = o.Machine.indexed()
	d := Desired{
		Mode:        o.mode(),
		Layout:      o.layout(),
		Files:       map[string]string{},
		Publish:     map[juju.RelationID]juju.Databag{},
		peers:       o.peers(),
		related:     o.related(),
		paused:      o.Machine.Paused,
		unit:        o.Event.Unit,
		before3:     before3(o.Event.Version),
		told:        o.told(),
		unconfirmed: o.Machine.Booted || slices.Contains(o.Machine.Owed, RestartChecker),
	}
	if d.Mode != Serving {
		return d, nil
	}
	if o.Machine.Unread != nil {
		return d, &Blocked{Message: say(laterRecord, "APPLICATION", d.Layout.Application).Message}
	}
	if o.Options.Fault != nil {
		return d, o.Options.Fault
	}
	var err error
	d.options, d.asked = o.Options.Options, map[netip.Prefix]bool{}
	for _, v := range o.Machine.Used().VirtualIPs {
		d.asked[v.Prefix] = true
	}
	d.rank = o.rank(d.peers)
	d.floating, d.begins = o.floating(), !o.Machine.Applied.Serves()
	d.own = o.ownAddresses(d.floating, d.copies(o.Machine))
	if owner, taken := o.Owner(); taken {
		d.owner, d.beside = owner, o.Event.Principal
		d.options.VirtualIPs = nil // which that unit serves
	}
	if len(d.options.VirtualIPs) == 0 {
		d.Mode = Idle
	} else {
		if err := d.claimPassword(o); err != nil {
			return d, err
		}
		d.former, d.leaving = o.former(), o.leaving()
		if d.routers, err = d.share(o, d.decide(o, 0)); err != nil {
			return d, err
		}
		o.Machine.Interfaces = o.Machine.without(d.floating)
		o.Machine = o.Machine.indexed()
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

// Shown is what juju status shows: what the unit does, after what it cannot have.
func (d Desired) Shown(o Observed) juju.Status {
	if o.Refusal == nil {
		o.Refusal = d.finding()
	}
	return o.Shown(d.Status(o.Machine))
}

func (o Observed) layout() Layout { return Layout{Application: o.Event.Unit.Application} }

// floating tells the addresses that keepalived may have put on this machine:
// those that this unit applied, those of neighbours and the Python charm included.
// The daemon itself may hold others: those of files that were changed since it
// read them.
func (o Observed) floating() map[netip.Addr]bool {
	floating := maps.Clone(o.Machine.Placed)
	if floating == nil {
		floating = map[netip.Addr]bool{}
	}
	for _, i := range o.Machine.Instances {
		for _, a := range i.Addresses {
			floating[a] = true
		}
	}
	return floating
}

// without returns the interfaces without those addresses.
func (m Machine) without(floating map[netip.Addr]bool) []Interface {
	var list []Interface
	for _, i := range m.Interfaces {
		i.Addresses = slices.DeleteFunc(slices.Clone(i.Addresses), func(p netip.Prefix) bool { return floating[p.Addr()] })
		list = append(list, i)
	}
	return list
}

// taken refuses a virtual IP that is a unit's own address: keepalived would take the
// address away from its owner. What a peer says of its own addresses is told (alsoOwn);
// when it answers there as well, a look at the network refuses.
func taken(o Observed, v netip.Addr, unit string) error {
	return &config.Invalid{Option: "virtual_ip", Value: o.Options.Written("virtual_ip"),
		Must: "a free address, " + v.String() + " is the own address of " + unit}
}

// owned tells of virtual IPs that a peer says are its own addresses.
func (d Desired) owned() []string {
	var texts []string
	for _, v := range d.addresses() {
		for _, p := range d.peers {
			if slices.Contains(p.addresses, v) {
				texts = append(texts, say(alsoOwn, "ADDRESS", v.String(), "UNIT", p.unit.String()).Message)
			}
		}
	}
	return texts
}
