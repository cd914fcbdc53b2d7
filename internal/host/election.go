package host

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/vrrp"
)

// longestElection bounds how long a hook waits for an election, whatever the
// advertisement interval: an outcome that comes later is told by the notifier.
const longestElection = 2 * time.Second

// startPatience is how much longer it may take when keepalived is just starting:
// systemd waits 0.2 s before that.
const startPatience = 500 * time.Millisecond

// awaitElection waits until every instance has found out who holds, itself or
// another unit: right after a start or reload the daemon does not know yet, and
// the status would have to say so. A standby that hears nobody takes over after
// three advertisement intervals (RFC 9568 section 6.1, Active_Down_Interval).
// With patience it also waits for a daemon that does not answer yet.
func (h *Host) awaitElection(l layout.Layout, patience time.Duration) error {
	record := h.applied(l)
	if !record.Serves() {
		return nil
	}
	written := map[string][]netip.Addr{}
	for number, addresses := range record.All() {
		written[l.At(number).Instance()] = addresses
	}
	for deadline := time.Now().Add(min(4*record.LongestInterval()+300*time.Millisecond, longestElection) + patience); ; h.Rest() {
		instances, err := h.own(l)
		waiting := slices.ContainsFunc(instances, func(i keepalived.InstanceState) bool {
			return !sameAddresses(i.Addresses, written[i.Name]) || h.undecided(l, i)
		})
		decided := !waiting && len(instances) >= len(written)
		if err != nil || len(instances) == 0 && patience == 0 || decided || time.Now().After(deadline) {
			return err
		}
	}
}

// undecided tells that an instance has yet to find out who holds. One in the FAULT state
// that its track file does not keep there has just been let in again.
func (h *Host) undecided(l layout.Layout, i keepalived.InstanceState) bool {
	switch i.State {
	case keepalived.Init:
		return true
	case keepalived.Backup:
		return i.MasterPriority == 0
	case keepalived.Fault:
		value, err := h.trackValue(l.TrackFileOf(i.Name))
		return err == nil && value != vrrp.StepAside
	}
	return false
}

// sameAddresses tells that a daemon has read what is written.
func sameAddresses(read, written []netip.Addr) bool {
	byValue := func(list []netip.Addr) []netip.Addr {
		return slices.SortedFunc(slices.Values(list), netip.Addr.Compare)
	}
	return slices.Equal(byValue(read), byValue(written))
}

// own asks the daemon for the application's instances; none when there is no answer.
func (h *Host) own(l layout.Layout) ([]keepalived.InstanceState, error) {
	found, err := h.services(l)
	if err != nil || found[keepalivedService].state != "active" {
		return nil, err
	}
	daemon := found[keepalivedService]
	return slices.DeleteFunc(h.instances(daemon.pid, h.program(l, daemon).Report), func(i keepalived.InstanceState) bool { return !l.Owns(i.Name) }), nil
}

// others lists the interfaces whose addresses are not the charm's business, by index.
func (h *Host) others(l layout.Layout) (map[int]bool, error) {
	return others(h.applied(l).Uses)
}

// flushStray removes addresses that the unit has without being MASTER. It asks
// again first: they are the unit's if it has become MASTER since. On the loopback
// device only anchors are keepalived's.
func (h *Host) flushStray(l layout.Layout, stray []netip.Addr) error {
	instances, err := h.own(l)
	if err != nil {
		return err
	}
	for _, i := range instances {
		if i.State == keepalived.Master {
			stray = slices.DeleteFunc(slices.Clone(stray), func(a netip.Addr) bool { return slices.Contains(i.Addresses, a) })
		}
	}
	others, err := h.others(l)
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
		if ip = ip.Unmap(); !ok || others[a.LinkIndex] || !slices.Contains(stray, ip) || a.LinkIndex == loopback && !vrrp.IsAnchor(ip) {
			continue
		}
		if err := takeOff(a.LinkIndex, &a); err != nil {
			failed = errors.Join(failed, fmt.Errorf("cannot remove stray address %s: %w", ip, err))
		}
	}
	return failed
}

// putBack puts addresses back that keepalived takes for there, as it would: where the
// installed configuration has them. It asks again before, and after: another unit may
// have taken over meanwhile. What the kernel refuses, as IPv6 where that is disabled, stays
// away, and the status tells.
func (h *Host) putBack(l layout.Layout, lost []netip.Addr) error {
	placed := h.applied(l).Addresses
	mine := func() ([]netip.Addr, error) {
		instances, err := h.own(l)
		return slices.DeleteFunc(slices.Clone(lost), func(a netip.Addr) bool {
			return !slices.ContainsFunc(instances, func(i keepalived.InstanceState) bool {
				return i.State == keepalived.Master && slices.Contains(i.Addresses, a)
			})
		}), err
	}
	back, err := mine()
	if err != nil {
		return err
	}
	for _, a := range back {
		at, known := placed[a]
		link, err := netlink.LinkByName(at.Interface)
		if !known || err != nil {
			continue // keepalived waits for the interface
		}
		address := &netlink.Addr{IPNet: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(at.Bits, a.BitLen())}}
		if a.Is6() {
			// As keepalived does: nobody else has it, it is wanted at once, and alone it is
			// the source of nothing (deprecated, vrrp_ipaddress.c, alloc_ipaddress).
			address.Flags = unix.IFA_F_NODAD
			if at.Bits == a.BitLen() {
				address.ValidLft = math.MaxUint32 // for ever
			}
		}
		if err := netlink.AddrAdd(link, address); err != nil && !errors.Is(err, unix.EEXIST) {
			fmt.Fprintf(os.Stderr, "cannot restore %s on %s: %v\n", a, at.Interface, err)
		}
	}
	kept, err := mine()
	if err != nil || len(kept) == len(back) {
		return err
	}
	return h.flushStray(l, slices.DeleteFunc(back, func(a netip.Addr) bool { return slices.Contains(kept, a) }))
}
