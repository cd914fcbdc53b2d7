package host

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"keepalived-charm/internal/reconcile"
)

// observeNetwork reads interfaces, addresses and default routes from the kernel.
func observeNetwork(m *reconcile.Machine) error {
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
		at := l.Attrs()
		names[at.Index] = at.Name
		m.Interfaces = append(m.Interfaces, reconcile.Interface{
			Name:      at.Name,
			MAC:       at.HardwareAddr.String(),
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

// defaultInterface returns the interface of the default route with the lowest
// metric, empty when there is none.
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
		if whole && names[r.LinkIndex] != "" && (metric < 0 || r.Priority < metric) {
			name, metric = names[r.LinkIndex], r.Priority
		}
	}
	return name, nil
}

// flush removes addresses from every interface: before keepalived starts, what a
// crashed one left behind would make two holders.
func flush(stale []netip.Addr) error {
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("cannot list network addresses: %w", err)
	}
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		for _, s := range stale {
			if ip.Unmap() != s {
				continue
			}
			link, err := netlink.LinkByIndex(a.LinkIndex)
			if err == nil {
				err = netlink.AddrDel(link, &a)
			}
			if err != nil {
				return fmt.Errorf("cannot remove stale address %s: %w", s, err)
			}
		}
	}
	return nil
}
