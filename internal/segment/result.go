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
	for a, round := range l.found {
		out.Answers = append(out.Answers, conflict.Answer{Interface: a.iface, Address: a.address,
			By: conflict.Host{Address: knownAs(a.mac, a.address), MAC: a.mac}, Last: round == rounds})
	}
	slices.SortFunc(out.Answers, func(a, b conflict.Answer) int {
		return cmp.Or(cmp.Compare(a.Interface, b.Interface), a.Address.Compare(b.Address), cmp.Compare(a.By.MAC, b.By.MAC))
	})
	return out.Sift(l.controls)
}

// knownAs is another address of a host, of the same family, from the kernel's
// table of neighbours; invalid when it has none.
func knownAs(mac string, than netip.Addr) netip.Addr {
	family := netlink.FAMILY_V4
	if than.Is6() {
		family = netlink.FAMILY_V6
	}
	// Without the table the host is named by its MAC alone.
	list, _ := netlink.NeighList(0, family)
	for _, n := range list {
		if a, ok := netip.AddrFromSlice(n.IP); ok && a.Unmap() != than && !a.IsMulticast() && n.HardwareAddr.String() == mac {
			return a.Unmap()
		}
	}
	return netip.Addr{}
}
