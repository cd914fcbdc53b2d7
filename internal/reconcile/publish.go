package reconcile

import (
	"maps"
	"slices"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

// member is what this unit tells its peers.
func (d Desired) member(o Observed) endpoint.Member {
	m := endpoint.Member{Principal: o.Event.Principal, Rank: int(d.rank)}
	// Only what Juju lists: the kernel's may come and go, with a hook on every peer.
	for _, a := range d.own {
		if slices.Contains(o.Ingress, a.String()) {
			m.Addresses = append(m.Addresses, a)
		}
	}
	if d.Mode == Serving {
		m.Address = d.address
		m.Lists = d.lists(o)
		m.MACs = d.macs(o.Machine)
		m.Word = d.routers[0].word(d.paused)
		m.Since = o.told().Since
		reign := int64(0)
		for _, r := range d.routers {
			if r.number > 0 {
				if m.More == nil {
					m.More = map[int]group.Word{}
				}
				m.More[r.number] = r.word(d.paused)
			} else if d.Spread {
				m.Word.VirtualIPs = r.addresses()
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
func (d Desired) since(o Observed, reign int64) int64 {
	told := o.told().Since
	if told == 0 || told > reign || slices.ContainsFunc(d.peers, func(p peer) bool { return p.member.Since >= told }) {
		return reign
	}
	return told
}

// yielded tells that this unit was holder since a time and is it no longer, as it
// heard one that has been for longer: each was the only one that the other heard of.
// Such a holder has no news, and without this unit's word the others would go on to
// name this one. Where the next holder has not told of itself yet, they hear twice.
func (d Desired) yielded(o Observed, since int64) bool {
	if since == 0 || !o.Machine.Check.Known || !o.Machine.Check.Healthy {
		return false
	}
	for _, r := range d.routers {
		state, _ := d.state(o.Machine, r)
		holder, known := r.holder(o.Machine, state)
		for _, p := range d.peers {
			if known && holder == p.unit && p.member.Since < since {
				return true
			}
		}
	}
	return false
}

// unheard tells that a peer would not send its advertisements to this unit yet,
// which would hear nothing from it and take the addresses.
func (d Desired) unheard(r router) bool {
	return r.Run.Mode == vrrp.Unicast && slices.ContainsFunc(serving(r.peers), func(p peer) bool {
		return !slices.Contains(p.lists, d.address)
	})
}

// publish derives what to write on each relation.
func (d Desired) publish(o Observed) {
	service := endpoint.Service{Hostname: d.options.Hostname, Port: d.options.Port}
	for _, v := range d.options.VirtualIPs {
		service.Addresses = append(service.Addresses, v.Written)
	}
	for _, r := range o.Relations {
		var want juju.Databag
		switch r.Endpoint {
		case endpoint.Website:
			want = endpoint.HTTP(service, r.Own["ingress-address"])
		case endpoint.LoadBalancer:
			want = endpoint.PublicAddress(service)
		case endpoint.Cluster:
			want = d.member(o).Databag()
		default:
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
