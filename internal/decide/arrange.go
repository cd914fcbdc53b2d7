package decide

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/vrrp"
)

// placement is where all that is.
type placement struct {
	agreement
	// seats are those of what the unit runs, later those of what it wants.
	seats
	later seats
	// Links are those that the instance needs: without one of them it is in
	// the FAULT state.
	Links []string
	// address is where peers send unicast advertisements to this unit; mute tells that the
	// machine has none now.
	address netip.Addr
	mute    bool
	// Intruded are settings of the machine's owner that break virtual IPs.
	Intruded []Intrusion
}

// arrange claims what the virtual routers need, and says what each is to be.
func (d *placement) arrange(o facts.Observed) error {
	if err := d.locate(o); err != nil {
		return err
	}
	if err := d.refuseIntrusion(o); err != nil {
		return err
	}
	if err := d.refuseChange(); err != nil {
		return err
	}
	if err := d.claimRouters(o); err != nil {
		return err
	}
	for n := range d.Routers {
		r := &d.Routers[n]
		r.Instance = d.instance(o, *r)
		if r.Aside = d.unready(o, *r); r.Aside != group.TakesPart {
			r.Waits = d.waitsFor(o, *r)
		}
	}
	return nil
}

// unready returns what this unit stands aside for in a router; what it does not know
// or hear yet is part of that.
func (d placement) unready(o facts.Observed, r Router) group.Aside {
	switch a := r.Decision; {
	case a.Aside != group.TakesPart && a.Aside != group.Joins || a.Holds:
		return a.Aside
	case newcomer(o) && o.Planned > 1+len(d.Peers):
		return group.Unknown
	case d.deserted(o, r):
		return group.Leaving
	case d.unheard(r):
		return group.Unheard
	}
	return r.Aside
}

// seats are where the virtual IPs are, and where advertisements travel: where the first
// virtual IP of their family is, those of all routers.
type seats struct {
	chosenFor map[netip.Addr]string
	// Speaks is the interface where advertisements travel.
	Speaks string
}

// locate claims the seats for what the unit runs and, before it announces a change or stands
// aside for one, those that it would have after that.
func (d *placement) locate(o facts.Observed) error {
	one := d.Routers[0]
	six := one.Run.Anchor.Is6()
	var err error
	if d.seats, err = d.claimSeats(o, one.Run); err != nil {
		return err
	}
	if d.later = d.seats; one.Wanted != one.Run {
		if d.later, err = d.claimSeats(o, one.Wanted); err != nil {
			return err
		}
	}
	for _, v := range d.Options.VirtualIPs {
		if name := d.chosenFor[v.Addr()]; !slices.Contains(d.Links, name) {
			d.Links = append(d.Links, name)
		}
	}
	d.address = source(o.Machine, d.Speaks, six)
	if d.mute = !d.address.IsValid(); d.mute {
		d.address = d.told.Address // it may come back
	}
	return nil
}

// claimSeats claims the interfaces for what parameters say.
func (d *agreement) claimSeats(o facts.Observed, p vrrp.Parameters) (seats, error) {
	at := seats{chosenFor: map[netip.Addr]string{}}
	var links []string
	for _, v := range d.Options.VirtualIPs {
		name, err := d.claimAddress(o, v.Addr(), p)
		if err != nil {
			return at, err
		}
		at.chosenFor[v.Addr()], links = name, append(links, name)
		if at.Speaks == "" && v.Addr().Is6() == p.Anchor.Is6() {
			at.Speaks = name
		}
	}
	at.Speaks = cmp.Or(d.commonLink(o, p, links), at.Speaks, spoken(o.Machine), at.chosenFor[d.Options.VirtualIPs[0].Addr()])
	return at, d.claimLink(o, p, at.Speaks)
}

// trial are the VRRP instances as they are to be after a change that this unit announces now;
// none while it does not.
func (d placement) trial(o facts.Observed) (all []keepalived.VRRPInstance) {
	if !d.AnyRouter(func(r Router) bool { return r.Next != nil && (r.told.Next == nil || *r.told.Next != *r.Next) }) {
		return nil
	}
	d.seats, d.address = d.later, source(o.Machine, d.later.Speaks, d.Routers[0].Wanted.Anchor.Is6())
	for _, r := range d.Routers {
		r.Run = r.Wanted
		all = append(all, d.instance(o, r))
	}
	return all
}

