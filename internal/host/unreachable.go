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

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/segment"

	"github.com/mdlayher/ethernet"
	"github.com/vishvananda/netlink"
)

// silentFile remembers which addresses did not answer last, for silentFor.
const (
	silentFile = layout.SilentFile
	silentFor  = time.Minute
)

const (
	// askLimit is a second more than the kernel asks for.
	askLimit = 4 * time.Second
	// stillLimit is for an address that the kernel has just asked for in vain: one
	// that is back answers in milliseconds. So of the hooks of one change the first
	// waits for a dead peer, and those that follow hardly.
	stillLimit = 500 * time.Millisecond
)

// Unreachable asks each address's machine for its link-layer address, by sending
// a datagram nobody reads (discard, RFC 863), and returns those that the kernel
// got no answer from, or has no way to. All of them are on segments of this
// machine; a link-local one is looked for on all of those. Where something forbids the
// datagram, as a packet filter does, the hook asks itself. An answer by a host that has
// none of the link-layer addresses told for an address, in macs, is no sign of life
// where that host answers for every address.
func (h *Host) Unreachable(addresses []netip.Addr, macs map[netip.Addr][]string) ([]netip.Addr, error) {
	places, err := onLinks(addresses)
	if err != nil {
		return nil, err
	}
	barred := map[netip.Addr][]netip.Addr{} // places that the kernel was not asked to look at
	for _, a := range addresses {
		places[a] = slices.DeleteFunc(places[a], func(at netip.Addr) bool {
			err := ask(at)
			if err != nil && !noWay(err) {
				barred[a] = append(barred[a], at)
			}
			return err != nil
		})
	}
	silent, err := h.silent(addresses, places)
	if err != nil {
		return nil, err
	}
	silent = unheard(silent, barred)
	answered := func(a netip.Addr) bool { return !slices.Contains(silent, a) }
	heard := slices.DeleteFunc(slices.Clone(addresses), func(a netip.Addr) bool { return !answered(a) })
	nobody, err := proxied(heard, places, macs)
	return slices.DeleteFunc(slices.Clone(addresses), func(a netip.Addr) bool {
		return answered(a) && !slices.Contains(nobody, a)
	}), err
}

// onLinks tells where each address may be: a link-local one (RFC 4291 section 2.5.6)
// on every link, named by its zone.
func onLinks(addresses []netip.Addr) (map[netip.Addr][]netip.Addr, error) {
	places := map[netip.Addr][]netip.Addr{}
	links, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("cannot list interfaces: %w", err)
	}
	for _, a := range addresses {
		if !a.Is6() || !a.IsLinkLocalUnicast() {
			places[a] = []netip.Addr{a}
			continue
		}
		for _, l := range links {
			if l.Flags&net.FlagLoopback == 0 && l.Flags&net.FlagUp != 0 {
				places[a] = append(places[a], a.WithZone(l.Name))
			}
		}
	}
	return places, nil
}

// ask has the kernel look for an address.
func ask(a netip.Addr) error {
	c, err := net.Dial("udp", netip.AddrPortFrom(a, 9).String())
	if err == nil {
		_, err = c.Write([]byte{0})
		c.Close()
	}
	// What was heard of an earlier datagram is news of a later one.
	if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EHOSTUNREACH) {
		return nil
	}
	return err
}

// noWay tells that an address is on no segment of this machine, as far as the kernel knows:
// any other error says nothing about who is there.
func noWay(err error) bool {
	return slices.ContainsFunc([]syscall.Errno{syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT,
		syscall.EINVAL, syscall.ENODEV, syscall.ENXIO}, func(e syscall.Errno) bool { return errors.Is(err, e) })
}

// unheard asks for addresses by ARP and neighbour discovery, at the places where the kernel
// was not asked to look, and returns those without an answer. Who cannot be asked for is there.
func unheard(silent []netip.Addr, barred map[netip.Addr][]netip.Addr) []netip.Addr {
	question := conflict.Question{Listen: proxyLook, Named: true}
	on := map[netip.Addr]string{}
	for _, a := range silent {
		for _, at := range barred[a] {
			if on[at] = wire(at); on[at] != "" {
				question.Segments = askOn(question.Segments, on[at], a)
			}
		}
	}
	if len(on) == 0 {
		return silent
	}
	look := segment.Look(question)
	return slices.DeleteFunc(silent, func(a netip.Addr) bool {
		return slices.ContainsFunc(barred[a], func(at netip.Addr) bool { return on[at] == "" || perhaps(look, on[at], a) })
	})
}

// wire is the interface on which an address can be asked for, empty for none.
func wire(a netip.Addr) string {
	ifi, err := net.InterfaceByName(a.Zone())
	if a.Zone() == "" {
		var routes []netlink.Route
		if routes, err = netlink.RouteGet(a.AsSlice()); err != nil || len(routes) == 0 || routes[0].Gw != nil {
			return ""
		}
		ifi, err = net.InterfaceByIndex(routes[0].LinkIndex)
	}
	if err != nil || len(ifi.HardwareAddr) != len(ethernet.Broadcast) {
		return ""
	}
	return ifi.Name
}

// perhaps tells that somebody has an address, or that a look does not say.
func perhaps(l conflict.Look, iface string, a netip.Addr) bool {
	return len(l.Faults) > 0 || len(l.Proxies) > 0 || slices.ContainsFunc(l.Answers, func(answer conflict.Answer) bool {
		return answer.Interface == iface && answer.Address == a
	})
}

