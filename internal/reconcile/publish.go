package reconcile

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/vrrp"
)

// member is what this unit tells its peers.
func (d Desired) member(o Observed, own []netip.Addr) endpoint.Member {
	m := endpoint.Member{Principal: o.Event.Principal, Rank: int(d.rank)}
	// Only what Juju lists: the kernel's may come and go, with a hook on every peer.
	for _, a := range own {
		if slices.Contains(o.Ingress, a.String()) {
			m.Addresses = append(m.Addresses, a)
		}
	}
	if d.Mode == Serving {
		m.Address = d.address
		m.Lists = d.sendsTo()
		m.Runs = &d.agreement.run
		m.Next = d.agreement.next
		if m.Round = d.told.Round; m.Next != nil {
			m.Round = m.Next.Round
		}
		if m.Aside = d.agreement.aside; m.Aside == "" && d.paused {
			m.Aside = untilResumed
		}
		m.Since = o.told().Since
		if began := d.reign(o.Machine); began > 0 && d.master(o.Machine) {
			m.Since = began
		}
	}
	return m
}

// unheard tells that a peer would not send its advertisements to this unit yet,
// which would hear nothing from it and take the addresses.
func (d Desired) unheard() bool {
	return d.agreement.run.Mode == vrrp.Unicast && slices.ContainsFunc(d.serving(), func(p peer) bool {
		return !slices.Contains(p.lists, d.address)
	})
}

// publish derives what to write on each relation.
func (d Desired) publish(o Observed, own []netip.Addr) {
	service := endpoint.Service{Hostname: d.options.Hostname, Port: d.options.Port}
	for _, v := range d.options.VirtualIPs {
		service.Addresses = append(service.Addresses, v.Addr())
	}
	for _, r := range o.Relations {
		var want juju.Databag
		switch r.Endpoint {
		case endpoint.Website:
			want = endpoint.HTTP(service, r.Own["ingress-address"])
		case endpoint.LoadBalancer:
			want = endpoint.PublicAddress(service)
		case endpoint.Cluster:
			want = d.member(o, own).Databag()
		default:
			continue
		}
		if len(service.Addresses) == 0 && r.Endpoint != endpoint.Cluster && r.Own["port"] == "" {
			continue // nothing was published, so nothing is withdrawn
		}
		if changes := endpoint.Changes(want, r.Own); len(changes) > 0 {
			d.Publish[r.ID] = changes
		}
	}
}
