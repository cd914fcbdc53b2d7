package charmtest

import (
	"cmp"
	"net/netip"
	"strconv"
	"strings"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/reconcile"
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

// instances reads the vrrp_instance blocks of a configuration.
func instances(text string) []instance {
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
		Base: vrrp.Priority(i.priority), Effective: vrrp.Priority(i.priority + vrrp.HealthyWeight),
	}
	for _, p := range i.addresses {
		s.Addresses = append(s.Addresses, p.Addr())
	}
	if holds {
		s.State = keepalived.Master
		s.Effective += vrrp.HolderWeight
	}
	return s
}

// hold puts the addresses on their interfaces.
func (i instance) hold(interfaces []reconcile.Interface) {
	for n := range interfaces {
		for _, a := range i.addresses {
			if interfaces[n].Name == cmp.Or(a.dev, i.iface) {
				interfaces[n].Addresses = append(interfaces[n].Addresses, a.Prefix)
			}
		}
	}
}
