package decide

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

// Disagreement lists where daemon and kernel differ: virtual IPs that a MASTER
// lacks, and those that a unit has which is none. Addresses of others are nobody's
// business here, and what is pinned to the loopback device belongs there.
func (d self) Disagreement(m facts.Machine, r Router) (missing, stray []netip.Addr) {
	state, reported := d.State(m, r)
	if !reported {
		return nil, nil
	}
	places := map[netip.Addr]string{}
	for _, p := range r.Instance.Addresses {
		places[p.Addr()] = p.Interface
	}
	for _, a := range r.Addresses() {
		switch on := m.HasOutside(a, "lo"); {
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
func inPlace(m facts.Machine, a netip.Addr, name string) bool {
	if name == "" {
		return m.Has(a)
	}
	return m.HasOn(name, a) || pinned(m, a)
}

// pinned tells an address that is on lo by the charm: its owner may have one there, as a real
// server of LVS has.
func pinned(m facts.Machine, a netip.Addr) bool {
	return slices.Contains(m.Owed, step.Unpin) && m.HasOn("lo", a)
}

// copies lists virtual IPs that are on this machine only where they are others'.
func (d self) copies(m facts.Machine) []netip.Addr {
	return slices.DeleteFunc(d.Addresses(), func(a netip.Addr) bool { return m.Has(a) || len(m.Sites(a)) == 0 })
}

// Strays lists what is to be flushed: virtual IPs of a unit that is no MASTER or has
// no daemon, and the address that stands for them in advertisements. While virtual
// IPs are pinned, the unit has them and is not MASTER.
func (d agreement) Strays(m facts.Machine) []netip.Addr {
	if slices.Contains(m.Owed, step.Unpin) || d.AnyRouter(func(r Router) bool { return r.Pin }) {
		return nil
	}
	var list []netip.Addr
	for _, r := range d.Routers {
		list = append(list, d.stray(m, r)...)
	}
	return list
}

func (d self) stray(m facts.Machine, r Router) []netip.Addr {
	state, reported := d.State(m, r)
	if !reported {
		if m.Active {
			return nil // nobody knows
		}
		return Kept(m, r.VirtualIPs)
	}
	_, stray := d.Disagreement(m, r)
	for _, a := range state.Addresses {
		if vrrp.IsAnchor(a) && state.State != keepalived.Master && state.State != keepalived.Init && m.Has(a) {
			stray = append(stray, a)
		}
	}
	return stray
}

// Lost lists virtual IPs that a MASTER has put on and that are gone. keepalived sees to
// that by itself where an event tells of it; what went while it read its configuration
// it takes for there until it has been standby, however often it reads that again.
func (d agreement) Lost(m facts.Machine) []netip.Addr {
	var list []netip.Addr
	for _, r := range d.Routers {
		state, _ := d.State(m, r)
		if state.State != keepalived.Master {
			continue
		}
		read := map[netip.Addr]bool{}
		for _, a := range state.Addresses {
			read[a] = true
		}
		for _, a := range r.Addresses() {
			at, placed := m.PlaceOf(a)
			if placed && read[a] && m.Exists(at.Interface) && !m.HasOn(at.Interface, a) && !pinned(m, a) {
				list = append(list, a)
			}
		}
	}
	return list
}

func (d self) Addresses() []netip.Addr { return addresses(d.Options.VirtualIPs) }

// Held returns those virtual IPs that the kernel has.
func Held(m facts.Machine, vips []config.VirtualIP) []netip.Addr {
	return slices.DeleteFunc(addresses(vips), func(a netip.Addr) bool { return !m.Has(a) })
}

// Kept returns those virtual IPs that a unit has which is to have none, whatever its
// daemon says, if anything.
func Kept(m facts.Machine, vips []config.VirtualIP) []netip.Addr {
	return slices.DeleteFunc(addresses(vips), func(a netip.Addr) bool { return !m.HasOutside(a, "lo") })
}

// Pins lists the addresses under which the configuration changes: those of routers
// that this unit holds and changes, all when their number changes.
func (d agreement) Pins(m facts.Machine) []netip.Addr {
	if one := d.Routers[0]; one.Pin && one.Was.Spread != one.Run.Spread {
		return Held(m, d.Options.VirtualIPs)
	}
	var list []netip.Addr
	for _, r := range d.Routers {
		if r.Pin {
			list = append(list, Held(m, r.VirtualIPs)...)
		}
	}
	return list
}
