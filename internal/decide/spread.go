package decide

import (
	"cmp"
	"maps"
	"slices"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
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

// share divides the virtual IPs among routers and agrees on each; one is what there is
// without option spread, and the first of several.
func (d *agreement) share(o facts.Observed, one Router) ([]Router, error) {
	one.VirtualIPs = d.Options.VirtualIPs
	if !one.Run.Spread && !one.Wanted.Spread {
		return []Router{one}, nil
	}
	numbers, err := d.numbers(o, one)
	if err != nil || !one.Run.Spread {
		return []Router{one}, err // what is wanted and cannot be is not announced
	}
	order := slices.Sorted(maps.Keys(numbers))
	if one.Was.Constant() && one.Was.VirtualRouterID < d.Options.VirtualRouterID {
		slices.Reverse(order) // the next one's virtual router ID becomes free first
	}
	next, aside := one.Next, one.Aside.Announcement()
	d.first = one.Run
	d.Spread, d.gathers = true, next != nil && !next.Parameters.Spread
	d.ends = d.gathers || aside != nil && !aside.Parameters.Spread
	var routers []Router
	for _, k := range order {
		r := one
		if k > 0 {
			r = d.decide(o, k)
			r.Aside = cmp.Or(d.out(one, r), r.Aside)
		}
		r.VirtualIPs, r.Turns = numbers[k], d.TurnsOf(k)
		if k > 0 && d.givesUp(r) {
			continue
		}
		id := r.Run.VirtualRouterID
		if r.fresh() && k > 0 && (id > vrrp.LastVirtualRouterID || !one.Pin && (r.occupied(id) || len(serving(r.Peers)) == 0 && d.unsettled(one))) {
			continue // the first router, or another, has yet to make room, or units would begin with different parameters
		}
		routers = append(routers, r)
	}
	for n := contested(routers); n >= 0; n = contested(routers) {
		if r := &routers[n]; r.fresh() {
			routers = slices.Delete(routers, n, n+1)
		} else {
			if !r.Holds || slices.ContainsFunc(serving(r.Peers), func(p Peer) bool { return p.Aside == group.TakesPart && p.Runs == r.Run }) {
				r.Aside = cmp.Or(r.told.Aside, r.Aside, group.Agreed) // the others run what this one cannot yet
			}
			r.Run, r.Pin, r.Moving = r.Was, false, true
		}
	}
	slices.SortFunc(routers, func(a, b Router) int { return a.Number - b.Number })
	return routers, nil
}

// contested is the place of a router that is to begin with a virtual router ID, or to change
// to one, which another of this unit has, or an earlier one is to get; nor does one begin with
// what another is about to change to. Negative for none.
func contested(routers []Router) int {
	return slices.IndexFunc(routers, func(r Router) bool {
		later := false
		return !r.stays() && slices.ContainsFunc(routers, func(other Router) bool {
			if other.Number == r.Number {
				later = true
				return false
			}
			id := r.Run.VirtualRouterID
			return other.Run.VirtualRouterID == id && (!later || other.stays()) || r.fresh() && other.expects(id)
		})
	})
}

// givesUp tells that this unit is in the way with a router in which it takes no part, or
// nobody can: it begins anew when there is room. It takes no part while others run what it
// cannot follow to, as a router of somebody has that virtual router ID; nobody can where
// one who does not have the router uses its virtual router ID for another.
func (d self) givesUp(r Router) bool {
	if r.Holds || r.fresh() {
		return false
	}
	return r.Aside == group.Agreed && r.occupied(d.target(r.Number).VirtualRouterID) || slices.ContainsFunc(r.Peers, func(p Peer) bool {
		return p.Member.Serves && !p.lost && !p.Serves && p.occupies(r.Run.VirtualRouterID, r.Number)
	})
}

// unsettled tells that units are about to change the parameters of the first router,
// which a new one takes over.
func (d agreement) unsettled(first Router) bool {
	return first.Aside.Announcement() != nil ||
		slices.ContainsFunc(serving(d.Peers), func(p Peer) bool { return !p.Unread() && p.Runs != d.first })
}

// out tells what this unit stands aside for in every router but the first.
func (d agreement) out(first, r Router) group.Aside {
	// A unit that came back to units that have one router for all virtual IPs.
	if slices.ContainsFunc(serving(d.Peers), func(p Peer) bool { return p.Aside == group.TakesPart && !p.Unread() && !p.Runs.Spread }) {
		return group.Agreed
	}
	if d.ends && !d.gathers && (!r.Holds || r.gathered(first.Aside.Announcement().Holder)) {
		return first.Aside
	}
	return group.TakesPart
}

// gathered tells that the unit which gathers all routers has this one too, where this unit
// does not hear it: neither would ever let go.
func (r Router) gathered(by juju.Unit) bool {
	return slices.ContainsFunc(serving(r.Peers), func(p Peer) bool {
		return p.Unit == by && p.Aside == group.TakesPart && !p.Unread() && !r.Run.Understands(p.Runs)
	})
}

// Turns is the order in which units take a router over. First comes its home: homes go
// round the units of the group, whether those serve now or not. Every second round the
// order is the reverse, so that what one unit had goes to several. The zero value is the
// order of ranks, that of the one router without option spread.
type Turns struct {
	home    vrrp.Rank
	reverse bool
}

// TurnsOf is the order of router k of several.
func (d self) TurnsOf(k int) Turns {
	ranks := []vrrp.Rank{d.rank}
	for _, p := range d.Peers {
		ranks = append(ranks, p.Rank)
	}
	slices.Sort(ranks)
	return Turns{ranks[k%len(ranks)], k/len(ranks)%2 > 0}
}

// Of is the place of a rank in that order.
func (t Turns) Of(r vrrp.Rank) vrrp.Rank {
	if t.reverse {
		return (t.home - r + vrrp.Ranks) % vrrp.Ranks
	}
	return (r - t.home + vrrp.Ranks) % vrrp.Ranks
}
