package decide

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

// self is what a unit is, goes by and knows of others.
type self struct {
	Mode    Mode
	Layout  layout.Layout
	Unit    juju.Unit
	Options config.Options
	// asked are the virtual IPs of the options that the unit took last.
	asked map[netip.Prefix]bool
	// named are the interfaces that are named for single virtual IPs.
	named map[netip.Addr]string
	// secret is the password of VRRP version 2; empty for none.
	secret string
	// asks tells that the principal unit asks for virtual IPs.
	asks bool
	// Lacks is why the unit has nothing to serve; nil where it is for want of option
	// virtual_ip.
	Lacks error
	// Paused tells that an operator keeps this unit out of the election.
	Paused bool
	// Before3 tells Juju 2.9, where actions are run by another command.
	Before3 bool
	// begins tells that the unit serves nothing yet, unconfirmed that the health checker waits
	// for a hook to look at its configuration, as it does after a boot.
	begins, unconfirmed bool
	// own are the machine's own addresses, floating those that keepalived may have put there.
	own      []netip.Addr
	floating map[netip.Addr]bool
	// Related tells that there is a peer relation, Unbound that its network space has no
	// address on this machine.
	Related, Unbound bool
	// told is what this unit told its peers before.
	told  endpoint.Member
	Peers []Peer
	rank  vrrp.Rank
	// others are units beside which this one serves, and no peers.
	others map[juju.Unit]endpoint.Member
	// Owner is the other unit of the application that serves on this machine; zero: none.
	// Beside is this unit's principal then.
	Owner, Beside juju.Unit
	// knows is whom this unit tells that it knows, unaware are those who do not know of it.
	knows   group.Known
	unaware []juju.Unit
	// former are addresses that unicast advertisements go to, whoever is a peer now.
	former []netip.Addr
	// lingers tells that some peer is one that Juju lists no more: no hook tells when it has left.
	lingers bool
	// leaving tells a unit whose peers are being taken away.
	leaving bool
	ledger
}

// learn takes what no option changes from what was read.
func learn(o facts.Observed) self {
	return self{
		Mode:        modeFor(o),
		Layout:      o.Layout(),
		Unit:        o.Event.Unit,
		asks:        o.Request() != nil,
		Paused:      o.Machine.Paused,
		Before3:     before3(o.Event.Version),
		unconfirmed: o.Machine.Booted || slices.Contains(o.Machine.Owed, step.RestartChecker),
		Related:     o.Related(),
		Unbound:     len(o.Ingress) == 0,
		told:        o.Told(),
		Peers:       Peers(o),
		others:      others(o),
	}
}

// goBy takes the options, and what depends on them. A unit without a virtual IP is idle.
func (d *self) goBy(o facts.Observed) error {
	if o.Options.Fault != nil {
		return o.Options.Fault
	}
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
		return nil
	}
	if err := d.claimPassword(o); err != nil {
		return err
	}
	d.former, d.leaving, d.lingers = formerly(o), o.Leaving(), slices.ContainsFunc(d.Peers, func(p Peer) bool { return p.left })
	d.knows, d.unaware = acquainted(o, d.Peers, true)
	return nil
}
