package decide

import (
	"maps"
	"net/netip"
	"slices"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/hacluster"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/loadbalancer"
	"keepalived-charm/internal/vrrp"
)

// Answers are the changes of what this application tells those on lb-consumers, by its leader:
// the same whichever unit leads. Where the leader cannot tell what is served beside who asks, that
// stays as it is.
func (d Desired) Answers(o facts.Observed) map[juju.RelationID]juju.Databag {
	return answers(o, func(c facts.Consumer) juju.Databag {
		if p, known := d.provider(o, c.Application); known {
			return p.Databag(c.Application, c.Requests, c.Told)
		}
		return loadbalancer.Kept(c.Requests, c.Told)
	})
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

// provider is what units beside an application serve, and beside which others some do; false
// where this unit cannot tell, such as one that departs and knows the others no more. The units of
// a group all serve the same.
func (d Desired) provider(o facts.Observed, application string) (p loadbalancer.Provider, known bool) {
	if o.Departs() {
		return p, false
	}
	own := o.Event.Principal.Application
	serve := map[string]bool{}
	if d.Mode == Serving || slices.ContainsFunc(d.Peers, func(q Peer) bool { return q.Serves }) {
		serve[own] = true
	}
	for _, m := range d.others {
		serve[m.Principal.Application] = true
	}
	p.Beside = slices.Sorted(maps.Keys(serve))
	if serve[application] && d.Options.Mode == vrrp.Unicast {
		p.Beside = []string{application} // whose units hear no others: the virtual IPs stay with them
	}
	switch {
	case len(serve) > 0 && !serve[application]:
		return p, true
	case application != own && serve[application]:
		p.Addresses, p.Machines = d.servedBeside(o, application)
		p.Unordered = true
		return p, len(p.Addresses) > 0
	case d.Mode == Serving:
		p.Addresses, p.Machines = addresses(d.had(o)), slices.Clone(d.own)
		if len(p.Addresses) == 0 {
			p.Addresses = d.Addresses()
		}
		for _, peer := range d.Peers {
			p.Machines = append(p.Machines, peer.Addresses...)
		}
		return p, true
	}
	// It serves nothing: others of its group may.
	return p, d.Owner == (juju.Unit{}) && (len(d.Peers) == 0 || d.Mode == Idle && asksForNone(o))
}

// servedBeside are the virtual IPs that units beside another application serve, and their
// machines' addresses: what they told, or else, where no principal unit asks, the option's.
func (d self) servedBeside(o facts.Observed, application string) (vips, machines []netip.Addr) {
	for _, u := range d.besides() {
		m := d.others[u]
		if m.Principal.Application != application {
			continue
		}
		machines = append(machines, m.Addresses...)
		told := slices.Clone(m.VirtualIPs)
		for _, number := range slices.Sorted(maps.Keys(m.More)) {
			told = append(told, m.More[number].VirtualIPs...)
		}
		if len(vips) == 0 {
			vips = told
		}
	}
	if len(vips) == 0 && !d.asks {
		vips = addresses(o.Options.Options.VirtualIPs)
	}
	return vips, machines
}

// asksForNone tells that a unit without a virtual IP is to have none, and waits for nothing.
func asksForNone(o facts.Observed) bool {
	r := o.Request()
	return r == nil || r.State == hacluster.Empty || r.State == hacluster.Absent && r.Began
}
