package reconcile

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/plain"
	"keepalived-charm/internal/vrrp"
)

// interfaceFor chooses the interface of a virtual IP, in whose subnets it must be an
// address that a host can have. With the error comes the interface that it speaks against;
// empty for none.
func (d Desired) interfaceFor(o Observed, v netip.Addr) (string, error) {
	name, err := d.chosen(o, v)
	if err != nil {
		return name, err
	}
	for _, i := range o.Machine.Interfaces {
		for _, p := range i.Addresses {
			if why := config.NoHost(netip.PrefixFrom(v, p.Bits())); i.Name == name && why != "" && p.Contains(v) {
				return name, &config.Invalid{Option: "virtual_ip", Value: o.Options.Written("virtual_ip"),
					Must: "a free host address, " + v.String() + " is " + why}
			}
		}
	}
	return name, nil
}

// chosen is the interface of a virtual IP: the one that the units agreed on; else the one
// in use, as long as it is there; else the one that suits best. The one in use stays
// whatever else comes and goes, as units that put an address on different interfaces do
// not hear each other.
func (d Desired) chosen(o Observed, v netip.Addr) (string, error) {
	m := o.Machine
	if name := d.pythonInterface(m); name != "" {
		return name, nil
	}
	inUse, used := m.placeOf(v)
	if name := d.options.Interface; name != "" && name != inUse.Interface && !m.exists(name) {
		return "", &config.Invalid{Option: "network_interface", Value: name, Must: "an interface of this machine" + m.names()}
	}
	if name := d.routers[0].Run.Interface; name != "" {
		return name, nil
	}
	if was := d.routers[0].Was; used && (was == vrrp.Parameters{} || was.Constant()) && was.Interface == "" && m.keeps(inUse.Interface, v) {
		return inUse.Interface, nil
	}
	name := d.best(o, v)
	if !config.Interface(name) {
		return inUse.Interface, &Blocked{Message: "no interface for virtual IP " + v.String() +
			": no subnet of this machine holds it and there is no default route; set option network_interface"}
	}
	return name, nil
}

// keeps tells that an interface in use stays that of a virtual IP: one that is there, or
// not there (yet, after a boot; keepalived waits for it) while none that works has the
// address in its subnet. One that was renamed has.
func (m Machine) keeps(name string, v netip.Addr) bool {
	return m.exists(name) || !slices.ContainsFunc(m.Interfaces, func(i Interface) bool {
		return m.rank(i) == proper && i.subnet(v) > 0
	})
}

// placeOf tells where this charm has put a virtual IP.
func (m Machine) placeOf(v netip.Addr) (applied.Place, bool) {
	p, ok := m.Applied.Addresses[v]
	return p, ok && !m.Applied.Python
}

func (m Machine) exists(name string) bool {
	return slices.ContainsFunc(m.Interfaces, func(i Interface) bool { return i.Name == name })
}

// How well an interface suits a virtual IP in its subnet: the order of choice.
const (
	proper   = iota // carries traffic of others
	inner           // a bridge without a default route: what is behind it may be on this machine
	down            // cannot carry any now
	unsuited        // for traffic within the machine, or nobody finds addresses there
)

// rank tells how well an interface suits.
func (m Machine) rank(i Interface) int {
	bridge := i.Kind == "bridge"
	switch {
	case i.Name == "lo", i.NoARP, unsuitedKind[i.Kind], unsuitedName(i.Name), bridge && !i.Up:
		return unsuited
	case !i.Up:
		return down
	case bridge && i.Name != m.DefaultInterface4 && i.Name != m.DefaultInterface6:
		return inner
	}
	return proper
}

var (
	// unsuitedKind are kinds of tunnels and of interfaces without a network
	// (rtnetlink, IFLA_INFO_KIND).
	unsuitedKind = map[string]bool{"dummy": true, "gre": true, "ifb": true, "ip6tnl": true, "ipip": true, "sit": true,
		"tun": true, "vrf": true, "vti": true, "vxlan": true, "wireguard": true, "xfrm": true}
	// engines are what names begin with that container engines and hypervisors give
	// their own.
	engines = []string{"docker", "lxcbr", "lxdbr", "virbr", "vnet", "podman", "cni", "flannel", "cali", "cilium", "kube",
		"nodelocaldns", "weave", "antrea", "ovn-k8s", "veth", "tap", "tun", "wg"}
)

// unsuitedName tells a name that a container engine or hypervisor gives its own.
func unsuitedName(name string) bool {
	for _, e := range engines {
		if strings.HasPrefix(name, e) {
			return true
		}
	}
	if id, found := strings.CutPrefix(name, "br-"); found { // Docker's
		return plain.Of(id, 12, plain.Hex)
	}
	if n, found := strings.CutPrefix(name, "lxd"); found {
		return n != "" && plain.Digit(n[0])
	}
	id, found := strings.CutPrefix(name, "lxc") // Cilium's
	return found && id != "" && plain.Of(id[:1], 1, plain.Hex)
}

// best chooses an interface for a virtual IP that has none yet: of those that have it
// in a subnet the one that suits best, by the longest prefix; that of the default route
// comes before those that do not suit.
func (d Desired) best(o Observed, v netip.Addr) string {
	m := o.Machine
	fallback := o.fallback(v.Is6())
	var found []Interface
	for _, i := range m.Interfaces {
		if config.Interface(i.Name) && i.subnet(v) > 0 {
			found = append(found, i)
		}
	}
	if len(found) == 0 {
		return fallback
	}
	chosen := slices.MinFunc(found, func(a, b Interface) int {
		return cmp.Or(
			m.rank(a)-m.rank(b),
			b.subnet(v)-a.subnet(v),
			preferred(b.Name == fallback, slices.Contains(o.Bound, b.Name))-preferred(a.Name == fallback, slices.Contains(o.Bound, a.Name)),
			strings.Compare(a.Name, b.Name))
	})
	if m.rank(chosen) == unsuited && fallback != "" {
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

// subnet is the prefix length of the smallest subnet of an interface that has an
// address; zero when none has.
func (i Interface) subnet(v netip.Addr) int {
	longest := 0
	for _, p := range i.Addresses {
		if p.Addr() != v && p.Bits() < v.BitLen() && p.Masked().Contains(v) {
			longest = max(longest, p.Bits())
		}
	}
	return longest
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
