package host

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/vrrp"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// observeNetwork reads interfaces, addresses and default routes from the kernel.
func (h *Host) observeNetwork(m *facts.Machine) error {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("cannot list network interfaces: %w", err)
	}
	names := map[int]string{}
	addresses := map[int][]netip.Prefix{}
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("cannot list network addresses: %w", err)
	}
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		bits, _ := a.Mask.Size()
		addresses[a.LinkIndex] = append(addresses[a.LinkIndex], netip.PrefixFrom(ip.Unmap(), bits))
	}
	for _, l := range links {
		names[l.Attrs().Index] = l.Attrs().Name
	}
	for _, l := range links {
		at := l.Attrs()
		m.Interfaces = append(m.Interfaces, facts.Interface{
			Name:      at.Name,
			MAC:       at.HardwareAddr.String(),
			Kind:      kind(l),
			Master:    names[at.MasterIndex],
			NoARP:     noARP(l),
			NoIPv6:    h.noIPv6(at.Name, addresses[at.Index]),
			Up:        at.OperState == netlink.OperUp || at.OperState == netlink.OperUnknown,
			Addresses: addresses[at.Index],
		})
	}
	if m.DefaultInterface4, err = defaultInterface(netlink.FAMILY_V4, names); err != nil {
		return err
	}
	m.DefaultInterface6, err = defaultInterface(netlink.FAMILY_V6, names)
	return err
}

// kind is the kernel's word for an interface made of software, which netlink calls
// "device" where it has none.
func kind(l netlink.Link) string {
	if l.Type() == "device" {
		return ""
	}
	return l.Type()
}

// noARP tells an interface that answers for no address (linux/if.h, IFF_NOARP).
func noARP(l netlink.Link) bool { return l.Attrs().RawFlags&unix.IFF_NOARP != 0 }

// noIPv6 tells that the kernel takes no IPv6 address on an interface, which has none then.
func (h *Host) noIPv6(name string, has []netip.Prefix) bool {
	if slices.ContainsFunc(has, func(p netip.Prefix) bool { return p.Addr().Is6() }) {
		return false
	}
	text, err := os.ReadFile(h.path("/proc/sys/net/ipv6/conf", name, "disable_ipv6"))
	return err == nil && strings.TrimSpace(string(text)) == "1"
}

// defaultInterface returns the interface of the default route with the lowest
// metric, the first of one with several gateways; empty when there is none.
func defaultInterface(family int, names map[int]string) (string, error) {
	routes, err := netlink.RouteList(nil, family)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return "", fmt.Errorf("cannot list routes: %w", err)
	}
	name, metric := "", -1
	for _, r := range routes {
		whole := r.Dst == nil
		if r.Dst != nil {
			bits, _ := r.Dst.Mask.Size()
			whole = bits == 0 && r.Dst.IP.IsUnspecified()
		}
		by := r.LinkIndex
		if len(r.MultiPath) > 0 {
			by = r.MultiPath[0].LinkIndex
		}
		// IPv6 names lo for one that is unreachable.
		if whole && r.Type == unix.RTN_UNICAST && names[by] != "" && (metric < 0 || r.Priority < metric) {
			name, metric = names[by], r.Priority
		}
	}
	return name, nil
}

// others lists the interfaces, by index, whose addresses are not the charm's business:
// they answer for none, and ours tells none of them by name.
func others(ours func(name string) bool) (map[int]bool, error) {
	links, err := netlink.LinkList()
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("cannot list network interfaces: %w", err)
	}
	list := map[int]bool{}
	for _, l := range links {
		if noARP(l) && !ours(l.Attrs().Name) {
			list[l.Attrs().Index] = true
		}
	}
	return list, nil
}

// flush removes the addresses of a configuration from every interface, but for those that others
// put there: before keepalived starts, what a crashed one left behind would make two holders.
func (h *Host) flush(c healthcheck.Config) error {
	ours := func(name string) bool { return slices.Contains(c.Links, name) }
	stale := virtualAddresses(c)
	// What cannot be read is on lo for a hook to take off.
	pinned, _ := h.readPinned(layout.Layout{Application: c.Application})
	others, err := others(ours)
	if err != nil {
		return err
	}
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("cannot list network addresses: %w", err)
	}
	var failed error
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		if ip = ip.Unmap(); !ok || !slices.Contains(stale, ip) || others[a.LinkIndex] {
			continue
		}
		// A real server of LVS has a virtual IP on lo, by its owner, and answers for it to none but
		// its director.
		if a.LinkIndex == loopback && !vrrp.IsAnchor(ip) && !slices.Contains(pinned, ip) && !ours("lo") {
			continue
		}
		if err := takeOff(a.LinkIndex, &a); err != nil {
			failed = errors.Join(failed, fmt.Errorf("cannot remove stale address %s: %w", ip, err))
		}
	}
	return failed
}

// takeOff takes an address from an interface. Since it was listed it may have gone by itself,
// with its interface, or with another address of its subnet.
func takeOff(index int, a *netlink.Addr) error {
	link, err := netlink.LinkByIndex(index)
	if err == nil {
		err = netlink.AddrDel(link, a)
	}
	for _, gone := range []error{unix.EADDRNOTAVAIL, unix.ENODEV, unix.ENXIO} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	if errors.As(err, &netlink.LinkNotFoundError{}) {
		return nil
	}
	return err
}
