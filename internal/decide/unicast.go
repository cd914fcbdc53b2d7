package decide

import (
	"net/netip"
	"slices"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/vrrp"
)

// sendsTo lists the addresses for unicast advertisements.
func (d placement) sendsTo(six bool) []netip.Addr {
	var list []netip.Addr
	add := func(a netip.Addr) {
		if a.IsValid() && a != d.address && a.Is6() == six && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	for _, p := range d.Peers {
		for _, a := range d.reach(p, six) {
			add(a)
		}
	}
	for _, a := range d.former {
		add(a)
	}
	return list
}

// reach is where advertisements to a peer go: to the address that it told for them, or to all
// of its own where that one makes no sense. One that hears nobody would hold as well.
func (d self) reach(p Peer, six bool) []netip.Addr {
	elsewhere := slices.Contains(d.own, p.Address) || slices.Contains(d.Addresses(), p.Address) ||
		slices.ContainsFunc(d.Peers, func(other Peer) bool { return other.Unit != p.Unit && slices.Contains(other.Addresses, p.Address) })
	if !p.Serves || p.Address.IsValid() && p.Address.Is6() == six && (slices.Contains(p.Addresses, p.Address) || !elsewhere) {
		return []netip.Addr{p.Address}
	}
	return p.Addresses
}

// formerly lists where this unit has sent its advertisements so far and goes on to
// send them. From a unit that leaves, Juju takes its peers away one after the other
// before it has the unit stop; a holder that they no longer heard would hold in
// vain. Hooks that no leaving unit runs tell who the peers are.
func formerly(o facts.Observed) []netip.Addr {
	if o.Event.Endpoint == endpoint.Cluster && !o.Leaving() {
		switch o.Event.Hook {
		case hooks.RelationJoined, hooks.RelationChanged, hooks.RelationDeparted:
			return nil
		}
	}
	return o.Machine.Applied.Peers
}

// deserted tells that this unit may hear nothing any more from peers it had.
func (d self) deserted(o facts.Observed, r Router) bool {
	return r.Run.Mode == vrrp.Unicast && len(d.former) > 0 && o.Leaving()
}
