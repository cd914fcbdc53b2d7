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
// address in its subnet. One that was renamed has. A port of another is as good as not there.
func (m Machine) Keeps(name string, v netip.Addr) bool {
	i, there := m.named(name)
	return there && !m.port(i) || !slices.ContainsFunc(m.Interfaces, func(i Interface) bool {
		return m.Suits(i) == proper && i.Subnet(v) > 0
	})
}

// Heir is the bridge or bond where a virtual IP goes on whose interface became a port of it:
// it has the subnet, or the default route; empty for none.
func (m Machine) Heir(name string, v netip.Addr) string {
	standard := m.DefaultInterface4
	if v.Is6() {
		standard = m.DefaultInterface6
	}
	for range m.Interfaces {
		i, _ := m.named(name)
		if !m.port(i) {
			return ""
		}
		name = i.Master
		if i, _ = m.named(name); i.Subnet(v) > 0 || name == standard {
			return name
		}
	}
	return ""
}

// port tells an interface whose master gets what arrives there, as a bridge or bond does. In
// a VRF it goes to the interface as anywhere.
func (m Machine) port(i Interface) bool {
	master, there := m.named(i.Master)
	return there && master.Kind != "vrf"
}

// Unfit says what an interface must be instead of one on which nobody finds addresses; empty
// where they may.
func (m Machine) Unfit(name string) string {
	switch i, _ := m.named(name); {
	case m.port(i):
		return "an interface that gets what arrives, " + name + " is a port of " + i.Master
	case i.NoARP, i.Kind == "dummy", i.Kind == "ifb":
		return "an interface that answers on a network for its addresses, " + name + " does not"
	}
	return ""
}

// Up tells that an interface can carry traffic.
func (m Machine) Up(name string) bool {
	i, _ := m.named(name)
	return i.Up
}

func (m Machine) named(name string) (Interface, bool) {
	if name == "" {
		return Interface{}, false
	}
	n := slices.IndexFunc(m.Interfaces, func(i Interface) bool { return i.Name == name })
	if n < 0 {
		return Interface{}, false
	}
	return m.Interfaces[n], true
}

// PlaceOf tells where this charm has put a virtual IP.
func (m Machine) PlaceOf(v netip.Addr) (applied.Place, bool) {
	p, ok := m.Applied.Addresses[v]
	return p, ok && !m.Applied.Python
}

func (m Machine) Exists(name string) bool {
	_, there := m.named(name)
	return there
}

// How well an interface suits a virtual IP in its subnet: the order of choice.
const (
	proper   = iota // carries traffic of others
	inner           // a bridge without a default route: what is behind it may be on this machine
	down            // cannot carry any now
	Unsuited        // for traffic within the machine, a port of another, or nobody finds addresses there
)

// Suits tells how well an interface suits.
func (m Machine) Suits(i Interface) int {
	bridge := i.Kind == "bridge"
	switch {
	case i.Name == "lo", i.NoARP, m.port(i), unsuitedKind[i.Kind], unsuitedName(i.Name), bridge && !i.Up:
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
		"tuntap": true, "tun": true, "vrf": true, "vti": true, "vxlan": true, "wireguard": true, "xfrm": true}
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
