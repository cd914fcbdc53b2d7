package reconcile

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// macs are those of the interfaces that the virtual IPs are on.
func (d Desired) macs(m Machine) []string {
	var list []string
	for _, i := range m.Interfaces {
		if i.MAC != "" && !slices.Contains(list, i.MAC) && (i.Name == d.speaks || slices.Contains(d.interfaces, i.Name)) {
			list = append(list, i.MAC)
		}
	}
	slices.Sort(list)
	return list
}

// view is what this unit knows by itself of what it looks at.
func (d Desired) view(o Observed) conflict.View {
	v := conflict.View{
		Runs: d.routers[0].Run, Interface: d.speaks, VirtualIPs: d.addresses(),
		Incomplete: o.Planned > 1+len(d.peers)+len(o.untoldPeers()),
		Listened:   o.Look.Listened,
	}
	if d.begins || len(d.newRouters()) == 0 {
		v.Routers = routerIDs(v.Runs, d.addresses())
	} else {
		v.Runs, v.Routers = d.routers[0].Wanted, d.newRouters()
	}
	for _, r := range d.routers {
		state, _ := d.state(o.Machine, r)
		v.Estranged = v.Estranged || d.estranged(o.Machine, r, state)
		switch {
		case state.State == keepalived.Master:
			v.Held = append(v.Held, r.addresses()...)
		case state.State == keepalived.Backup && state.MasterPriority > 0:
			v.Followed = append(v.Followed, r.addresses()...)
		}
	}
	for _, p := range slices.Concat(d.peers, o.untoldPeers()) {
		one := conflict.Peer{Name: p.unit.String(), Addresses: p.own(), MACs: p.member.MACs, Routers: d.toldRouters(p.member)}
		if p.Serves {
			one.Runs = &p.Runs
		}
		if p.Unread() {
			one.Routers = v.Routers // whatever it sends is not a stranger's
		}
		v.Peers = append(v.Peers, one)
	}
	return v
}

// toldRouters lists the virtual router IDs that a unit told it uses or is about to use.
func (d Desired) toldRouters(m endpoint.Member) []vrrp.VirtualRouterID {
	var ids []vrrp.VirtualRouterID
	for _, r := range append(slices.Collect(maps.Values(m.More)), m.Word) {
		if r.Serves && !r.Unread() {
			ids = append(ids, routerIDs(r.Runs, d.addresses())...)
		}
		for _, a := range []*group.Announcement{r.Next, r.Aside.Announcement()} {
			if a != nil {
				ids = append(ids, routerIDs(a.Parameters, d.addresses())...)
			}
		}
	}
	return ids
}

// estranged tells that this unit follows a holder that is no unit of its group that
// serves: the rank in its advertisements is another application's. Both began at the
// same time, so neither heard the other when it looked.
func (d Desired) estranged(m Machine, r router, state keepalived.InstanceState) bool {
	if r.usurper(m, state) != nil {
		return true
	}
	c, ours := vrrp.Read(state.MasterPriority)
	return d.related && ours && state.State == keepalived.Backup && !r.Mixed() &&
		!slices.ContainsFunc(r.peers, func(p peer) bool { return p.Serves && r.turns.of(p.rank) == c.Rank })
}

// untoldPeers are units in the peer relation that have told nothing themselves yet,
// such as those that a conflict keeps out; Juju tells their addresses.
func (o Observed) untoldPeers() []peer {
	var list []peer
	for _, r := range o.Relations {
		if r.Endpoint != endpoint.Cluster {
			continue
		}
		for u, m := range r.Members {
			if m.Silent && m.Ingress.IsValid() {
				list = append(list, peer{unit: u, addresses: []netip.Addr{m.Ingress}})
			}
		}
	}
	slices.SortFunc(list, func(a, b peer) int { return a.unit.Number - b.unit.Number })
	return list
}

// judge keeps a unit from claiming what others use; what it has already it goes on
// to serve, and says what is wrong.
func (d *Desired) judge(o Observed) error {
	file := d.Layout.Conflicts()
	if o.Look == nil {
		if text, ok := o.Machine.Files[file]; ok {
			d.Files[file] = text
		}
		return nil
	}
	view := d.view(o)
	d.free = d.freeRouter(o, view)
	// A peer that serves may have a virtual IP; its own address it must keep.
	for _, a := range d.newAddresses() {
		for _, answer := range o.Look.Asked(a) {
			if near := view.Near(*o.Look, answer.By); d.owns(near, a) {
				if err := d.refuse(taken(o, a, near), func(c Claim) bool { return c.Asks && c.Address == a }); err != nil {
					return err
				}
			}
		}
	}
	for _, f := range conflict.Judge(view, *o.Look) {
		if c, are := d.against(f); are != nil {
			if err := d.refuse(refusal(d.word(c, f, d.addresses())), are); err != nil {
				return err
			}
		}
		if f.Kind != conflict.RouterMaybeTaken && f.Kind != conflict.AddressMaybeTaken && f.Kind != conflict.HolderUnheard {
			d.found = append(d.found, f)
		}
	}
	if len(d.found) > 0 {
		d.Files[file] = strings.TrimPrefix(d.conflicts(), "; ") + "\n"
	}
	return nil
}

