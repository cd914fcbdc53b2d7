package decide

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

// Peer is another unit of this unit's group.
type Peer struct {
	Unit      juju.Unit
	Rank      vrrp.Rank
	Addresses []netip.Addr
	// Address is where unicast advertisements go, lists who this peer sends to.
	Address netip.Addr
	lists   []netip.Addr
	// Member is all that it has told, Word what it told of the first router, or of that of
	// whose peers it is one.
	Member endpoint.Member
	group.Word
	// lost tells that nothing answers at any of its addresses.
	lost bool
	// left tells that Juju lists it no more.
	left    bool
	Healthy *bool
}

// Peers returns the other units of the group: those that share the peer relation
// and whose principal unit belongs to the same application. One that serves and whose
// principal unit cannot be read may be one of them: it cannot be read at all. One that Juju
// lists no more is a peer for as long as it may take part, unless it is lost. There is
// none without a peer relation, which may be missing right after an upgrade.
func Peers(o facts.Observed) []Peer {
	var peers []Peer
	for _, r := range o.Relations {
		if r.Endpoint != endpoint.Cluster {
			continue
		}
		for u, told := range r.Members {
			m := told.Member
			switch {
			case m.Principal == (juju.Unit{}) && m.Serves:
				m = m.Hidden()
			case m.Principal.Application != o.Event.Principal.Application:
				continue
			}
			p := Peer{Unit: u, Rank: natural(u), Addresses: m.Addresses, Address: m.Address, lists: m.Lists,
				Member: m, Word: m.Word, Healthy: m.Healthy, left: told.Left != 0}
			p.lost = silent(o.Machine, p)
			if p.left && (p.lost || o.Departs()) {
				continue
			}
			if m.Rank >= 0 {
				p.Rank = vrrp.Rank(m.Rank % vrrp.Ranks)
			}
			peers = append(peers, p)
		}
	}
	slices.SortFunc(peers, func(a, b Peer) int { return a.Unit.Number - b.Unit.Number })
	return peers
}

// serving returns the peers that serve, without the lost ones.
func serving(peers []Peer) []Peer {
	return slices.DeleteFunc(slices.Clone(peers), func(p Peer) bool { return !p.Serves || p.lost })
}

// newcomer tells a unit that has never known all its peers and needs to. One that
// did goes on with those it knows: another that is planned may never come.
func newcomer(o facts.Observed) bool {
	if options := o.Options.Options; o.Options.Fault != nil || options.Mode != vrrp.Unicast && !options.Spread {
		return false
	}
	if _, configured := o.Machine.Files[o.Layout().CheckerConfig()]; !configured {
		return true
	}
	return o.Machine.Checker != nil && o.Machine.Checker.Aside() == group.Unknown.Text()
}

// natural is the rank a unit has as long as nobody else has it: no agreement is
// needed, and no unit that comes or goes changes it.
func natural(u juju.Unit) vrrp.Rank { return vrrp.Rank(u.Number % vrrp.Ranks) }

// rankOf keeps the rank this unit told its peers before, or takes its natural one.
// Only when a peer with a lower number has the same does it move to a free one.
func rankOf(o facts.Observed, peers []Peer) vrrp.Rank {
	want := natural(o.Event.Unit)
	if told := o.Told().Rank; told >= 0 {
		want = vrrp.Rank(told % vrrp.Ranks)
	}
	taken := map[vrrp.Rank]bool{}
	yields := false
	for _, p := range peers {
		taken[p.Rank] = true
		yields = yields || p.Rank == want && p.Unit.Number < o.Event.Unit.Number
	}
	if !yields {
		return want
	}
	for r := vrrp.Rank(0); r < vrrp.Ranks; r++ {
		if !taken[r] {
			return r
		}
	}
	return want // more units than ranks: VRRP decides by address (RFC 9568 section 6.4.3)
}

// ownAddresses returns the addresses of this machine that are its own, without those that
// keepalived put there: those that Juju lists come first, in its order. Juju's word alone
// counts for nothing: its list is as old as the agent's start, and may have a virtual IP.
func ownAddresses(o facts.Observed, floating map[netip.Addr]bool, copies []netip.Addr) []netip.Addr {
	var own []netip.Addr
	add := func(a netip.Addr) {
		if !floating[a] && !slices.Contains(copies, a) && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !slices.Contains(own, a) {
			own = append(own, a)
		}
	}
	for _, s := range o.Ingress {
		if a, err := netip.ParseAddr(s); err == nil && o.Machine.Has(a.WithZone("")) {
			add(a.WithZone(""))
		}
	}
	for _, i := range o.Machine.Interfaces {
		for _, p := range i.Addresses {
			add(p.Addr().WithZone(""))
		}
	}
	return own
}

// MACs are those that the peers told, by their addresses: who answers for one of these
// with another may be a proxy.
func MACs(o facts.Observed) map[netip.Addr][]string {
	macs := map[netip.Addr][]string{}
	for _, p := range Peers(o) {
		for _, a := range p.own() {
			macs[a] = p.Member.MACs
		}
	}
	return macs
}
