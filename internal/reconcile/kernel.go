package reconcile

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/config"
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

// disagreement lists where daemon and kernel differ: virtual IPs that a MASTER
// lacks, and those that a unit has which is none. Addresses of others are nobody's
// business here, and what is pinned to the loopback device belongs there.
func (d Desired) disagreement(m Machine, r router) (missing, stray []netip.Addr) {
	state, reported := d.state(m, r)
	if !reported {
		return nil, nil
	}
	places := map[netip.Addr]string{}
	for _, p := range r.instance.Addresses {
		places[p.Addr()] = p.Interface
	}
	for _, a := range r.addresses() {
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
	if slices.Contains(m.Owed, Unpin) || d.anyRouter(func(r router) bool { return r.Pin }) {
		return nil
	}
	var list []netip.Addr
	for _, r := range d.routers {
		list = append(list, d.stray(m, r)...)
	}
	return list
}

func (d Desired) stray(m Machine, r router) []netip.Addr {
	state, reported := d.state(m, r)
	if !reported {
		if m.Active {
			return nil // nobody knows
		}
		return kept(m, r.virtualIPs)
	}
	_, stray := d.disagreement(m, r)
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
	for _, r := range d.routers {
		state, _ := d.state(m, r)
		if state.State != keepalived.Master {
			continue
		}
		read := map[netip.Addr]bool{}
		for _, a := range state.Addresses {
			read[a] = true
		}
		for _, a := range r.addresses() {
			at, placed := m.placeOf(a)
			if placed && read[a] && m.exists(at.Interface) && !m.hasOn(at.Interface, a) && !m.hasOn("lo", a) {
				list = append(list, a)
			}
		}
	}
	return list
}

func (d Desired) addresses() []netip.Addr { return addresses(d.options.VirtualIPs) }

// held returns those virtual IPs that the kernel has.
func held(m Machine, vips []config.VirtualIP) []netip.Addr {
	return slices.DeleteFunc(addresses(vips), func(a netip.Addr) bool { return !m.has(a) })
}

// kept returns those virtual IPs that a unit has which is to have none, whatever its
// daemon says, if anything.
func kept(m Machine, vips []config.VirtualIP) []netip.Addr {
	return slices.DeleteFunc(addresses(vips), func(a netip.Addr) bool { return !m.hasOutside(a, "lo") })
}

// pins lists the addresses under which the configuration changes: those of routers
// that this unit holds and changes, all when their number changes.
func (d Desired) pins(m Machine) []netip.Addr {
	if one := d.routers[0]; one.Pin && one.Was.Spread != one.Run.Spread {
		return held(m, d.options.VirtualIPs)
	}
	var list []netip.Addr
	for _, r := range d.routers {
		if r.Pin {
			list = append(list, held(m, r.virtualIPs)...)
		}
	}
	return list
}
