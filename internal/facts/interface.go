package facts

import (
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/plain"
)

// OnLink tells whether an address is in a subnet of an interface.
func (m Machine) OnLink(name string, a netip.Addr) bool {
	return slices.ContainsFunc(m.Interfaces, func(i Interface) bool {
		return i.Name == name && slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool {
			return p.Bits() < a.BitLen() && p.Masked().Contains(a)
		})
	})
}

// Keeps tells that an interface in use stays that of a virtual IP: one that is there, or
// not there (yet, after a boot; keepalived waits for it) while none that works has the
// address in its subnet. One that was renamed has.
func (m Machine) Keeps(name string, v netip.Addr) bool {
	return m.Exists(name) || !slices.ContainsFunc(m.Interfaces, func(i Interface) bool {
		return m.Suits(i) == proper && i.Subnet(v) > 0
	})
}

// PlaceOf tells where this charm has put a virtual IP.
func (m Machine) PlaceOf(v netip.Addr) (applied.Place, bool) {
	p, ok := m.Applied.Addresses[v]
	return p, ok && !m.Applied.Python
}

func (m Machine) Exists(name string) bool {
	return slices.ContainsFunc(m.Interfaces, func(i Interface) bool { return i.Name == name })
}

// How well an interface suits a virtual IP in its subnet: the order of choice.
const (
	proper   = iota // carries traffic of others
	inner           // a bridge without a default route: what is behind it may be on this machine
	down            // cannot carry any now
	Unsuited        // for traffic within the machine, or nobody finds addresses there
)

// Suits tells how well an interface suits.
func (m Machine) Suits(i Interface) int {
	bridge := i.Kind == "bridge"
	switch {
	case i.Name == "lo", i.NoARP, unsuitedKind[i.Kind], unsuitedName(i.Name), bridge && !i.Up:
		return Unsuited
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

// Subnet is the prefix length of the smallest subnet of an interface that has an
// address; zero when none has.
func (i Interface) Subnet(v netip.Addr) int {
	longest := 0
	for _, p := range i.Addresses {
		if p.Addr() != v && p.Bits() < v.BitLen() && p.Masked().Contains(v) {
			longest = max(longest, p.Bits())
		}
	}
	return longest
}

// Bare tells that an interface is missing, or has no address but link-local ones.
func (m Machine) Bare(name string) bool {
	return !slices.ContainsFunc(m.Interfaces, func(i Interface) bool {
		return i.Name == name && slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return !p.Addr().IsLinkLocalUnicast() })
	})
}

// Subnets returns the interfaces with those of their addresses alone that have a subnet.
func (m Machine) Subnets() []Interface {
	var list []Interface
	for _, i := range m.Interfaces {
		i.Addresses = slices.DeleteFunc(slices.Clone(i.Addresses), netip.Prefix.IsSingleIP)
		list = append(list, i)
	}
	return list
}

// LacksAddress names the kind of address that VRRP of a family needs on an interface and
// that the machine has none of there, but for those of keepalived; empty when it has.
func (m Machine) LacksAddress(iface string, six bool) string {
	for _, i := range m.Without(Observed{Machine: m}.Floating()) {
		if i.Name == iface && slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool {
			return p.Addr().Is6() == six && (!six || p.Addr().IsLinkLocalUnicast())
		}) {
			return ""
		}
	}
	if six {
		return "link-local IPv6"
	}
	return "IPv4"
}
