package conflict

import (
	"cmp"
	"net/netip"
	"slices"

	"keepalived-charm/internal/vrrp"
)

// Judge lists what is wrong, the worst first.
func Judge(v View, l Look) []Finding {
	known := v.macs(l)
	findings := slices.Concat(v.routers(l, known), v.addresses(l, known))
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Kind, b.Kind) })
	return findings
}

// macs tells whose an interface is, of which there may be several on one machine: what the
// peers told, and who answers at a peer's own address now.
func (v View) macs(l Look) map[string][]Peer {
	known := map[string][]Peer{}
	for _, p := range v.Peers {
		for _, m := range p.MACs {
			known[m] = append(known[m], p)
		}
		for _, a := range l.Answers {
			if slices.Contains(p.Addresses, a.Address) && a.By.MAC != "" {
				known[a.By.MAC] = append(known[a.By.MAC], p)
			}
		}
	}
	return known
}

// Sender names the peer whose advertisement it is; empty for a stranger's.
func (v View) Sender(l Look, h Heard) string { return v.sender(v.macs(l), h) }

// Answerer names the peer that has a virtual IP at which a host answers; empty for a stranger.
func (v View) Answerer(l Look, h Host) string { return v.answerer(v.macs(l), h) }

// Near names the peer on whose machine a host is; empty for none.
func (v View) Near(l Look, h Host) string { return v.peerOf(v.macs(l), h) }

// sender goes by what the peer told: another application of the charm may send from its
// machine, on which it keeps this one from serving.
func (v View) sender(known map[string][]Peer, h Heard) string {
	if v.foreign(h) {
		return ""
	}
	return name(v.peersOf(known, h.Sender), func(p Peer) bool { return slices.Contains(p.Routers, h.VirtualRouterID) })
}

// foreign tells an advertisement of the unit's virtual routers that no unit of its group
// sends: each advertises the constant address of the virtual router, or in a group with
// units of the Python charm virtual IPs.
func (v View) foreign(h Heard) bool {
	return v.ours(h) && len(h.Addresses) > 0 && !slices.ContainsFunc(h.Addresses, func(a netip.Addr) bool {
		return a == v.Runs.Anchor || a == vrrp.Anchor(h.VirtualRouterID, a.Is6()) || slices.Contains(v.VirtualIPs, a)
	})
}

func (v View) answerer(known map[string][]Peer, h Host) string {
	return name(v.peersOf(known, h), func(p Peer) bool { return p.Runs != nil })
}

// name returns that of the first peer that is so; empty for none.
func name(peers []Peer, so func(Peer) bool) string {
	if n := slices.IndexFunc(peers, so); n >= 0 {
		return peers[n].Name
	}
	return ""
}

// peerOf names a peer on whose machine somebody is.
func (v View) peerOf(known map[string][]Peer, h Host) string {
	return name(v.peersOf(known, h), func(Peer) bool { return true })
}

// peersOf are the peers on the machine that somebody is on.
func (v View) peersOf(known map[string][]Peer, h Host) []Peer {
	at := slices.DeleteFunc(slices.Clone(v.Peers), func(p Peer) bool { return !slices.Contains(p.Addresses, h.Address) })
	if len(at) > 0 {
		return at
	}
	return known[h.MAC]
}

// ours tells an advertisement of the unit's virtual routers: IPv4 and IPv6 have
// virtual routers of their own (RFC 9568 section 5.2.3).
func (v View) ours(h Heard) bool {
	return h.Interface == v.Interface && slices.Contains(v.Routers, h.VirtualRouterID) && h.Six() == v.Runs.Anchor.Is6()
}

// routers finds strangers that advertise the virtual router ID. A unit that takes
// advertisements from its peers alone (unicast) is not disturbed by others. Who sends
// from a peer's machine may be that peer before it has told so.
func (v View) routers(l Look, known map[string][]Peer) []Finding {
	var findings []Finding
	if v.Runs.Mode == vrrp.Unicast {
		return nil
	}
	for _, h := range l.Heard {
		if !v.ours(h) || v.sender(known, h) != "" {
			continue
		}
		kind, near := RouterTaken, v.peerOf(known, h.Sender)
		if near == "" && v.Incomplete || near != "" && !v.Estranged {
			kind = RouterMaybeTaken
		}
		findings = append(findings, Finding{Kind: kind, Host: h.Sender, Peer: near, Said: h.Advertisement})
	}
	return findings
}

