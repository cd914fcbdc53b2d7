package reconcile

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
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

// NeedsModel tells whether a hook looks at options and relations at all; the
// last hooks of a unit do not.
func NeedsModel(h hooks.Kind) bool { return modeOf(h) == Serving }

// Blocked is a condition that only the operator can end. The unit keeps its last
// good configuration.
type Blocked struct{ Message string }

// Error returns the message that juju status shows.
func (b *Blocked) Error() string { return b.Message }

// Desired is the whole state that the unit is to be in.
type Desired struct {
	Mode   Mode
	Layout Layout
	// Files is the content of every managed file that is to exist.
	Files map[string]string
	// Publish holds the keys to write per relation.
	Publish map[juju.RelationID]juju.Databag

	options   config.Options
	rank      vrrp.Rank
	peers     []peer
	principal string
	agreement agreement
	// former are addresses that unicast advertisements go to, whoever is a peer now.
	former []netip.Addr
	// interfaces are those that the instance needs: without one of them it is in
	// the FAULT state.
	interfaces []string
	// related tells that there is a peer relation.
	related bool
	// paused tells that an operator keeps this unit out of the election.
	paused bool
	unit   juju.Unit
	// secret is the password of VRRP version 2; empty for none.
	secret string
	// told is what this unit told its peers before.
	told endpoint.Member
	// unconfirmed tells that the health checker waits for a hook to look at its
	// configuration, as it does after a boot.
	unconfirmed bool
	// address is where peers send unicast advertisements to this unit.
	address netip.Addr
}

// Desire derives the wanted state. The error is a *Blocked or *config.Invalid
// when the operator must act, a fault of the charm otherwise.
func Desire(o Observed) (Desired, error) {
	d := Desired{
		Mode:        modeOf(o.Event.Hook),
		Layout:      Layout{o.Event.Unit.Application},
		Files:       map[string]string{},
		Publish:     map[juju.RelationID]juju.Databag{},
		peers:       o.peers(),
		related:     o.related(),
		paused:      o.Machine.Paused,
		unit:        o.Event.Unit,
		told:        o.told(),
		unconfirmed: o.Machine.Booted || slices.Contains(o.Machine.Owed, RestartChecker),
		principal:   o.Event.Principal.Application,
	}
	if d.Mode != Serving {
		return d, nil
	}
	var err error
	if d.options, err = config.Parse(o.Options); err != nil {
		return Desired{}, err
	}
	d.rank = o.rank(d.peers)
	floating := o.floating()
	own := o.ownAddresses(floating)
	if len(d.options.VirtualIPs) == 0 {
		d.Mode = Idle
	} else {
		if err := d.refuseTaken(o, own); err != nil {
			return Desired{}, err
		}
		if d.secret, err = d.password(o); err != nil {
			return Desired{}, err
		}
		d.agreement, d.former = d.agree(o), o.former()
		o.Machine.Interfaces = o.Machine.without(floating)
		if err := d.render(o, own); err != nil {
			return Desired{}, err
		}
	}
	d.publish(o, own)
	return d, nil
}

