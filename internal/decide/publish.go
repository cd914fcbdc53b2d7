package decide

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

// member is what this unit tells its peers.
func (d placement) member(o facts.Observed) endpoint.Member {
	m := endpoint.Member{Principal: o.Event.Principal, Rank: int(d.rank), Knows: d.knows}
	// Only what Juju lists: the kernel's may come and go, with a hook on every peer.
	if d.Unbound {
		m.Addresses = d.told.Addresses
	}
	for _, a := range d.own {
		if slices.Contains(o.Ingress, a.String()) {
			m.Addresses = append(m.Addresses, a)
		}
	}
	if d.Mode == Serving {
		m.Address = d.address
		m.Lists = d.lists(o)
		m.MACs = d.macs(o.Machine)
		m.Word = d.Routers[0].word(d.Paused)
		m.Since = o.Told().Since
		reign := int64(0)
		for _, r := range d.Routers {
			if r.Number > 0 {
				if m.More == nil {
					m.More = map[int]group.Word{}
				}
				m.More[r.Number] = r.word(d.Paused)
			} else if d.Spread || d.asks {
				// Where principal units ask for the virtual IPs they may differ for a while.
				m.Word.VirtualIPs = r.Addresses()
			}
			if d.master(o.Machine, r) {
				reign = max(reign, d.reign(o.Machine, r))
			}
		}
		switch {
		case reign > 0:
			m.Since = d.since(o, reign)
		case d.yielded(o, m.Since):
			m.Since = 0
		}
	}
	return m
}

// since is when this unit became the holder, as it tells its peers. keepalived counts a
// reload as a transition, so what was told stands until a peer has told of a later one:
// news of it would cost a hook on every peer.
func (d self) since(o facts.Observed, reign int64) int64 {
	told := o.Told().Since
	if told == 0 || told > reign || slices.ContainsFunc(d.Peers, func(p Peer) bool { return p.Member.Since >= told }) {
		return reign
	}
	return told
}

// yielded tells that this unit was holder since a time and is it no longer, as it
// heard one that has been for longer: each was the only one that the other heard of.
// Such a holder has no news, and without this unit's word the others would go on to
// name this one. Where the next holder has not told of itself yet, they hear twice.
func (d agreement) yielded(o facts.Observed, since int64) bool {
	if since == 0 || !o.Machine.Check.Known || !o.Machine.Check.Healthy {
		return false
	}
	for _, r := range d.Routers {
		state, _ := d.State(o.Machine, r)
		holder, known := r.Holder(o.Machine, state)
		for _, p := range d.Peers {
			if known && holder == p.Unit && p.Member.Since < since {
				return true
			}
		}
	}
	return false
}

// unheard tells that a peer would not send its advertisements to this unit yet,
// which would hear nothing from it and take the addresses.
func (d placement) unheard(r Router) bool {
	return r.Run.Mode == vrrp.Unicast && slices.ContainsFunc(serving(r.Peers), func(p Peer) bool {
		return !slices.Contains(p.lists, d.address)
	})
}

// Tell is what a unit that can decide nothing, or not have what it decided, tells the clients
// that it has told nothing yet: what it serves. What the options do not say of it is as others
// were told. Those that it has told before get a virtual IP back where Juju put the unit's own
// address. A principal unit that asks for something else is no longer told that it has it.
func Tell(o facts.Observed) map[juju.RelationID]juju.Databag {
	options, served := o.Options.Usable, o.Machine.Served
	service := endpoint.Service{Hostname: options.Hostname, Port: options.Port}
	said := map[netip.Addr]bool{}
	for _, v := range options.VirtualIPs {
		if slices.Contains(served.Addresses, v.Addr()) {
			service.Addresses, said[v.Addr()] = append(service.Addresses, v.Written), true
		}
	}
	for _, a := range served.Addresses {
		if !said[a] {
			service.Addresses = append(service.Addresses, a.String())
		}
	}
	for _, r := range o.Relations {
		service.Port = cmp.Or(service.Port, r.Service.Port)
		if !slices.Contains(service.Addresses, r.Service.Hostname) {
			service.Hostname = cmp.Or(service.Hostname, r.Service.Hostname)
		}
	}
	service.Port = cmp.Or(service.Port, served.Port)
	tell := clustered(o, served.Addresses, unknown)
	if _, taken := o.Owner(); taken || len(service.Addresses) == 0 || service.Port == 0 {
		return tell
	}
	for _, r := range o.Relations {
		switch want := clients(r, service); {
		case want == nil:
		case r.Own["port"] == "":
			tell[r.ID] = endpoint.Changes(want, r.Own)
		case r.Endpoint == endpoint.Website && r.Own["private-address"] == r.Own["ingress-address"]:
			tell[r.ID] = endpoint.Changes(juju.Databag{"private-address": want["private-address"]}, r.Own) // Overwrites
		}
	}
	return tell
}

