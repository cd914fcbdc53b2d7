package charmtest

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// instance is a VRRP instance as the fake daemon reads it.
type instance struct {
	name, iface  string
	id, priority int
	addresses    []address
	// peers are who gets its unicast advertisements.
	peers []netip.Addr
}

// address is a virtual address; dev is empty for the instance's interface.
type address struct {
	netip.Prefix
	dev string
}

// readInstances reads the vrrp_instance blocks of a configuration.
func readInstances(text string) []instance {
	var list []instance
	depth, block := 0, ""
	words := strings.Fields(uncomment(text))
	for n, w := range words {
		next := ""
		if n+1 < len(words) {
			next = words[n+1]
		}
		switch w {
		case "{":
			depth++
			continue
		case "}":
			depth--
			continue
		case "vrrp_instance":
			list = append(list, instance{name: next})
		}
		if next == "{" {
			block = w
		}
		if len(list) == 0 || depth == 0 {
			continue
		}
		i := &list[len(list)-1]
		switch {
		case depth == 1 && w == "interface":
			i.iface = next
		case depth == 1 && w == "virtual_router_id":
			i.id, _ = strconv.Atoi(next)
		case depth == 1 && w == "priority":
			i.priority, _ = strconv.Atoi(next)
		case depth == 2 && block == "unicast_peer":
			if a, err := netip.ParseAddr(w); err == nil {
				i.peers = append(i.peers, a)
			}
		case depth == 2 && strings.HasPrefix(block, "virtual_ipaddress"):
			if w == "dev" {
				i.addresses[len(i.addresses)-1].dev = next
			} else {
				i.add(w)
			}
		}
	}
	return list
}

func uncomment(text string) string {
	var kept []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		kept = append(kept, line)
	}
	return strings.Join(kept, "\n")
}

func (i *instance) add(word string) {
	if a, err := netip.ParseAddr(word); err == nil {
		i.addresses = append(i.addresses, address{Prefix: netip.PrefixFrom(a, a.BitLen())})
	} else if p, err := netip.ParsePrefix(word); err == nil {
		i.addresses = append(i.addresses, address{Prefix: p})
	}
}

// report is what the daemon says about the instance.
func (i instance) report(holds bool, heard vrrp.Priority) keepalived.InstanceState {
	s := keepalived.InstanceState{
		Name: i.name, Interface: i.iface, VirtualRouterID: vrrp.VirtualRouterID(i.id), State: keepalived.Backup, MasterPriority: heard,
		Base: vrrp.Priority(i.priority), Effective: vrrp.Effective(vrrp.Priority(i.priority), vrrp.HealthyWeight),
	}
	for _, p := range i.addresses {
		s.Addresses = append(s.Addresses, p.Addr())
	}
	if holds {
		s.State = keepalived.Master
		s.Effective = vrrp.Effective(s.Effective, vrrp.HolderWeight)
	}
	return s
}

// hold puts the addresses on their interfaces, but for those that are lost.
func (i instance) hold(interfaces []facts.Interface, lost []netip.Addr) {
	for n := range interfaces {
		for _, a := range i.addresses {
			if interfaces[n].Name == cmp.Or(a.dev, i.iface) && !slices.Contains(lost, a.Addr()) {
				interfaces[n].Addresses = append(interfaces[n].Addresses, a.Prefix)
			}
		}
	}
}

// held are the addresses that the daemon has put on, with their interfaces.
func (h *Host) held() []address {
	var list []address
	for _, i := range instances(h.Keepalived.Loaded) {
		for _, a := range i.addresses {
			if a.dev = cmp.Or(a.dev, i.iface); h.Keepalived.Running && h.role(i.name).Holds && !slices.Contains(h.Lost, a.Addr()) {
				list = append(list, a)
			}
		}
	}
	return list
}

// drop is what the kernel does when the daemon has taken addresses off: with the first
// address of a subnet the later ones go, unless they are promoted (ip-sysctl,
// promote_secondaries). What went while the daemon read its configuration it takes for
// there.
func (h *Host) drop(before []address) {
	after := h.held()
	for n, a := range before {
		if slices.Contains(after, a) || !a.Addr().Is4() || h.Settings["net.ipv4.conf.all.promote_secondaries"] == "1" {
			continue
		}
		secondary := func(p netip.Prefix, dev string) bool { return dev == a.dev && p.Masked() == a.Masked() }
		for _, b := range before[n+1:] {
			if secondary(b.Prefix, b.dev) && slices.Contains(after, b) {
				h.Lost = append(h.Lost, b.Addr())
			}
		}
		for n := range h.Interfaces {
			i := &h.Interfaces[n]
			i.Addresses = slices.DeleteFunc(i.Addresses, func(p netip.Prefix) bool {
				return secondary(p, i.Name) && slices.Contains(h.Late, p)
			})
		}
	}
}

// restore puts lost addresses back.
func (h *Host) restore(list []netip.Addr) {
	h.Lost = slices.DeleteFunc(h.Lost, func(a netip.Addr) bool { return slices.Contains(list, a) })
}
