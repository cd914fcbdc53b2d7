package decide

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/vrrp"
)

// interfaceFor chooses the interface of a virtual IP. With the error comes the interface that
// it speaks against; empty for none. Where one cannot have it that no change of options asks
// for, it stays on the one in use.
func (d agreement) interfaceFor(o facts.Observed, v netip.Addr, p vrrp.Parameters) (string, error) {
	name, err := d.chosen(o, v, p)
	if err != nil {
		return name, err
	}
	err = unsuited(o, v, name)
	if inUse, used := o.Machine.PlaceOf(v); err != nil && used && d.Routers[0].Was.Interface == p.Interface && d.named[v] == "" {
		name = inUse.Interface
	}
	return name, err
}

// unsuited tells why an interface cannot have a virtual IP, which must be an address that a
// host can have in its subnets.
func unsuited(o facts.Observed, v netip.Addr, name string) error {
	for _, i := range o.Machine.Interfaces {
		if i.Name == name && i.NoIPv6 && v.Is6() {
			return &status.Blocked{Message: "virtual IP " + v.String() + " cannot be on interface " + name +
				", where IPv6 is disabled: sysctl net.ipv6.conf." + strings.ReplaceAll(name, ".", "/") + ".disable_ipv6=0"}
		}
		for _, p := range i.Addresses {
			if why := config.NoHost(netip.PrefixFrom(v, p.Bits())); i.Name == name && why != "" && p.Contains(v) {
				return o.Options.WrongVirtualIPs("a free host address, " + v.String() + " is " + why)
			}
		}
	}
	return nil
}

// wrongInterface refuses an interface that the operator names, or the principal unit.
func wrongInterface(o facts.Observed, name, must string) *config.Invalid {
	wrong := &config.Invalid{Option: "network_interface", Value: name, Must: must}
	if r := o.Request(); r != nil && r.Interface() == name {
		wrong.Asker = o.Event.Principal.String()
	}
	return wrong
}

// chosen is the interface of a virtual IP: the one that is named for it, or that the units agreed
// on; else the one in use, as long as it is there, or the bridge or bond that it became a port of; else the one
// that suits best. The one in use stays whatever else comes and goes, as units that put an
// address on different interfaces do not hear each other.
func (d agreement) chosen(o facts.Observed, v netip.Addr, p vrrp.Parameters) (string, error) {
	m := o.Machine
	if name := d.pythonInterface(m); name != "" {
		return name, nil
	}
	inUse, used := m.PlaceOf(v)
	if name := d.named[v]; name != "" {
		must, at := m.Unfit(name), ""
		if name == inUse.Interface {
			at = name // it may come back
		} else if !m.Exists(name) {
			must = "an interface of this machine" + names(m) + ", " + name + " is none"
		}
		if must != "" {
			return at, o.Options.WrongVirtualIPs("on " + must)
		}
		return name, nil
	}
	if name := d.Options.Interface; name != "" && name != inUse.Interface && !m.Exists(name) {
		return "", wrongInterface(o, name, "an interface of this machine"+names(m))
	}
	if name := p.Interface; name != "" {
		return name, nil
	}
	if was := d.Routers[0].Was; used && (was == vrrp.Parameters{} || was.Constant()) && was.Interface == "" {
		if heir := m.Heir(inUse.Interface, v); config.Interface(heir) {
			return heir, nil
		}
		if m.Keeps(inUse.Interface, v) {
			return inUse.Interface, nil
		}
	}
	name := d.best(o, v)
	if !config.Interface(name) {
		if d.Routers[0].Was.Interface == p.Interface {
			name = inUse.Interface // not where the others are about to leave
		}
		return name, &status.Blocked{Message: "no interface for virtual IP " + v.String() +
			": no subnet of this machine holds it and there is no default route; set option network_interface"}
	}
	return name, nil
}

// best chooses an interface for a virtual IP that has none yet: of those that have it
// in a subnet the one that suits best, by the longest prefix; that of the default route
// comes before those that do not suit.
func (d self) best(o facts.Observed, v netip.Addr) string {
	m := o.Machine
	fallback := fallback(o, v.Is6())
	var found []facts.Interface
	for _, i := range m.Interfaces {
		if config.Interface(i.Name) && i.Subnet(v) > 0 {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return fallback
	}
	chosen := slices.MinFunc(found, func(a, b facts.Interface) int {
		return cmp.Or(
			m.Suits(a)-m.Suits(b),
			b.Subnet(v)-a.Subnet(v),
			preferred(b.Name == fallback, slices.Contains(o.Bound, b.Name))-preferred(a.Name == fallback, slices.Contains(o.Bound, a.Name)),
			strings.Compare(a.Name, b.Name))
	})
	if m.Suits(chosen) == facts.Unsuited && fallback != "" {
		return fallback
	}
	return chosen.Name
}

// preferred counts what speaks for an interface.
func preferred(reasons ...bool) (n int) {
	for _, r := range reasons {
		if r {
			n++
		}
	}
	return n
}

// fallback is the interface for a virtual IP that no subnet holds; may be empty.
func fallback(o facts.Observed, six bool) string {
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

// names lists the machine's interfaces for a status line, the first few.
func names(m facts.Machine) string {
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