// floating tells the addresses that keepalived may have put on this machine:
// those of the installed configuration, neighbours and the Python charm included.
// The daemon itself may hold others: those of files that were changed since it
// read them.
func (o Observed) floating() map[netip.Addr]bool {
	floating := map[netip.Addr]bool{}
	texts := slices.Concat(slices.Collect(maps.Values(o.Machine.Files)), slices.Collect(maps.Values(o.Machine.Neighbours)))
	for _, text := range texts {
		for _, a := range keepalivedAddresses(text) {
			floating[a] = true
		}
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

// refuseTaken refuses virtual IPs that are some unit's own address: keepalived
// would take the address away from its owner.
func (d Desired) refuseTaken(o Observed, own []netip.Addr) error {
	for _, v := range d.options.VirtualIPs {
		owner := ""
		if slices.Contains(own, v.Addr()) {
			owner = o.Event.Unit.String()
		}
		for _, p := range d.peers {
			if slices.Contains(p.addresses, v.Addr()) {
				owner = p.unit.String()
			}
		}
		if owner != "" {
			return &config.Invalid{Option: "virtual_ip", Value: fmt.Sprint(o.Options["virtual_ip"]),
				Must: "a free address, " + v.Addr().String() + " is the own address of " + owner}
		}
	}
	return nil
}

// interfaceFor chooses the interface of a virtual IP: the option, else the one
// with the smallest subnet that holds the address, else the default route's, or
// another one when endpoint cluster is bound to a network space without it. An
// interface in use that is not there (yet, after a boot) stays the choice:
// keepalived waits for it.
func (d Desired) interfaceFor(o Observed, v netip.Addr) (string, error) {
	m := o.Machine
	if name := d.pythonInterface(m); name != "" {
		return name, nil
	}
	inUse := keepalived.InterfaceOf(m.Files[d.Layout.Fragment()], v)
	if name := d.options.Interface; name != "" {
		if name != inUse && !slices.ContainsFunc(m.Interfaces, func(i Interface) bool { return i.Name == name }) {
			return "", &config.Invalid{Option: "network_interface", Value: name, Must: "an interface of this machine" + m.names()}
		}
		return name, nil
	}
	best, name := -1, o.fallback(v.Is6())
	for _, i := range m.Interfaces {
		for _, p := range i.Addresses {
			if config.Interface(i.Name) && p.Addr() != v && p.Bits() > best && p.Bits() < v.BitLen() && p.Masked().Contains(v) {
				best, name = p.Bits(), i.Name
			}
		}
	}
	if best < 0 && inUse != "" && m.bare(inUse) {
		name = inUse
	}
	if !config.Interface(name) {
		return "", &Blocked{"no interface for virtual IP " + v.String() +
			": no subnet of this machine holds it and there is no default route; set option network_interface"}
	}
	return name, nil
}

// fallback is the interface for a virtual IP that no subnet holds; may be empty.
func (o Observed) fallback(six bool) string {
	name := o.Machine.DefaultInterface4
	if six {
		name = o.Machine.DefaultInterface6
	}
	if name == "" || len(o.Bound) == 0 || slices.Contains(o.Bound, name) {
		return name
	}
	for _, i := range o.Machine.Interfaces {
		if slices.Contains(o.Bound, i.Name) && slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool {
			return p.Addr().Is6() == six && !p.Addr().IsLinkLocalUnicast()
		}) {
			return i.Name
		}
	}
	return name
}

// bare tells that an interface is missing, or has no address but link-local ones.
func (m Machine) bare(name string) bool {
	return !slices.ContainsFunc(m.Interfaces, func(i Interface) bool {
		return i.Name == name && slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return !p.Addr().IsLinkLocalUnicast() })
	})
}

// names lists the machine's interfaces for a status line, the first few.
func (m Machine) names() string {
	const most = 6
	var names []string
	for _, i := range m.Interfaces {
		if config.Interface(i.Name) {
			names = append(names, i.Name)
		}
	}
	if len(names) > most {
		names = append(names[:most], "...")
	}
	return " (" + strings.Join(names, ", ") + ")"
}

// member is what this unit tells its peers.
func (d Desired) member(o Observed, own []netip.Addr) endpoint.Member {
	m := endpoint.Member{Principal: o.Event.Principal, Rank: int(d.rank)}
	// Only what Juju lists: the kernel's may come and go, with a hook on every peer.
	for _, a := range own {
		if slices.Contains(o.Ingress, a.String()) {
			m.Addresses = append(m.Addresses, a)
		}
	}
	if d.Mode == Serving {
		m.Address = d.address
		m.Lists = d.sendsTo()
		m.Runs = &d.agreement.run
		m.Next = d.agreement.next
		if m.Round = d.told.Round; m.Next != nil {
			m.Round = m.Next.Round
		}
		if m.Aside = d.agreement.aside; m.Aside == "" && d.paused {
			m.Aside = untilResumed
		}
		m.Since = o.told().Since
		if began := d.reign(o.Machine); began > 0 && d.master(o.Machine) {
			m.Since = began
		}
	}
	return m
}

// unheard tells that a peer would not send its advertisements to this unit yet,
// which would hear nothing from it and take the addresses.
func (d Desired) unheard() bool {
	return d.agreement.run.Mode == vrrp.Unicast && slices.ContainsFunc(d.serving(), func(p peer) bool {
		return !slices.Contains(p.lists, d.address)
	})
}

// publish derives what to write on each relation.
func (d Desired) publish(o Observed, own []netip.Addr) {
	service := endpoint.Service{Hostname: d.options.Hostname, Port: d.options.Port}
	for _, v := range d.options.VirtualIPs {
		service.Addresses = append(service.Addresses, v.Addr())
	}
	for _, r := range o.Relations {
		var want juju.Databag
		switch r.Endpoint {
		case endpoint.Website:
			want = endpoint.HTTP(service, r.Own["ingress-address"])
		case endpoint.LoadBalancer:
			want = endpoint.PublicAddress(service)
		case endpoint.Cluster:
			want = d.member(o, own).Databag()
		default:
			continue
		}
		if len(service.Addresses) == 0 && r.Endpoint != endpoint.Cluster && r.Own["port"] == "" {
			continue // nothing was published, so nothing is withdrawn
		}
		if changes := endpoint.Changes(want, r.Own); len(changes) > 0 {
			d.Publish[r.ID] = changes
		}
	}
}
