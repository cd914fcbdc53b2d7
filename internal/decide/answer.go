package decide

import (
	"slices"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/hacluster"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/loadbalancer"
)

// Answers are the changes of what this application tells those on lb-consumers, by its leader.
// The units of a group all serve the same, whichever of them leads. Where the leader serves
// nothing, they stay as they are while others may: they end with what is asked for.
func (d Desired) Answers(o facts.Observed) map[juju.RelationID]juju.Databag {
	if d.Owner != (juju.Unit{}) || d.Mode != Serving && len(d.Peers) > 0 && !(d.Mode == Idle && asksForNone(o)) {
		return Answered(o)
	}
	p := loadbalancer.Provider{Beside: o.Event.Principal.Application}
	if d.Mode == Serving {
		p.Addresses, p.Machines = d.Addresses(), slices.Clone(d.own)
		for _, peer := range d.Peers {
			p.Machines = append(p.Machines, peer.Addresses...)
		}
	}
	return answers(o, func(c facts.Consumer) juju.Databag { return p.Databag(c.Application, c.Requests, c.Told) })
}

// Answered are the changes by a leader that cannot tell what is served: who asks has to see a
// version first.
func Answered(o facts.Observed) map[juju.RelationID]juju.Databag {
	return answers(o, func(c facts.Consumer) juju.Databag { return loadbalancer.Kept(c.Requests, c.Told) })
}

func answers(o facts.Observed, say func(facts.Consumer) juju.Databag) map[juju.RelationID]juju.Databag {
	changes := map[juju.RelationID]juju.Databag{}
	for _, r := range o.Relations {
		if r.Consumer == nil {
			continue
		}
		if c := endpoint.Changes(say(*r.Consumer), r.Consumer.Told); len(c) > 0 {
			changes[r.ID] = c
		}
	}
	return changes
}

// asksForNone tells that a unit without a virtual IP is to have none, and waits for nothing.
func asksForNone(o facts.Observed) bool {
	r := o.Request()
	return r == nil || r.State == hacluster.Empty || r.State == hacluster.Absent && r.Began
}
