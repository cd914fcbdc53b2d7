package reconcile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/keepalived"
)

// interfaceFor chooses the interface of a virtual IP, in whose subnets it must be an
// address that a host can have.
func (d Desired) interfaceFor(o Observed, v netip.Addr) (string, error) {
	name, err := d.chosen(o, v)
	if err != nil {
		return "", err
	}
	for _, i := range o.Machine.Interfaces {
		for _, p := range i.Addresses {
			if why := config.NoHost(netip.PrefixFrom(v, p.Bits())); i.Name == name && why != "" && p.Contains(v) {
				return "", &config.Invalid{Option: "virtual_ip", Value: fmt.Sprint(o.Options["virtual_ip"]),
					Must: "a free host address, " + v.String() + " is " + why}
			}
		}
	}
	return name, nil
}

// chosen is the interface of a virtual IP: the option, else the one
// with the smallest subnet that holds the address, else the default route's, or
// another one when endpoint cluster is bound to a network space without it. An
// interface in use that is not there (yet, after a boot) stays the choice:
// keepalived waits for it.
func (d Desired) chosen(o Observed, v netip.Addr) (string, error) {
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
