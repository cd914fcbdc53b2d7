package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"keepalived-charm/internal/layout"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// loopback is the index of lo, the same in every network namespace (net/core/dev.c,
// LOOPBACK_IFINDEX).
const loopback = 1

// pin puts addresses on the loopback device. The list is written first, so that a
// later hook finds what one that was killed left there. What the kernel refuses there, as
// IPv6 where that is disabled, is left to the change: the others are not to hang.
func (h *Host) pin(l layout.Layout, addresses []netip.Addr) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("cannot pin addresses: %w", err)
	}
	owners, err := h.owners(l, lo)
	if err != nil {
		return err
	}
	var words []string
	for _, a := range addresses {
		if !owners[a] {
			words = append(words, a.String())
		}
	}
	if err := h.write(l.Pinned(), strings.Join(words, "\n"), 0o600); err != nil {
		return err
	}
	h.pins = true
	var there []netip.Addr
	for _, a := range addresses {
		if err := netlink.AddrAdd(lo, single(a)); err != nil && !errors.Is(err, syscall.EEXIST) {
			fmt.Fprintf(os.Stderr, "cannot pin %s, it is away for a moment: %v\n", a, err)
			continue
		}
		there = append(there, a)
	}
	for _, a := range there {
		awaitRoute(lo, a)
	}
	h.answer(l, there)
	return nil
}

// owners are the addresses that lo has by somebody else, as a real server of LVS has the virtual
// IPs: they stay there.
func (h *Host) owners(l layout.Layout, lo netlink.Link) (map[netip.Addr]bool, error) {
	ours, err := h.readPinned(l)
	if err != nil {
		return nil, err
	}
	all, err := netlink.AddrList(lo, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("cannot list addresses: %w", err)
	}
	list := map[netip.Addr]bool{}
	for _, a := range all {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && !slices.Contains(ours, ip.Unmap()) {
			list[ip.Unmap()] = true
		}
	}
	return list, nil
}

// takeBack takes from the loopback device what this hook pinned for a change that it fails
// to make: the next holder would be the second one. What is nowhere else waits for its
// instance, as another hook made a change for it.
func (h *Host) takeBack(l layout.Layout) {
	addresses, err := h.readPinned(l)
	back := h.outside(l, addresses)
	for _, a := range back {
		err = errors.Join(err, takeOff(loopback, single(a)))
	}
	h.answer(l, slices.DeleteFunc(addresses, func(a netip.Addr) bool { return slices.Contains(back, a) }))
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot take back what was pinned: %v\n", err)
	}
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
