package decide

import (
	"slices"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
)

// acquainted tells whom this unit knows, and the units which do not know of it; serves
// tells that it serves now.
func acquainted(o facts.Observed, peers []Peer, serves bool) (group.Known, []juju.Unit) {
	told, units := o.Told(), known(peers)
	knows := group.Unit{Unit: o.Event.Unit, Serves: told.Serves, Knows: told.Knows}.Know(serves, units)
	for n, p := range peers {
		// A revision that tells nothing of that lists the addresses of those that it knows.
		if units[n].Knows == nil && told.Address.IsValid() && slices.Contains(p.lists, told.Address) {
			units[n].Knows = group.Known{o.Event.Unit.Number: knows[o.Event.Unit.Number]}
		}
	}
	return knows, group.Unaware(o.Event.Unit, knows, units, o.Planned > 0 && o.Planned <= 1+len(peers))
}

// known are peers with whom they know.
func known(peers []Peer) []group.Unit {
	var units []group.Unit
	for _, p := range peers {
		units = append(units, group.Unit{Unit: p.Unit, Serves: p.Member.Serves, Lost: p.lost, Knows: p.Member.Knows})
	}
	return units
}

// Acknowledge is what a unit publishes whose options are refused: it knows of others all
// the same, which would wait for it.
func Acknowledge(o facts.Observed) map[juju.RelationID]juju.Databag {
	publish := map[juju.RelationID]juju.Databag{}
	for _, r := range o.Relations {
		if r.Endpoint == endpoint.Cluster && r.Told.Principal != (juju.Unit{}) {
			m := r.Told
			m.Knows, _ = acquainted(o, Peers(o), m.Serves)
			if changes := endpoint.Changes(juju.Databag{"knows": m.Databag()["knows"]}, r.Own); len(changes) > 0 {
				publish[r.ID] = changes
			}
		}
	}
	return publish
}
