package checker

import (
	"net/netip"

	"github.com/vishvananda/netlink"
)

// primaries are the addresses of the machine's own on the instances' interfaces, as
// far as events told of them: without one keepalived cannot take part, and it tells
// nobody when one is back.
type primaries map[place]bool

// place is an address on an interface.
type place struct {
	ip   netip.Addr
	link int
}

// news tells whether an event changes what is there. Routers and DHCP servers have
// the kernel tell of the same address again and again.
func (p primaries) news(ip netip.Addr, link int, there bool) bool {
	at := place{ip, link}
	if !there {
		delete(p, at)
		return true
	}
	if p[at] {
		return false
	}
	p[at] = true
	return true
}

// primaryChanged tells the others of an own address that came or went.
func (l *loop) primaryChanged(u netlink.AddrUpdate) {
	ip, ok := netip.AddrFromSlice(u.LinkAddress.IP)
	link, err := netlink.LinkByIndex(u.LinkIndex)
	if !ok || err != nil {
		return
	}
	for _, name := range l.config.Links {
		if name == link.Attrs().Name && l.primaries.news(ip.Unmap(), u.LinkIndex, u.NewAddr) {
			l.news.tell()
		}
	}
}
