package decide

import (
	"slices"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
)

// waitsFor lists the units that this one stands aside for until they have run a hook.
func (d placement) waitsFor(o facts.Observed, r Router) []juju.Unit {
	var all []Peer
	holds := func(Peer) bool { return true }
	switch r.Aside {
	case group.Unknown:
		all = untoldPeers(o)
	case group.Joins:
		return d.unaware
	case group.Unheard:
		all, holds = serving(r.Peers), func(p Peer) bool { return !slices.Contains(p.lists, d.address) }
	case group.Agreed:
		return d.standing(o, r).WaitsFor(r.Decision)
	}
	var units []juju.Unit
	for _, p := range all {
		if holds(p) {
			units = append(units, p.Unit)
		}
	}
	return units
}