// clients is what the clients of a relation are told; nil for one without clients.
func clients(r facts.Relation, s endpoint.Service) juju.Databag {
	switch r.Endpoint {
	case endpoint.Website:
		return endpoint.HTTP(s, r.Own["ingress-address"])
	case endpoint.LoadBalancer:
		return endpoint.PublicAddress(s)
	}
	return nil
}

// publish derives what to write on each relation. Clients are told no virtual IP that
// nobody has.
func (d Desired) publish(o facts.Observed) {
	service := endpoint.Service{Hostname: d.Options.Hostname, Port: d.Options.Port}
	for _, v := range d.had(o) {
		service.Addresses = append(service.Addresses, v.Written)
	}
	for _, r := range o.Relations {
		if r.Endpoint == endpoint.CosAgent {
			if changes := endpoint.Changes(endpoint.Observed(d.observed(o)), r.Own); len(changes) > 0 {
				d.Publish[r.ID] = changes
			}
			continue
		}
		want := clients(r, service)
		if r.Endpoint == endpoint.Cluster {
			want = d.member(o).Databag()
		}
		if want == nil {
			continue
		}
		if len(service.Addresses) == 0 && r.Endpoint != endpoint.Cluster && r.Own["port"] == "" {
			continue // nothing was published, so nothing is withdrawn
		}
		changes := endpoint.Changes(want, r.Own)
		if r.Endpoint == endpoint.Cluster {
			maps.Copy(changes, group.Former(want, r.Own))
		}
		if len(changes) > 0 {
			d.Publish[r.ID] = changes
		}
	}
}

// Meanwhile is what is published while a change takes longer than a hook may wait: all that
// clients are told, and of what peers are told whom this unit knows. A unit that begins may
// count on that, unless it would begin with what this unit runs no more and has not announced
// to change, or in a router that is no more.
func (d Desired) Meanwhile(o facts.Observed) map[juju.RelationID]juju.Databag {
	tell := maps.Clone(d.Publish)
	for _, r := range o.Relations {
		if r.Endpoint != endpoint.Cluster {
			continue
		}
		knows, changes := tell[r.ID]["knows"]
		delete(tell, r.ID)
		if changes && !d.AnyRouter(func(r Router) bool {
			return r.told.Runs != r.Run && r.told.Next == nil || r.told.Runs.Spread != r.Run.Spread
		}) {
			tell[r.ID] = juju.Databag{"knows": knows}
		}
	}
	return tell
}

// takeBack tells the peers that this unit serves nothing meanwhile: who waits for it, or
// hands over, is not to count on it.
func (d Desired) takeBack(o facts.Observed) {
	for _, r := range o.Relations {
		if r.Endpoint != endpoint.Cluster || !r.Told.Serves {
			continue
		}
		want := endpoint.Member{Principal: r.Told.Principal, Rank: r.Told.Rank, Addresses: r.Told.Addresses, Knows: r.Told.Knows}.Databag()
		d.Publish[r.ID] = endpoint.Changes(want, r.Own)
		maps.Copy(d.Publish[r.ID], group.Former(want, r.Own))
	}
}

// Overwrites tells that Juju, at the end of this hook, puts the unit's own address in
// the place of the virtual IP on website: it does so in config-changed, and takes a
// value that is published again for no change (Juju source,
// apiserver/facades/agent/uniter, updateUnitNetworkInfoOperation).
func Overwrites(o facts.Observed) bool {
	if o.Event.Hook != hooks.ConfigChanged || !o.Machine.NotifierActive {
		return false
	}
	for _, r := range o.Relations {
		if r.Endpoint == endpoint.Website && r.Own["port"] != "" && r.Own["private-address"] != r.Own["ingress-address"] {
			return true
		}
	}
	return false
}

// TellVerdict adds to what the peers are told what this unit's health checker
// says, now that the machine is as wanted. Hooks of the peer relation tell nothing:
// units whose services come and go would answer each other for ever.
func (d *Desired) TellVerdict(o facts.Observed) {
	if o.Event.Endpoint == endpoint.Cluster {
		return
	}
	var healthy *bool
	if d.Mode == Serving && o.Machine.Check.Known {
		healthy = &o.Machine.Check.Healthy
	}
	for _, r := range o.Relations {
		if r.Endpoint != endpoint.Cluster {
			continue
		}
		if changes := endpoint.Changes(endpoint.Verdict(healthy), r.Own); len(changes) > 0 {
			if d.Publish[r.ID] == nil {
				d.Publish[r.ID] = juju.Databag{}
			}
			maps.Copy(d.Publish[r.ID], changes)
		}
	}
}
