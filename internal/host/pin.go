package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/reconcile"
)

// unpinLimit bounds how long pinned addresses wait for their instance: a new one
// is MASTER after three advertisement intervals, with the default after 0.7 s.
const unpinLimit = 5 * time.Second

// reloadLimit is how long keepalived takes at most to begin with a reload.
const reloadLimit = 1500 * time.Millisecond

func pinned(l reconcile.Layout) string { return filepath.Join(l.State(), "pinned") }

// pin puts addresses on the loopback device. The list is written first, so that a
// later hook finds what one that was killed left there.
func (h *Host) pin(l reconcile.Layout, addresses []netip.Addr) error {
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
	return nil
}

// unpin takes pinned addresses from the loopback device, once keepalived has them
// on their own interface again.
func (h *Host) unpin(l reconcile.Layout) error {
	text, err := os.ReadFile(h.path(pinned(l)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot unpin addresses: %w", err)
	}
	var addresses []netip.Addr
	for word := range strings.FieldsSeq(string(text)) {
		if a, err := netip.ParseAddr(word); err == nil {
			addresses = append(addresses, a)
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("cannot unpin addresses: %w", err)
	}
	since := h.pinnedSince(l)
	for deadline := time.Now().Add(unpinLimit); time.Now().Before(deadline); h.Rest() {
		if elsewhere(addresses, lo.Attrs().Index) && h.changedOver(l, addresses, since) {
			break
		}
	}
	for _, a := range addresses {
		if err := netlink.AddrDel(lo, single(a)); err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			return fmt.Errorf("cannot unpin %s: %w", a, err)
		}
	}
	return h.remove(pinned(l))
}

// pinnedSince is when the addresses were pinned.
func (h *Host) pinnedSince(l reconcile.Layout) time.Time {
	info, err := os.Stat(h.path(pinned(l)))
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// changedOver tells whether the instances that have the pinned addresses became MASTER
// after those were pinned. systemctl reload returns before keepalived has read
// anything: until then the old instances still have the addresses, which proves
// nothing. One that goes on as MASTER without a break is believed after reloadLimit.
func (h *Host) changedOver(l reconcile.Layout, addresses []netip.Addr, since time.Time) bool {
	instances, err := h.own(l)
	if err != nil {
		return false
	}
	for _, a := range addresses {
		n := slices.IndexFunc(instances, func(i keepalived.InstanceState) bool { return slices.Contains(i.Addresses, a) })
		if n < 0 || instances[n].State != keepalived.Master {
			return false
		}
		began := time.UnixMicro(int64(instances[n].LastTransition * 1e6))
		if !began.After(since) && time.Since(since) <= reloadLimit {
			return false
		}
	}
	return true
}

// single is an address alone, without its subnet.
func single(a netip.Addr) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}}
}

// elsewhere tells whether every address is also on another interface.
func elsewhere(addresses []netip.Addr, than int) bool {
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return false
	}
	found := map[netip.Addr]bool{}
	for _, a := range all {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && a.LinkIndex != than {
			found[ip.Unmap()] = true
		}
	}
	for _, a := range addresses {
		if !found[a] {
			return false
		}
	}
	return true
}