// owns tells that a peer says an address is its own.
func (d Desired) owns(unit string, a netip.Addr) bool {
	return slices.ContainsFunc(d.peers, func(p peer) bool { return p.unit.String() == unit && slices.Contains(p.addresses, a) })
}

// shares tells that a peer was seen to hold virtual IPs beside this unit.
func (d Desired) shares() bool {
	return slices.ContainsFunc(d.found, func(f conflict.Finding) bool { return f.Kind == conflict.TwoHolders })
}

// freeRouter suggests a virtual router ID.
func (d Desired) freeRouter(o Observed, v conflict.View) vrrp.VirtualRouterID {
	return conflict.Free(*o.Look, v.Runs.Anchor.Is6(), v.Runs.VirtualRouterID, len(routerIDs(v.Runs, d.addresses())), d.usedHere(o))
}

// usedHere lists the virtual router IDs of others on this machine.
func (d Desired) usedHere(o Observed) []vrrp.VirtualRouterID {
	var ids []vrrp.VirtualRouterID
	for _, other := range o.Machine.Others {
		for _, c := range other.Claims {
			ids = append(ids, c.VirtualRouterID)
		}
	}
	return ids
}

// against tells which claims a finding speaks against, and in which words; nil for none.
func (d Desired) against(f conflict.Finding) (condition, func(Claim) bool) {
	router := func(c Claim) bool { return c.Asks && c.Router != 0 && c.Router == f.Said.VirtualRouterID }
	address := func(c Claim) bool { return c.Asks && c.Router == 0 && c.Address == f.Address }
	// Who serves already and does not hear the holder is another's concern, or its own.
	begins := func(c Claim) bool { return d.begins && !c.Held }
	switch f.Kind {
	case conflict.RouterTaken:
		return routerTaken, router
	case conflict.RouterMaybeTaken:
		return routerMaybeTaken, router
	case conflict.AddressTaken:
		return addressTaken, address
	case conflict.AddressMaybeTaken:
		return addressMaybeTaken, address
	case conflict.HolderUnheard:
		if f.Path == conflict.Dropped {
			return holderDropped, begins
		}
		return holderUnheard, begins
	}
	return 0, nil
}

// word puts a finding in words.
func (d Desired) word(c condition, f conflict.Finding, vips []netip.Addr) juju.Status {
	free := fmt.Sprint(d.free)
	if d.free == 0 {
		free = "(none is free)"
	}
	return say(c, "APPLICATION", d.Layout.Application, "HOST", f.Host.String(), "UNIT", f.Peer, "ADDRESSES", list(vips), "ADDRESS", f.Address.String(),
		"ID", fmt.Sprint(f.Said.VirtualRouterID), "FREE", free)
}

// conflicts tells what is wrong while this unit serves; empty when nothing is.
func (d Desired) conflicts() string {
	if len(d.found) == 0 {
		return ""
	}
	c := map[conflict.Kind]condition{conflict.RouterTaken: alsoRouter, conflict.AddressTaken: alsoAddress}[d.found[0].Kind]
	if d.found[0].Kind == conflict.TwoHolders {
		c = map[conflict.Path]condition{conflict.Lost: alsoHolds, conflict.Dropped: alsoHoldsDropped, conflict.Arrives: alsoHoldsDeaf}[d.found[0].Path]
	}
	message := d.word(c, d.found[0], d.addresses()).Message
	if more := len(d.found) - 1; more > 0 {
		message += say(moreConflicts, "COUNT", fmt.Sprint(more), "UNIT", d.unit.String()).Message
	}
	return message
}

// misplaced tells of a virtual IP on an interface of another subnet although an
// interface of its own is there: who looks for it there is not told when it moves.
func (d Desired) misplaced(m Machine) string {
	m.Interfaces = m.subnets()
	for _, p := range d.placed() {
		if m.onLink(p.Interface, p.Addr()) {
			continue
		}
		for _, i := range m.Interfaces {
			if m.rank(i) != unsuited && i.Name != p.Interface && m.onLink(i.Name, p.Addr()) {
				return say(wrongInterface, "ADDRESS", p.Addr().String(), "OTHER", i.Name, "INTERFACE", p.Interface).Message
			}
		}
	}
	return ""
}

// unplaced asks about a virtual IP in the subnet of no interface, unless the operator
// said how to place it. While its interface has lost its address nothing tells.
func (d Desired) unplaced(m Machine) string {
	m.Interfaces = m.without(Observed{Machine: m}.floating())
	sized := map[netip.Addr]bool{}
	for _, v := range d.options.VirtualIPs {
		sized[v.Addr()] = v.Sized
	}
	for _, p := range d.placed() {
		said := d.options.Interface != "" || sized[p.Addr()]
		found := slices.ContainsFunc(m.Interfaces, func(i Interface) bool { return m.rank(i) != unsuited && m.onLink(i.Name, p.Addr()) })
		if !said && !found && !m.bare(p.Interface) && m.lacksAddress(p.Interface, p.Addr().Is6()) == "" {
			return say(noSubnet, "ADDRESS", p.Addr().String()).Message
		}
	}
	return ""
}

// subnets returns the interfaces with those of their addresses alone that have a subnet.
func (m Machine) subnets() []Interface {
	var list []Interface
	for _, i := range m.Interfaces {
		i.Addresses = slices.DeleteFunc(slices.Clone(i.Addresses), netip.Prefix.IsSingleIP)
		list = append(list, i)
	}
	return list
}
