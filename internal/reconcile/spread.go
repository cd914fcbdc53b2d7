package reconcile

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/vrrp"
)

// With option spread the group has several virtual routers, each with a VRRP
// instance, an agreement and an election of its own. Number k carries the k-th
// virtual IP and has the virtual router ID router_id + k; a virtual IP keeps its
// number for as long as any unit serves it, whatever happens to the list. The j-th
// IPv4 and the j-th IPv6 address share a router.
//
// Whether there is one router or several is a parameter of router 0, so units change
// it together:
//
//   - To several: the holder has all virtual IPs. When the others stand aside it
//     changes over under pinned addresses and holds each router. The others follow,
//     and each takes by plain pre-emption what is its own.
//   - To one: the holder of router 0 announces it and takes all routers, as it then
//     has the highest base priority. A unit that stands aside for the announcement
//     does so in every router that it has lost. When all have, the holder changes over.

// wordOf is what a unit told of router k.
func wordOf(m endpoint.Member, k int) group.Word {
	if k == 0 {
		return m.Word
	}
	return m.More[k]
}

// at returns this unit as router k concerns it: what it and its peers have told of
// that router, and no other.
func (d Desired) at(k int) Desired {
	d.Layout.Router = k
	d.told.Word = wordOf(d.told, k)
	d.agreement, d.routers = group.Decision{}, nil
	peers := slices.Clone(d.peers)
	for n := range peers {
		peers[n].Word = wordOf(peers[n].member, k)
	}
	d.peers = peers
	return d
}

// parts returns this unit as each of its routers concerns it.
func (d Desired) parts() []Desired {
	if len(d.routers) == 0 {
		return []Desired{d}
	}
	return d.routers
}

// share divides the virtual IPs among routers and agrees on each.
func (d Desired) share(o Observed) ([]Desired, error) {
	if !d.agreement.Run.Spread && !d.agreement.Wanted.Spread {
		return nil, nil
	}
	routers, err := d.numbers(o)
	if err != nil || !d.agreement.Run.Spread {
		return nil, err // what is wanted and cannot be is not announced
	}
	order := slices.Sorted(maps.Keys(routers))
	if d.agreement.Was.Constant() && d.agreement.Was.VirtualRouterID < d.options.VirtualRouterID {
		slices.Reverse(order) // the next one's virtual router ID becomes free first
	}
	next, aside := d.agreement.Next, d.agreement.Aside.Announcement()
	d.first = d.agreement.Run
	d.spread, d.gathers = true, next != nil && !next.Parameters.Spread
	d.ends = d.gathers || aside != nil && !aside.Parameters.Spread
	var parts []Desired
	ids := map[vrrp.VirtualRouterID]bool{}
	for _, k := range order {
		part := d.at(k)
		part.agreement = d.agreement
		if k > 0 {
			part.agreement = part.decide(o)
			part.agreement.Aside = cmp.Or(d.out(part.agreement.Holds), part.agreement.Aside)
		}
		part.options.VirtualIPs = routers[k]
		id := part.agreement.Run.VirtualRouterID
		taken := ids[id]
		switch fresh := part.agreement.Was == (vrrp.Parameters{}); {
		case fresh && k > 0 && (id > vrrp.LastVirtualRouterID || taken || !d.agreement.Pin && (part.occupied(id) || len(part.serving()) == 0 && d.unsettled())):
			continue // the first router, or another, has yet to make room, or units would begin with different parameters
		case taken:
			part.agreement.Run, part.agreement.Pin, part.agreement.Moving = part.agreement.Was, false, true
		}
		ids[part.agreement.Run.VirtualRouterID] = true
		parts = append(parts, part)
	}
	slices.SortFunc(parts, func(a, b Desired) int { return a.Layout.Router - b.Layout.Router })
	return parts, nil
}

// unsettled tells that units are about to change the parameters of the first router,
// which a new one takes over.
func (d Desired) unsettled() bool {
	return d.agreement.Aside.Announcement() != nil ||
		slices.ContainsFunc(d.serving(), func(p peer) bool { return !p.Unread() && p.Runs != d.first })
}

