package host

import (
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/layout"
)

// Lacking puts virtual IPs back that a MASTER has lost and takes for there, as hooks do
// (step.Restore): what the health checker calls for, which sees it, where no hook comes.
// The configuration is the health checker's.
func (h *Host) Lacking(config string) error {
	c, err := h.readChecker(config)
	if err != nil {
		return err
	}
	l := layout.Layout{Application: c.Application}
	placed := h.applied(l).Addresses
	maps.DeleteFunc(placed, func(a netip.Addr, at applied.Place) bool { return on(at.Interface, a) || on("lo", a) })
	return h.putBack(l, slices.Collect(maps.Keys(placed)))
}

// on tells whether an interface has an address.
func on(iface string, a netip.Addr) bool {
	link, err := netlink.LinkByName(iface)
	if err != nil {
		return false
	}
	list, _ := netlink.AddrList(link, netlink.FAMILY_ALL)
	return slices.ContainsFunc(list, func(have netlink.Addr) bool { return have.IP.Equal(net.IP(a.AsSlice())) })
}
