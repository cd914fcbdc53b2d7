package reconcile

import (
	"maps"
	"net/netip"
	"slices"

	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
	"keepalived-charm/templates"
)

// arrange decides on everything that a serving unit needs.
func (d *Desired) arrange(o Observed) error {
	if err := d.locate(o); err != nil {
		return err
	}
	if err := d.refuseIntrusion(o); err != nil {
		return err
	}
	if err := d.claimRouters(o); err != nil {
		return err
	}
	for n := range d.routers {
		r := &d.routers[n]
		r.instance = d.instance(o, *r)
		if r.Aside = d.unready(o, *r); r.Aside != "" {
			r.Waits = d.waitsFor(o, *r)
		}
	}
	d.watch = d.checker()
	d.watch.Deserted = d.deserted(o, d.routers[0])
	return nil
}

// render fills Files with it.
func (d *Desired) render(o Observed) error {
	l := d.Layout
	main := keepalived.Main{Fragments: FragmentDir}
	if text, ok := o.Machine.foreignText(); ok {
		main.Foreign = ForeignFile
		d.Files[ForeignFile] = text
	}
	if ca := d.options.Check.CA; ca != "" {
		d.Files[l.CheckerCA()] = ca
	}
	units := services{l, o.Event.Unit, d.options.Notify}
	files := map[string]func() (string, error){
		MainFile: main.Render,
		l.Fragment(): keepalived.Fragment{Application: l.Application,
			Instances: d.instances()}.Render,
		l.CheckerConfig(): func() (string, error) {
			text, err := d.watch.Marshal()
			return string(text), err
		},
		l.Record():      func() (string, error) { return d.record(o).Encode() },
		SysctlFile:      func() (string, error) { return templates.Render("sysctl.conf", nil) },
		l.DropIn():      func() (string, error) { return templates.Render("drop-in.conf", units) },
		l.CheckerUnit(): func() (string, error) { return templates.Render("checker.service", units) },
		l.YieldUnit():   func() (string, error) { return templates.Render("yield.service", units) },
	}
	if d.options.Notify {
		names := l.NotifierFiles()
		files[names[0]] = func() (string, error) { return templates.Render("notifier.path", units) }
		files[names[1]] = func() (string, error) { return templates.Render("notifier.service", units) }
	}
	for path, text := range files {
		var err error
		if d.Files[path], err = text(); err != nil {
			return err
		}
	}
	for _, path := range []string{MainFile, SysctlFile} {
		d.Files[path] = shared(d.Files[path], o.Machine.Files[path])
	}
	d.Files[l.Owner()] = o.Event.Unit.String() + "\n"
	return nil
}

// unready returns what this unit stands aside for in a router; what it does not know
// or hear yet is part of that.
func (d Desired) unready(o Observed, r router) group.Aside {
	switch a := r.Decision; {
	case a.Aside != "" && a.Aside != group.Joins || a.Holds:
		return a.Aside
	case o.newcomer() && o.Planned > 1+len(d.peers):
		return group.Unknown
	case d.deserted(o, r):
		return group.Leaving
	case d.unheard(r):
		return group.Unheard
	}
	return r.Aside
}

// services is what the systemd templates print.
type services struct {
	Layout
	Unit   juju.Unit
	Notify bool
}

// locate finds the interfaces of the virtual IPs, and where advertisements travel:
// where the first virtual IP of their family is, those of all routers.
func (d *Desired) locate(o Observed) error {
	one := d.routers[0]
	six := one.Run.Anchor.Is6()
	d.chosenFor = map[netip.Addr]string{}
	for _, v := range d.options.VirtualIPs {
		if err := d.claimAddress(o, v.Addr()); err != nil {
			return err
		}
		name := d.chosenFor[v.Addr()]
		if !slices.Contains(d.interfaces, name) {
			d.interfaces = append(d.interfaces, name)
		}
		if d.speaks == "" && v.Addr().Is6() == six {
			d.speaks = name
		}
	}
	if d.speaks == "" {
		d.speaks = d.spoken(o.Machine)
	}
	d.address = source(o.Machine, d.speaks, six)
	if d.mute = !d.address.IsValid(); d.mute {
		d.address = d.told.Address // it may come back
		if one.Run.Mode == vrrp.Unicast {
			return d.weigh(Claim{Held: o.Machine.Applied.Routers[0].Mode == vrrp.Unicast, Refusal: d.muteness(six)})
		}
	}
	return nil
}

// instance is the VRRP instance of a virtual router on this unit.
func (d Desired) instance(o Observed, r router) keepalived.VRRPInstance {
	m := o.Machine
	i := keepalived.VRRPInstance{
		Name:       d.name(r),
		Interface:  d.speaks,
		Parameters: r.Run,
		Password:   d.runningPassword(m, r),
		Priority:   d.base(r),
		TrackFile:  d.Layout.At(r.number).TrackFile(),
		Also:       d.alsoAdvertised(m),
		Peers:      d.sendsTo(r.Run.Anchor.Is6()),
	}
	for _, v := range r.virtualIPs {
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

// instances are those of all virtual routers.
func (d Desired) instances() []keepalived.VRRPInstance {
	var all []keepalived.VRRPInstance
	for _, r := range d.routers {
		all = append(all, r.instance)
	}
	return all
}

// placed are the virtual IPs with their interfaces.
func (d Desired) placed() []keepalived.VirtualAddress {
	var all []keepalived.VirtualAddress
	for _, r := range d.routers {
		all = append(all, r.instance.Addresses...)
	}
	return all
}

// muteness tells that unicast advertisements have no address to come from.
func (d Desired) muteness(six bool) error {
	kind := "IPv4"
	if six {
		kind = "link-local IPv6"
	}
	return &Blocked{Message: "interface " + d.speaks + " has no " + kind + " address, which vrrp_mode=unicast needs"}
}

// spoken is the interface of the instance in use, else that of the first virtual
// IP: while the last virtual IP of a family goes, the others still speak that family.
func (d Desired) spoken(m Machine) string {
	for _, number := range slices.Sorted(maps.Keys(m.Applied.Routers)) {
		if r := m.Applied.Routers[number]; !m.Applied.Python && m.exists(r.Link) {
			return r.Link
		}
	}
	return d.interfaces[0]
}

// source is the address that keepalived sends unicast advertisements from and
// listens on: of the interface's own addresses the kernel's first one for IPv4,
// whichever Juju prefers, and the link-local one for IPv6 (keepalived.conf(5),
// unicast_src_ip: naming another one would leave a daemon deaf that starts before the
// address is there).
func source(m Machine, iface string, six bool) netip.Addr {
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
func (d Desired) prefix(m Machine, iface string, v netip.Prefix) netip.Prefix {
	alone := netip.PrefixFrom(v.Addr(), v.Addr().BitLen())
	was, placed := m.placeOf(v.Addr())
	if placed && was.Interface == iface && was.Bits == alone.Bits() && d.asked[v] {
		return alone
	}
	for _, i := range m.Interfaces {
		if i.Name == iface && i.subnet(v.Addr()) > 0 {
			return alone
		}
	}
	return v
}
