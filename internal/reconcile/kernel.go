package reconcile

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// instanceOf is what the daemon says of this unit's instance; false if nothing.
func (d Desired) instanceOf(m Machine) (keepalived.InstanceState, bool) {
	for _, i := range m.Instances {
		if i.Name == d.Layout.Instance() {
			return i, true
		}
	}
	return keepalived.InstanceState{}, false
}

// disagreement lists where daemon and kernel differ: virtual IPs that a MASTER
// lacks, and those that a unit has which is none. Addresses of others are nobody's
// business here, and what is pinned to the loopback device belongs there.
func (d Desired) disagreement(m Machine) (missing, stray []netip.Addr) {
	state, reported := d.instanceOf(m)
	if !reported {
		return nil, nil
	}
	for _, a := range d.addresses() {
		switch on := m.hasOutside(a, "lo"); {
		case state.State == keepalived.Master && !d.inPlace(m, a):
			missing = append(missing, a)
		case (state.State == keepalived.Backup || state.State == keepalived.Fault) && on:
			stray = append(stray, a)
		}
	}
	return missing, stray
}

// inPlace tells that a virtual IP is where this unit puts it, or pinned.
func (d Desired) inPlace(m Machine, a netip.Addr) bool {
	for _, p := range d.placed {
		if p.Addr() == a {
			return m.hasOn(p.Interface, a) || m.hasOn("lo", a)
		}
	}
	return m.has(a)
}

// copies lists virtual IPs that are on this machine only where they are others'.
func (d Desired) copies(m Machine) []netip.Addr {
	return slices.DeleteFunc(d.addresses(), func(a netip.Addr) bool {
		return m.has(a) || !slices.ContainsFunc(m.Interfaces, func(i Interface) bool { return i.has(a) })
	})
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
		for _, a := range p.addresses() {
			at, placed := m.placeOf(a)
			if placed && slices.Contains(state.Addresses, a) && m.exists(at.Interface) && !m.hasOn(at.Interface, a) && !m.hasOn("lo", a) {
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
