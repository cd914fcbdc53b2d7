package reconcile

import (
	"net/netip"
	"slices"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/vrrp"
)

// sendsTo lists the addresses for unicast advertisements.
func (d Desired) sendsTo(six bool) []netip.Addr {
	var list []netip.Addr
	add := func(a netip.Addr) {
		if a.IsValid() && a != d.address && a.Is6() == six && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	for _, p := range d.peers {
		add(p.address)
	}
	for _, a := range d.former {
		add(a)
	}
	return list
}

// former lists where this unit has sent its advertisements so far and goes on to
// send them. From a unit that leaves, Juju takes its peers away one after the other
// before it has the unit stop; a holder that they no longer heard would hold in
// vain. Hooks that no leaving unit runs tell who the peers are.
func (o Observed) former() []netip.Addr {
	if o.Event.Endpoint == endpoint.Cluster && !o.leaving() {
		switch o.Event.Hook {
		case hooks.RelationJoined, hooks.RelationChanged, hooks.RelationDeparted:
			return nil
		}
	}
	return o.Machine.Applied.Peers
}

// leaving tells a unit whose peers are being taken away.
func (o Observed) leaving() bool {
	inGroup := slices.ContainsFunc(o.Relations, func(r Relation) bool { return r.Endpoint == endpoint.Cluster })
	departs := o.Event.Hook == hooks.RelationDeparted && o.Event.Endpoint == endpoint.Cluster && o.Event.Departing == o.Event.Unit
	breaks := o.Event.Hook == hooks.RelationBroken && o.Event.Endpoint == endpoint.Cluster
	return departs || breaks || !inGroup
}

// deserted tells that this unit may hear nothing any more from peers it had.
func (d Desired) deserted(o Observed, r router) bool {
	return r.Run.Mode == vrrp.Unicast && len(d.former) > 0 && o.leaving()
}
