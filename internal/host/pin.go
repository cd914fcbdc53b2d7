package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"

	"keepalived-charm/internal/layout"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// pin puts addresses on the loopback device. The list is written first, so that a
// later hook finds what one that was killed left there.
func (h *Host) pin(l layout.Layout, addresses []netip.Addr) error {
	var words []string
	for _, a := range addresses {
		words = append(words, a.String())
	}
	if err := h.write(l.Pinned(), strings.Join(words, "\n"), 0o600); err != nil {
		return err
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("cannot pin addresses: %w", err)
	}
	for _, a := range addresses {
		if err := netlink.AddrAdd(lo, single(a)); err != nil && !errors.Is(err, syscall.EEXIST) {
			return fmt.Errorf("cannot pin %s: %w", a, err)
		}
	}
	for _, a := range addresses {
		awaitRoute(lo, a)
	}
	h.answer(l, addresses)
	return nil
}

// awaitRoute waits until packets to a pinned address are this machine's. IPv6 gets the
// local route of an address later than the address (net/ipv6/addrconf.c, addrconf_dad_work:
// some milliseconds); when the address leaves its interface before, nobody answers. What
// does not come in a second is left to the change: a virtual IP that is away for a moment
// is better than a change that nobody makes.
func awaitRoute(lo netlink.Link, a netip.Addr) {
	if a.Is4() {
		return
	}
	at := &netlink.Route{Table: unix.RT_TABLE_LOCAL, LinkIndex: lo.Attrs().Index, Dst: single(a).IPNet}
	for range 500 {
		routes, err := netlink.RouteListFiltered(netlink.FAMILY_V6, at, netlink.RT_FILTER_TABLE|netlink.RT_FILTER_OIF|netlink.RT_FILTER_DST)
		if err == nil && len(routes) > 0 {
			return
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// single is an address alone, without its subnet.
func single(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}}
}
