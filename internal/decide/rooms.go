package decide

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/vrrp"
)

// room is what one virtual IP takes: a router and an address family.
type room struct {
	number int
	six    bool
}

// seat is a virtual IP in a router.
type seat struct {
	address netip.Addr
	number  int
}

// voices counts the units that tell of a seat: those that take part in the router, and others.
type voices struct{ sure, weak int }

// rooms tells the router of each virtual IP that some unit has, and what is taken. What the
// most say counts, this unit among them, so that nobody moves a virtual IP which the others
// have in one router by naming another. Who takes part in a router is believed first, who
// does not know its peers not at all: it counts by itself; nor does a number count that no
// unit can have, or what cannot be read, or two addresses of a family, which no unit has in
// one router. Units that run hooks for two changes of the list at the same time may give a
// new virtual IP two routers, or a router two, until each has seen what the others told: of
// as many the lower number counts, and the lower address.
func (d self) rooms(o facts.Observed, first Router) (known map[netip.Addr]int, taken map[room]bool) {
	known, taken = map[netip.Addr]int{}, map[room]bool{}
	told := map[seat]voices{}
	note := func(number int, r group.Word) {
		families := map[bool]int{}
		for _, a := range r.VirtualIPs {
			families[a.Is6()]++
		}
		for _, a := range r.VirtualIPs {
			if r.Aside == group.Unknown {
				break
			}
			taken[room{number, a.Is6()}] = true
			if families[a.Is6()] > 1 {
				continue
			}
			v := told[seat{a, number}]
			if r.Aside == group.TakesPart {
				v.sure++
			} else {
				v.weak++
			}
			told[seat{a, number}] = v
		}
	}
	if first.Was.Spread {
		for a, p := range o.Machine.Applied.Addresses {
			note(p.Router, group.Word{VirtualIPs: []netip.Addr{a}, Aside: wordOf(d.told, p.Router).Aside})
		}
	}
	notes := func(m endpoint.Member, has func(netip.Addr) bool) {
		tell := func(number int, r group.Word) {
			r.VirtualIPs = slices.DeleteFunc(slices.Clone(r.VirtualIPs), func(a netip.Addr) bool { return !has(a) })
			note(number, r)
		}
		if m.Runs.Spread { // the others have all in one router
			tell(0, m.Word)
		}
		for number, r := range m.More {
			if r.Serves && !r.Unread() && d.Options.VirtualRouterID+vrrp.VirtualRouterID(number) <= vrrp.LastVirtualRouterID {
				tell(number, r)
			}
		}
	}
	for _, p := range serving(d.Peers) {
		notes(p.Member, func(netip.Addr) bool { return true })
	}
	listed := map[netip.Addr]bool{}
	for _, a := range d.Addresses() {
		listed[a] = true
	}
	for _, m := range d.others {
		notes(m, func(a netip.Addr) bool { return listed[a] }) // in two routers it would have two holders
	}
	seats := slices.SortedFunc(maps.Keys(told), func(a, b seat) int {
		return cmp.Or(told[b].sure-told[a].sure, told[b].weak-told[a].weak, a.number-b.number, a.address.Compare(b.address))
	})
	full := map[room]bool{}
	for _, s := range seats {
		at := room{s.number, s.address.Is6()}
		if _, ok := known[s.address]; !ok && !full[at] && listed[s.address] {
			known[s.address], full[at] = s.number, true
		}
	}
	return known, taken
}

// place gives every virtual IP its router: the one that it is known in, or the lowest in
// which none of its family has the place. Besides it returns the highest router_id with
// which all have virtual router IDs.
func (d self) place(known map[netip.Addr]int, taken map[room]bool) (map[int][]config.VirtualIP, vrrp.VirtualRouterID) {
	numbers := map[int][]config.VirtualIP{0: nil} // the first speaks for the unit
	for _, a := range d.Addresses() {
		if number, ok := known[a]; ok {
			taken[room{number, a.Is6()}] = true
		}
	}
	for _, v := range d.Options.VirtualIPs {
		number, ok := known[v.Addr()]
		for !ok && taken[room{number, v.Addr().Is6()}] {
			number++
		}
		taken[room{number, v.Addr().Is6()}] = true
		numbers[number] = append(numbers[number], v)
	}
	return numbers, vrrp.LastVirtualRouterID - vrrp.VirtualRouterID(slices.Max(slices.Collect(maps.Keys(numbers))))
}

// numbers gives every virtual IP its router. Where there would be too few, what the options
// do not list keeps no place: a peer's word blocks nobody.
func (d self) numbers(o facts.Observed, first Router) (map[int][]config.VirtualIP, error) {
	known, taken := d.rooms(o, first)
	numbers, most := d.place(known, taken)
	if d.Options.VirtualRouterID > most {
		numbers, most = d.place(known, map[room]bool{})
	}
	if most < 1 {
		return nil, &config.Invalid{Option: "spread", Value: "true",
			Must: fmt.Sprintf("false: it gives each virtual IP a virtual router ID, of which there are %d", vrrp.LastVirtualRouterID)}
	}
	if d.Options.VirtualRouterID > most {
		return nil, &config.Invalid{Option: "router_id", Value: fmt.Sprint(d.Options.VirtualRouterID),
			Must: fmt.Sprintf("%d at most: spread gives each virtual IP a virtual router ID, counting up to %d", most, vrrp.LastVirtualRouterID)}
	}
	return numbers, nil
}