// addresses finds who else has a virtual IP. One finding tells of all virtual IPs
// that a peer has; a stranger is told for each.
func (v View) addresses(l Look, known map[string][]Peer) []Finding {
	var findings []Finding
	told := map[string]bool{}
	for _, a := range l.Answers {
		if !slices.Contains(v.VirtualIPs, a.Address) {
			continue
		}
		peer, near := v.answerer(known, a.By), v.peerOf(known, a.By)
		both := slices.Contains(v.Held, a.Address) && a.Last
		switch {
		case peer == "" && (near == "" && v.Incomplete || near != "" && !both):
			findings = append(findings, Finding{Kind: AddressMaybeTaken, Host: named(l, a.By), Peer: near, Address: a.Address})
		case peer == "":
			findings = append(findings, Finding{Kind: AddressTaken, Host: named(l, a.By), Address: a.Address})
		case told[peer]:
		case both:
			told[peer] = true
			path := v.path(l, known, peer)
			if v.apart(peer) {
				path = Apart
			}
			findings = append(findings, Finding{Kind: TwoHolders, Host: a.By, Peer: peer, Address: a.Address, Path: path})
		case !slices.Contains(v.Held, a.Address) && !slices.Contains(v.Followed, a.Address) && v.expects(peer) && v.path(l, known, peer) != Arrives:
			told[peer] = true
			findings = append(findings, Finding{Kind: HolderUnheard, Host: a.By, Peer: peer, Address: a.Address, Path: v.path(l, known, peer)})
		}
	}
	return findings
}

// named adds an address that the host is known by.
func named(l Look, h Host) Host {
	for _, other := range l.Heard {
		if !h.Address.IsValid() && h.MAC != "" && other.Sender.MAC == h.MAC {
			h.Address = other.Sender.Address
		}
	}
	return h
}

// path tells what becomes of a peer's advertisements, of whichever virtual router.
func (v View) path(l Look, known map[string][]Peer, peer string) Path {
	p := Lost
	for _, h := range l.Heard {
		if h.Interface != v.Interface || h.Six() != v.Runs.Anchor.Is6() || v.sender(known, h) != peer {
			continue
		}
		if h.Delivered {
			return Arrives
		}
		p = Dropped
	}
	return p
}

// apart tells that a peer runs what this unit does not understand.
func (v View) apart(peer string) bool {
	return slices.ContainsFunc(v.Peers, func(p Peer) bool { return p.Name == peer && p.Runs != nil && !v.Runs.Understands(*p.Runs) })
}

// expects tells that a peer's advertisements were to be heard: by multicast, of the
// same virtual router, three of them in the time listened.
func (v View) expects(peer string) bool {
	return slices.ContainsFunc(v.Peers, func(p Peer) bool {
		return p.Name == peer && p.Runs != nil && p.Runs.Mode == vrrp.Multicast && v.Runs.Mode == vrrp.Multicast &&
			p.Runs.VirtualRouterID == v.Runs.VirtualRouterID && p.Runs.Anchor.Is6() == v.Runs.Anchor.Is6() &&
			3*p.Runs.Interval <= v.Listened
	})
}

// Free suggests a virtual router ID that nobody was heard to use: the next one after
// the present with that many free in a row, without those in use on this machine; 0
// when there is none.
func Free(l Look, six bool, present vrrp.VirtualRouterID, count int, here []vrrp.VirtualRouterID) vrrp.VirtualRouterID {
	used := map[vrrp.VirtualRouterID]bool{present: true}
	for _, id := range here {
		used[id] = true
	}
	for _, h := range l.Heard {
		if h.Six() == six {
			used[h.VirtualRouterID] = true
		}
	}
	const all = 255
	for n := range all {
		first := (present+vrrp.VirtualRouterID(n))%all + 1
		free := int(first)+count-1 <= all
		for k := range count {
			free = free && !used[first+vrrp.VirtualRouterID(k)]
		}
		if free {
			return first
		}
	}
	return 0
}

// Asked lists where an answer for an address came from.
func (l Look) Asked(address netip.Addr) []Answer {
	return slices.DeleteFunc(slices.Clone(l.Answers), func(a Answer) bool { return a.Address != address })
}