// out tells what this unit stands aside for in every router but the first; empty for
// nothing.
func (d Desired) out(holds bool) group.Aside {
	// A unit that came back to units that have one router for all virtual IPs.
	if slices.ContainsFunc(d.serving(), func(p peer) bool { return p.Aside == "" && !p.Unread() && !p.Runs.Spread }) {
		return group.Agreed
	}
	if d.ends && !d.gathers && !holds {
		return d.agreement.Aside
	}
	return ""
}

// awaited tells that some peer serves and does not have this router yet.
func (d Desired) awaited() bool {
	return d.Layout.Router > 0 && slices.ContainsFunc(d.peers, func(p peer) bool {
		return p.member.Serves && !p.lost && !p.Serves
	})
}

// place is room for one virtual IP: a router and an address family.
type place struct {
	number int
	six    bool
}

// places tells the router of each virtual IP that some unit has, and which places are
// taken. Who takes part in a router is believed first, who does not know its peers
// not at all: it counts by itself. Units that run hooks for two changes of the list at
// the same time may give a new virtual IP two places, until each has seen what the
// others told; the lower one stays.
func (d Desired) places(o Observed) (known map[netip.Addr]int, taken map[place]bool) {
	known, taken = map[netip.Addr]int{}, map[place]bool{}
	weak := map[netip.Addr]int{}
	note := func(number int, r group.Word) {
		where := known
		switch r.Aside {
		case "":
		case group.Unknown:
			return
		default:
			where = weak
		}
		for _, a := range r.VirtualIPs {
			if before, ok := where[a]; !ok || number < before {
				where[a] = number
			}
			taken[place{number, a.Is6()}] = true
		}
	}
	if d.agreement.Was.Spread {
		for a, p := range o.Machine.Applied.Addresses {
			note(p.Router, group.Word{VirtualIPs: []netip.Addr{a}, Aside: wordOf(d.told, p.Router).Aside})
		}
	}
	for _, p := range d.serving() {
		note(0, p.member.Word)
		for number, r := range p.member.More {
			note(number, r)
		}
	}
	for a, number := range weak {
		if _, ok := known[a]; !ok {
			known[a] = number
		}
	}
	return known, taken
}

// numbers gives every virtual IP its router: the one that a unit has it in, or the
// lowest without an address of its family.
func (d Desired) numbers(o Observed) (map[int][]config.VirtualIP, error) {
	known, taken := d.places(o)
	routers := map[int][]config.VirtualIP{0: nil} // the first speaks for the unit
	for _, v := range d.options.VirtualIPs {
		number, ok := known[v.Addr()]
		for !ok && taken[place{number, v.Addr().Is6()}] {
			number++
		}
		taken[place{number, v.Addr().Is6()}] = true
		routers[number] = append(routers[number], v)
	}
	most := vrrp.LastVirtualRouterID - vrrp.VirtualRouterID(slices.Max(slices.Collect(maps.Keys(routers))))
	if most < 1 {
		return nil, &config.Invalid{Option: "spread", Value: "true",
			Must: fmt.Sprintf("false: it gives each virtual IP a virtual router ID, of which there are %d", vrrp.LastVirtualRouterID)}
	}
	if d.options.VirtualRouterID > most {
		return nil, &config.Invalid{Option: "router_id", Value: fmt.Sprint(d.options.VirtualRouterID),
			Must: fmt.Sprintf("%d at most: spread gives each virtual IP a virtual router ID, counting up to %d", most, vrrp.LastVirtualRouterID)}
	}
	return routers, nil
}

// turn is the place of a rank in the order in which units take the router over. First
// comes its home: homes go round the units of the group, whether those serve now or
// not. Every second round the order is the reverse, so that what one unit had goes to
// several.
func (d Desired) turn(r vrrp.Rank) vrrp.Rank {
	if !d.spread {
		return r
	}
	ranks := []vrrp.Rank{d.rank}
	for _, p := range d.peers {
		ranks = append(ranks, p.rank)
	}
	slices.Sort(ranks)
	home := ranks[d.Layout.Router%len(ranks)]
	if d.Layout.Router/len(ranks)%2 > 0 {
		r, home = home, r
	}
	return (r - home + vrrp.Ranks) % vrrp.Ranks
}
