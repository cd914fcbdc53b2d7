package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
)

const (
	// unpinAtLeast is how long pinned addresses wait for their instance, whatever the
	// daemon says of it: with the default interval a new one is MASTER after 0.7 s.
	unpinAtLeast = 5 * time.Second
	// unpinSlowly parts two questions to the daemon where it takes longer than that.
	unpinSlowly = 500 * time.Millisecond
	// reloadLimit is how long keepalived takes at most to begin with a reload.
	reloadLimit = 1500 * time.Millisecond
	// unpinMost is how long one hook waits for that; the next one goes on from there.
	unpinMost = 30 * time.Second
	// unpinInAll is how much longer than the election the hooks may take that wait for it.
	unpinInAll = 10 * time.Minute
)

// errLater is that a follow-up is not done yet, and stays owed.
var errLater = errors.New("not yet")

// unpinLimit is how long pinned addresses wait at most for instances that elect: a
// new one is MASTER after three advertisement intervals and a part of one (RFC 9568
// section 6.1, Active_Down_Interval).
func unpinLimit(r applied.Record) time.Duration {
	return max(unpinAtLeast, 4*r.LongestInterval()+2*time.Second)
}

// electing tells that the instances of the addresses are about to become MASTER: none
// has heard another holder, none is out of the election.
func electing(instances []keepalived.InstanceState, addresses []netip.Addr) bool {
	for _, a := range addresses {
		n := slices.IndexFunc(instances, func(i keepalived.InstanceState) bool { return slices.Contains(i.Addresses, a) })
		if n < 0 || instances[n].State != keepalived.Master && (instances[n].State != keepalived.Backup || instances[n].MasterPriority != 0) {
			return false
		}
	}
	return true
}

// unpin takes pinned addresses from the loopback device, once keepalived has them
// on their own interface again. Until then the hook goes on: when it ends it tells
// what this unit runs, and standbys that hear of it take part. Where
// that takes longer than unpinMost, with advertisement intervals above 7 s, the addresses
// stay, and the unit tells nothing until a later hook has taken them off.
func (h *Host) unpin(l layout.Layout) error {
	addresses, err := h.readPinned(l)
	if err != nil || addresses == nil {
		return err
	}
	h.answer(l, addresses) // who pinned them may have been another hook, which was killed
	defer h.answer(l, nil)
	if !h.withdrawn(l) && !h.awaitChange(l, addresses) {
		return errLater
	}
	var failed error
	for _, a := range addresses {
		if err := takeOff(loopback, single(a)); err != nil {
			failed = errors.Join(failed, fmt.Errorf("cannot unpin %s: %w", a, err))
		}
	}
	if failed != nil {
		return failed
	}
	return h.remove(l.Pinned())
}

// withdrawn tells that nothing is left of what an application ran: it has handed over, and no
// instance takes the addresses.
func (h *Host) withdrawn(l layout.Layout) bool {
	return errors.Is(missing(h.path(l.Record())), fs.ErrNotExist) && errors.Is(missing(h.path(l.Fragment())), fs.ErrNotExist)
}

// readPinned lists what pin wrote down; nil when it has written nothing.
func (h *Host) readPinned(l layout.Layout) ([]netip.Addr, error) {
	text, err := os.ReadFile(h.path(l.Pinned()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot unpin addresses: %w", err)
	}
	addresses := []netip.Addr{}
	for word := range strings.FieldsSeq(string(text)) {
		if a, err := netip.ParseAddr(word); err == nil {
			addresses = append(addresses, a)
		}
	}
	return addresses, nil
}

// awaitChange waits until keepalived has the addresses on another interface than lo, or
// will not; false when neither is so after unpinMost.
func (h *Host) awaitChange(l layout.Layout, addresses []netip.Addr) bool {
	limit := unpinLimit(h.applied(l))
	for began, since := time.Now(), h.pinnedSince(l); ; h.Rest() {
		waited, there := time.Since(began), len(h.outside(l, addresses)) == len(addresses)
		var instances []keepalived.InstanceState
		if there || waited > unpinAtLeast {
			instances, _ = h.own(l) // none without an answer
		}
		switch {
		case there && changedOver(instances, addresses, since):
			return true
		case waited > unpinAtLeast && (!electing(instances, addresses) || waited > limit || time.Since(since) > limit+unpinInAll):
			return true
		case waited > unpinMost:
			return false
		case waited > unpinAtLeast:
			time.Sleep(unpinSlowly)
		}
	}
}

// pinnedSince is when the addresses were pinned; where the clock has been put back since, now.
func (h *Host) pinnedSince(l layout.Layout) time.Time {
	info, err := os.Stat(h.path(l.Pinned()))
	if err != nil {
		return time.Time{}
	}
	if now := time.Now(); info.ModTime().After(now) {
		_ = os.Chtimes(h.path(l.Pinned()), now, now) // the next hook counts from here
		return now
	}
	return info.ModTime()
}

// changedOver tells whether the instances that have the pinned addresses became MASTER
// after those were pinned. systemctl reload returns before keepalived has read
// anything: until then the old instances still have the addresses, which proves
// nothing. One that goes on as MASTER without a break is believed after reloadLimit.
func changedOver(instances []keepalived.InstanceState, addresses []netip.Addr, since time.Time) bool {
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

// outside are those of the addresses that are also on another interface than lo, one of keepalived's.
func (h *Host) outside(l layout.Layout, addresses []netip.Addr) []netip.Addr {
	others, err := h.others(l)
	if err != nil {
		return nil
	}
	all, err := netlink.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return nil
	}
	found := map[netip.Addr]bool{}
	for _, a := range all {
		if ip, ok := netip.AddrFromSlice(a.IP); ok && a.LinkIndex != loopback && !others[a.LinkIndex] {
			found[ip.Unmap()] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(addresses), func(a netip.Addr) bool { return !found[a] })
}
