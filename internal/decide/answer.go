package decide

import (
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/loadbalancer"
)

// Answers are the changes of what this application tells those on lb-consumers, by its leader.
// The units of a group all serve the same, whichever of them leads. Where another unit of the
// application serves on the leader's machine, of another principal, they stay as they are.
func (d Desired) Answers(o facts.Observed) map[juju.RelationID]juju.Databag {
	p := loadbalancer.Provider{Beside: o.Event.Principal.Application}
	if d.Mode == Serving {
		p.Addresses = d.Addresses()
	}
	changes := map[juju.RelationID]juju.Databag{}
	if d.Owner != (juju.Unit{}) {
		return changes
	}
	for _, r := range o.Relations {
		if r.Endpoint != endpoint.LBConsumers || r.Consumer == nil {
			continue
		}
		if c := endpoint.Changes(p.Databag(r.Consumer.Application, r.Consumer.Requests, r.Consumer.Told), r.Consumer.Told); len(c) > 0 {
			changes[r.ID] = c
		}
	}
	return changes
}
