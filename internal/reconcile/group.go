package reconcile

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

// peer is another unit of this unit's group.
type peer struct {
	unit      juju.Unit
	rank      vrrp.Rank
	addresses []netip.Addr
	// address is where unicast advertisements go, lists who this peer sends to.
	address netip.Addr
	lists   []netip.Addr
	// member is all that it has told, Word what it told of the first router, or of that of
	// whose peers it is one.
	member endpoint.Member
	group.Word
	// lost tells that nothing answers at any of its addresses.
	lost    bool
	healthy *bool
}

// peers returns the other units of the group: those that share the peer relation
// and whose principal unit belongs to the same application. It is empty without
// a peer relation, which may be missing right after an upgrade.
func (o Observed) peers() []peer {
	var peers []peer
	for _, r := range o.Relations {
		if r.Endpoint != endpoint.Cluster {
			continue
		}
		for u, told := range r.Members {
			m := told.Member
			if m.Principal.Application != o.Event.Principal.Application {
				continue
			}
			p := peer{unit: u, rank: natural(u), addresses: m.Addresses, address: m.Address, lists: m.Lists,
				member: m, Word: m.Word, healthy: m.Healthy}
			p.lost = o.Machine.silent(p)
			if m.Rank >= 0 {
				p.rank = vrrp.Rank(m.Rank % vrrp.Ranks)
			}
			peers = append(peers, p)
		}
	}
	slices.SortFunc(peers, func(a, b peer) int { return a.unit.Number - b.unit.Number })
	return peers
}

// serving returns the peers that serve, without the lost ones.
func serving(peers []peer) []peer {
	return slices.DeleteFunc(slices.Clone(peers), func(p peer) bool { return !p.Serves || p.lost })
}

// newcomer tells a unit that has never known all its peers and needs to. One that
// did goes on with those it knows: another that is planned may never come.
func (o Observed) newcomer() bool {
	if options := o.Options.Options; o.Options.Fault != nil || options.Mode != vrrp.Unicast && !options.Spread {
		return false
	}
	if _, configured := o.Machine.Files[o.layout().CheckerConfig()]; !configured {
		return true
	}
	return o.Machine.Checker != nil && group.Aside(o.Machine.Checker.Aside()) == group.Unknown
}

// related tells whether there is a peer relation.
func (o Observed) related() bool {
	return slices.ContainsFunc(o.Relations, func(r Relation) bool { return r.Endpoint == endpoint.Cluster })
}

// natural is the rank a unit has as long as nobody else has it: no agreement is
// needed, and no unit that comes or goes changes it.
func natural(u juju.Unit) vrrp.Rank { return vrrp.Rank(u.Number % vrrp.Ranks) }

// rank keeps the rank this unit told its peers before, or takes its natural one.
// Only when a peer with a lower number has the same does it move to a free one.
func (o Observed) rank(peers []peer) vrrp.Rank {
	want := natural(o.Event.Unit)
	if told := o.told().Rank; told >= 0 {
		want = vrrp.Rank(told % vrrp.Ranks)
	}
	taken := map[vrrp.Rank]bool{}
	yields := false
	for _, p := range peers {
		taken[p.rank] = true
		yields = yields || p.rank == want && p.unit.Number < o.Event.Unit.Number
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

// told is what this unit told its peers before.
func (o Observed) told() endpoint.Member {
	for _, r := range o.Relations {
		if r.Endpoint == endpoint.Cluster {
			return r.Told
		}
	}
	return endpoint.Member{Rank: -1}
}

// untold tells that this unit has told its peers nothing yet.
func (o Observed) untold() bool {
	return slices.ContainsFunc(o.Relations, func(r Relation) bool {
		return r.Endpoint == endpoint.Cluster && !r.Told.Serves
	})
}

// ownAddresses returns the addresses of this machine that are its own, without those that
// keepalived put there: those that Juju lists come first, in its order. Juju's word alone
// counts for nothing: its list is as old as the agent's start, and may have a virtual IP.
func (o Observed) ownAddresses(floating map[netip.Addr]bool, copies []netip.Addr) []netip.Addr {
	var own []netip.Addr
	add := func(a netip.Addr) {
		if !floating[a] && !slices.Contains(copies, a) && !a.IsLoopback() && !a.IsLinkLocalUnicast() && !slices.Contains(own, a) {
			own = append(own, a)
		}
	}
	for _, s := range o.Ingress {
		if a, err := netip.ParseAddr(s); err == nil && o.Machine.has(a.WithZone("")) {
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