// instance is the VRRP instance of a virtual router on this unit.
func (d placement) instance(o facts.Observed, r Router) keepalived.VRRPInstance {
	m := o.Machine
	i := keepalived.VRRPInstance{
		Name:       d.Name(r),
		Interface:  d.Speaks,
		Parameters: r.Run,
		Password:   d.runningPassword(m, r),
		Priority:   d.base(r),
		TrackFile:  d.Layout.At(r.Number).TrackFile(),
		Also:       d.alsoAdvertised(m),
		Peers:      d.sendsTo(r.Run.Anchor.Is6()),
	}
	for _, v := range r.VirtualIPs {
		name := d.chosenFor[v.Addr()]
		i.Addresses = append(i.Addresses, keepalived.VirtualAddress{Prefix: d.prefix(m, name, v.Prefix), Interface: name})
	}
	if len(i.Peers) == 0 {
		i.Peers = []netip.Addr{d.address} // nobody else yet; an empty list would mean multicast
		if !d.address.IsValid() {
			i.Peers = m.Applied.Peers
		}
	}
	return i
}

// VRRPInstances are those of all virtual routers.
func (d agreement) VRRPInstances() []keepalived.VRRPInstance {
	var all []keepalived.VRRPInstance
	for _, r := range d.Routers {
		all = append(all, r.Instance)
	}
	return all
}

// Placed are the virtual IPs with their interfaces.
func (d agreement) Placed() []keepalived.VirtualAddress {
	var all []keepalived.VirtualAddress
	for _, r := range d.Routers {
		all = append(all, r.Instance.Addresses...)
	}
	return all
}

// muteness tells that unicast advertisements have no address to come from.
func muteness(name string, six bool) error {
	kind := "IPv4"
	if six {
		kind = "link-local IPv6"
	}
	return &status.Blocked{Message: "interface " + name + " has no " + kind + " address, which vrrp_mode=unicast needs"}
}

// commonLink is where units advertise already whose options name no interface: where the one
// with the lowest number does. So the order of the virtual IPs, and which of them go, move
// nobody, and who joins comes to where the others are. Empty where nobody serves, or where
// what they tell is on no link of this machine. Of several the one of a virtual IP comes first.
func (d agreement) commonLink(o facts.Observed, p vrrp.Parameters, links []string) string {
	m, run := o.Machine, o.Machine.Applied.Routers[0]
	// A change of these is agreed on, and so is where all go with it.
	alike := func(q vrrp.Parameters) bool {
		return q.Interface == "" && q.Anchor.Is6() == p.Anchor.Is6() && q.Constant() == p.Constant()
	}
	if p.Interface != "" {
		return ""
	}
	own := ""
	if m.Applied.Ours() && alike(run.Parameters) && m.Exists(run.Link) && m.Unfit(run.Link) == "" {
		own = run.Link
	}
	for _, i := range m.Interfaces {
		if i.Name != "lo" && m.Unfit(i.Name) == "" {
			links = append(links, i.Name)
		}
	}
	for _, q := range serving(d.Routers[0].Peers) {
		if own != "" && q.Unit.Number > o.Event.Unit.Number {
			break
		}
		if q.Unread() || !alike(q.Runs) || own != "" && m.OnLink(own, q.Address) {
			continue
		}
		at := slices.IndexFunc(links, func(name string) bool { return m.OnLink(name, q.Address) })
		if at >= 0 && !q.Address.IsLinkLocalUnicast() {
			return links[at]
		}
	}
	return own
}

// spoken is the interface of the instance in use; empty for none. While the last virtual
// IP of a family goes, the others still speak that family.
func spoken(m facts.Machine) string {
	for _, number := range slices.Sorted(maps.Keys(m.Applied.Routers)) {
		if r := m.Applied.Routers[number]; !m.Applied.Python && m.Exists(r.Link) {
			return r.Link
		}
	}
	return ""
}

// source is the address that keepalived sends unicast advertisements from and
// listens on: of the interface's own addresses the kernel's first one for IPv4,
// whichever Juju prefers, and the link-local one for IPv6 (keepalived.conf(5),
// unicast_src_ip: naming another one would leave a daemon deaf that starts before the
// address is there).
func source(m facts.Machine, iface string, six bool) netip.Addr {
	for _, i := range m.Interfaces {
		if i.Name != iface {
			continue
		}
		for _, p := range i.Addresses {
			a := p.Addr().WithZone("")
			if a.Is6() == six && a.IsLinkLocalUnicast() == six && !a.IsLoopback() {
				return a
			}
		}
	}
	return netip.Addr{}
}

// prefix drops the prefix length of a virtual IP whose subnet the interface has
// already: of two addresses of a subnet the kernel takes the later one for secondary,
// which may become the unit's own, and what leaves from then on comes from the virtual
// IP. What was dropped stays so while the option says the same: the unit's own address
// may be away for a moment.
func (d self) prefix(m facts.Machine, iface string, v netip.Prefix) netip.Prefix {
	alone := netip.PrefixFrom(v.Addr(), v.Addr().BitLen())
	was, placed := m.PlaceOf(v.Addr())
	if placed && was.Interface == iface && was.Bits == alone.Bits() && d.asked[v] {
		return alone
	}
	for _, i := range m.Interfaces {
		if i.Name == iface && i.Subnet(v.Addr()) > 0 {
			return alone
		}
	}
	return v
}
