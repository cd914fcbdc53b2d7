package segment

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"keepalived-charm/internal/conflict"
)

// result puts together what was heard, in an order of its own.
func (l *look) result() conflict.Look {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := conflict.Look{Listened: l.listened, Faults: slices.Sorted(slices.Values(l.faults))}
	for k, h := range l.heard {
		h.Delivered = l.passed[k]
		out.Heard = append(out.Heard, h)
	}
	slices.SortFunc(out.Heard, func(a, b conflict.Heard) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), a.Sender.Address.Compare(b.Sender.Address), cmp.Compare(a.VirtualRouterID, b.VirtualRouterID))
	})
	names := names{}
	for a, round := range l.found {
		out.Answers = append(out.Answers, conflict.Answer{Interface: a.iface, Address: a.address,
			By: conflict.Host{Address: names.of(a.mac, a.address), MAC: a.mac}, Last: round == rounds})
	}
	for c, hosts := range l.crowded {
		if hosts > conflict.Most && !slices.Contains(l.controls, c.Address) {
			out.Crowds = append(out.Crowds, c)
		}
	}
	slices.SortFunc(out.Crowds, func(a, b conflict.Crowd) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), a.Address.Compare(b.Address), cmp.Compare(a.RouterID, b.RouterID))
	})
	slices.SortFunc(out.Answers, func(a, b conflict.Answer) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), a.Address.Compare(b.Address), cmp.Compare(a.By.MAC, b.By.MAC))
	})
	return out.Sift(l.controls)
}

// names are the addresses of each MAC in the kernel's table of neighbours, by family. The
// table, which may have a thousand entries, is read once.
type names map[int]map[string][]netip.Addr

// of is another address of a host, of the same family; invalid when it has none.
func (n names) of(mac string, than netip.Addr) netip.Addr {
	family := netlink.FAMILY_V4
	if than.Is6() {
		family = netlink.FAMILY_V6
	}
	if n[family] == nil {
		n[family] = map[string][]netip.Addr{}
		// Without the table the host is named by its MAC alone.
		list, _ := netlink.NeighList(0, family)
		for _, one := range list {
			if a, ok := netip.AddrFromSlice(one.IP); ok && !a.IsMulticast() {
				n[family][one.HardwareAddr.String()] = append(n[family][one.HardwareAddr.String()], a.Unmap())
			}
		}
	}
	for _, a := range n[family][mac] {
		if a != than {
			return a
		}
	}
	return netip.Addr{}
}
