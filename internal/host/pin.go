package host

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"syscall"

	"keepalived-charm/internal/layout"

	"github.com/vishvananda/netlink"
)

func pinned(l layout.Layout) string { return filepath.Join(l.State(), "pinned") }

// pin puts addresses on the loopback device. The list is written first, so that a
// later hook finds what one that was killed left there.
func (h *Host) pin(l layout.Layout, addresses []netip.Addr) error {
	var words []string
	for _, a := range addresses {
		words = append(words, a.String())
	}
	if err := h.write(pinned(l), strings.Join(words, "\n"), 0o600); err != nil {
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
	h.answer(l, addresses)
	return nil
}

// single is an address alone, without its subnet.
func single(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}}
}