// silent waits for what the kernel hears of addresses at the places it was asked to
// look at, and returns those that it hears of at none.
func (h *Host) silent(addresses []netip.Addr, places map[netip.Addr][]netip.Addr) ([]netip.Addr, error) {
	still, err := h.stillSilent()
	if err != nil {
		return nil, err
	}
	// An entry from before proves nothing: the kernel is to ask anew, three times
	// a second apart (arp(7), ucast_solicit and mcast_solicit).
	for _, at := range places {
		if err := probeNeighbours(at); err != nil {
			return nil, err
		}
	}
	failed := map[netip.Addr]bool{}
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		entries, err := neighbourEntries()
		if err != nil {
			return nil, err
		}
		for a := range still {
			failed[a] = failed[a] || time.Since(begun) > stillLimit
		}
		var silent, remember []netip.Addr
		pending := false
		for _, a := range addresses {
			unheard, waits := unanswered(places[a], entries, failed)
			if len(unheard) == len(places[a]) {
				silent, remember, pending = append(silent, a), append(remember, unheard...), pending || waits
			}
		}
		if !pending || time.Since(begun) > askLimit {
			h.rememberSilent(remember)
			return silent, nil
		}
	}
}

// stillSilent lists the addresses that did not answer a moment ago and have been
// heard by nobody on this machine since. What cannot be read is not remembered.
func (h *Host) stillSilent() (map[netip.Addr]bool, error) {
	still := map[netip.Addr]bool{}
	info, err := os.Stat(h.path(silentFile))
	if err != nil || time.Since(info.ModTime()).Abs() > silentFor {
		return still, nil
	}
	text, err := os.ReadFile(h.path(silentFile))
	if err != nil {
		return still, nil
	}
	entries, err := neighbourEntries()
	if err != nil {
		return nil, err
	}
	for word := range strings.FieldsSeq(string(text)) {
		a, err := netip.ParseAddr(word)
		if err == nil && entries[a].State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE) != 0 {
			still[a] = true
		}
	}
	return still, nil
}

// rememberSilent keeps who did not answer for the hooks that follow. Where it cannot,
// on a full or read-only /run, those wait as long as this one did, and nothing else.
func (h *Host) rememberSilent(silent []netip.Addr) {
	if len(silent) == 0 {
		_ = h.remove(silentFile) // what stays is too old in a minute
		return
	}
	var words []string
	for _, a := range silent {
		words = append(words, a.String())
	}
	_ = h.write(silentFile, strings.Join(words, "\n"), 0o600)
}

// unanswered lists the addresses that gave no answer yet, and tells whether one of
// them still may. An advertisement sent to a peer whose entry has failed has the
// kernel begin anew at once, so failed remembers which did.
func unanswered(addresses []netip.Addr, entries map[netip.Addr]netlink.Neigh, failed map[netip.Addr]bool) (silent []netip.Addr, pending bool) {
	for _, a := range addresses {
		switch state := entries[a].State; {
		case state&netlink.NUD_FAILED != 0:
			failed[a] = true
		case state&(netlink.NUD_INCOMPLETE|netlink.NUD_PROBE) != 0:
			pending = pending || !failed[a]
		default:
			delete(failed, a)
			continue
		}
		silent = append(silent, a)
	}
	return silent, pending
}

// probeNeighbours has the kernel ask for link-layer addresses it already knows.
func probeNeighbours(addresses []netip.Addr) error {
	entries, err := neighbourEntries()
	if err != nil {
		return err
	}
	for _, a := range addresses {
		n, known := entries[a]
		if !known || n.State&(netlink.NUD_REACHABLE|netlink.NUD_STALE|netlink.NUD_DELAY) == 0 {
			continue
		}
		n.State = netlink.NUD_PROBE
		if err := netlink.NeighSet(&n); err != nil {
			return fmt.Errorf("cannot ask for %s: %w", a, err)
		}
	}
	return nil
}

// neighbourEntries returns the kernel's neighbour table by address, link-local ones
// with their zone; of an address that several interfaces know that where the way to it leads,
// as another, such as one that became a port of a bridge, may have kept an entry that nothing
// is sent by. States are those of rtnetlink(7), NUD_*.
func neighbourEntries() (map[netip.Addr]netlink.Neigh, error) {
	list, err := netlink.NeighList(0, netlink.FAMILY_ALL)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("cannot list neighbours: %w", err)
	}
	entries := map[netip.Addr]netlink.Neigh{}
	for _, n := range list {
		ip, ok := netip.AddrFromSlice(n.IP)
		if !ok {
			continue
		}
		ip = ip.Unmap()
		if ip.Is6() && ip.IsLinkLocalUnicast() {
			link, err := net.InterfaceByIndex(n.LinkIndex)
			if err != nil {
				continue // it is gone by now
			}
			ip = ip.WithZone(link.Name)
		}
		if _, twice := entries[ip]; twice && !leads(n.LinkIndex, ip) {
			continue
		}
		entries[ip] = n
	}
	return entries, nil
}

// leads tells that the way to an address is by an interface.
func leads(index int, a netip.Addr) bool {
	routes, err := netlink.RouteGet(a.AsSlice())
	return err == nil && len(routes) > 0 && routes[0].LinkIndex == index
}
