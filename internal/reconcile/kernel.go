package reconcile

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// index finds addresses and instances of a machine in one step, of which there may be
// hundreds each; it holds while neither changes.
type index struct {
	on      map[netip.Addr][]site
	reports map[string]int
}

// site is an interface that has an address; others tells that it is others' there.
type site struct {
	name   string
	others bool
}

// indexed returns the machine with an index.
func (m Machine) indexed() Machine {
	x := &index{map[netip.Addr][]site{}, map[string]int{}}
	for _, i := range m.Interfaces {
		s := site{i.Name, m.others(i)}
		for _, p := range i.Addresses {
			x.on[p.Addr()] = append(x.on[p.Addr()], s)
		}
	}
	for n, i := range m.Instances {
		if _, twice := x.reports[i.Name]; !twice {
			x.reports[i.Name] = n
		}
	}
	m.index = x
	return m
}

// sites are the interfaces that have an address.
func (m Machine) sites(a netip.Addr) []site {
	if m.index != nil {
		return m.index.on[a]
	}
	var on []site
	for _, i := range m.Interfaces {
		if slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == a }) {
			on = append(on, site{i.Name, m.others(i)})
		}
	}
	return on
}

// report is what the daemon says of an instance; false if nothing.
func (m Machine) report(instance string) (keepalived.InstanceState, bool) {
	if m.index != nil {
		if n, reported := m.index.reports[instance]; reported {
			return m.Instances[n], true
		}
		return keepalived.InstanceState{}, false
	}
	for _, i := range m.Instances {
		if i.Name == instance {
			return i, true
		}
	}
	return keepalived.InstanceState{}, false
}

// instanceOf is what the daemon says of this unit's instance; false if nothing.
func (d Desired) instanceOf(m Machine) (keepalived.InstanceState, bool) {
	return m.report(d.Layout.Instance())
}

// disagreement lists where daemon and kernel differ: virtual IPs that a MASTER
// lacks, and those that a unit has which is none. Addresses of others are nobody's
// business here, and what is pinned to the loopback device belongs there.
func (d Desired) disagreement(m Machine) (missing, stray []netip.Addr) {
	state, reported := d.instanceOf(m)
	if !reported {
		return nil, nil
	}
	places := map[netip.Addr]string{}
	for _, p := range d.placed {
		places[p.Addr()] = p.Interface
	}
	for _, a := range d.addresses() {
		switch on := m.hasOutside(a, "lo"); {
		case state.State == keepalived.Master && !inPlace(m, a, places[a]):
			missing = append(missing, a)
		case (state.State == keepalived.Backup || state.State == keepalived.Fault) && on:
			stray = append(stray, a)
		}
	}
	return missing, stray
}

// inPlace tells that a virtual IP is where this unit puts it, or pinned; name is empty
// where that is not known.
func inPlace(m Machine, a netip.Addr, name string) bool {
	if name == "" {
		return m.has(a)
	}
	return m.hasOn(name, a) || m.hasOn("lo", a)
}

// copies lists virtual IPs that are on this machine only where they are others'.
func (d Desired) copies(m Machine) []netip.Addr {
	return slices.DeleteFunc(d.addresses(), func(a netip.Addr) bool { return m.has(a) || len(m.sites(a)) == 0 })
}

// strays lists what is to be flushed: virtual IPs of a unit that is no MASTER or has
// no daemon, and the address that stands for them in advertisements. While virtual
// IPs are pinned, the unit has them and is not MASTER.
func (d Desired) strays(m Machine) []netip.Addr {
	if slices.Contains(m.Owed, Unpin) || slices.ContainsFunc(d.parts(), func(p Desired) bool { return p.agreement.Pin }) {
		return nil
	}
	var list []netip.Addr
	for _, p := range d.parts() {
		list = append(list, p.stray(m)...)
	}
	return list
}

func (d Desired) stray(m Machine) []netip.Addr {
	state, reported := d.instanceOf(m)
	if !reported {
		if m.Active {
			return nil // nobody knows
		}
		return d.kept(m)
	}
	_, stray := d.disagreement(m)
	for _, a := range state.Addresses {
		if vrrp.IsAnchor(a) && state.State != keepalived.Master && state.State != keepalived.Init && m.has(a) {
			stray = append(stray, a)
		}
	}
	return stray
}

// lost lists virtual IPs that a MASTER has put on and that are gone. keepalived sees to
// that by itself where an event tells of it; what went while it read its configuration
// it takes for there until it has been standby, however often it reads that again.
func (d Desired) lost(m Machine) []netip.Addr {
	var list []netip.Addr
	for _, p := range d.parts() {
		state, _ := p.instanceOf(m)
		if state.State != keepalived.Master {
			continue
		}
		read := map[netip.Addr]bool{}
		for _, a := range state.Addresses {
			read[a] = true
		}
		for _, a := range p.addresses() {
			at, placed := m.placeOf(a)
			if placed && read[a] && m.exists(at.Interface) && !m.hasOn(at.Interface, a) && !m.hasOn("lo", a) {
				list = append(list, a)
			}
		}
	}
	return list
}

func (d Desired) addresses() []netip.Addr {
	var all []netip.Addr
	for _, v := range d.options.VirtualIPs {
		all = append(all, v.Addr())
	}
	return all
}

// held returns the virtual IPs that the kernel has.
func (d Desired) held(m Machine) []netip.Addr {
	return slices.DeleteFunc(d.addresses(), func(a netip.Addr) bool { return !m.has(a) })
}

// kept returns the virtual IPs that a unit has which is to have none, whatever its
// daemon says, if anything.
func (d Desired) kept(m Machine) []netip.Addr {
	return slices.DeleteFunc(d.addresses(), func(a netip.Addr) bool { return !m.hasOutside(a, "lo") })
}

// pins lists the addresses under which the configuration changes: those of routers
// that this unit holds and changes, all when their number changes.
func (d Desired) pins(m Machine) []netip.Addr {
	if a := d.agreement; a.Pin && a.Was.Spread != a.Run.Spread {
		return d.held(m)
	}
	var list []netip.Addr
	for _, p := range d.parts() {
		if p.agreement.Pin {
			list = append(list, p.held(m)...)
		}
	}
	return list
}
