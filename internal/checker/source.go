package checker

import (
	"maps"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// sources are the addresses that keepalived sends from on the instances' interfaces, by
// interface and family: over IPv4 the first that is no virtual IP, over IPv6 the first
// link-local one. Without one it cannot take part, and it tells nobody when one is back. The
// others come and go, as routers advertise them, and change nothing.
type sources map[source]netip.Addr

type source struct {
	link string
	six  bool
}

// readSources learns the sources of now; false where the kernel does not tell.
func (l *loop) readSources() (sources, bool) {
	found := sources{}
	for _, name := range l.config.Links {
		link, err := netlink.LinkByName(name)
		if err != nil {
			continue // it has none
		}
		list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
		if err != nil {
			return nil, false
		}
		for _, a := range list {
			ip, ok := netip.AddrFromSlice(a.IP)
			ip = ip.Unmap()
			at := source{name, ip.Is6()}
			_, ours := l.watched[a.IP.String()]
			usable := !at.six || ip.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0
			if ok && !ours && usable && !found[at].IsValid() {
				found[at] = ip
			}
		}
	}
	return found, true
}

// addressChanged tells the others of a source that came, went or changed.
func (l *loop) addressChanged() {
	now, ok := l.readSources()
	if !ok {
		return // it is looked at again with the next address
	}
	if before := l.sources; before != nil && !maps.Equal(before, now) {
		l.news.tell()
	}
	l.sources = now
}
