package charmtest

import (
	"fmt"
	"net/netip"
	"slices"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/vrrp"
)

// Look answers what the network does, for the addresses and interfaces asked about.
func (m *machine) Look(q conflict.Question) (conflict.Look, error) {
	if m.life.dead {
		return conflict.Look{}, errDied
	}
	*m.looks++
	*m.listened += q.Listen
	l := conflict.Look{Listened: q.Listen, Crowds: m.host.Network.Crowds}
	for _, s := range q.Segments {
		for _, p := range m.host.Network.Proxies {
			if p.Interface == s.Interface && len(s.Ask) > 0 {
				l.Proxies = append(l.Proxies, p)
			}
		}
		for _, h := range m.host.Network.Heard {
			if h.Interface == s.Interface {
				l.Heard = append(l.Heard, h)
			}
		}
		for _, a := range m.host.Network.Answers {
			if a.Interface == s.Interface && slices.Contains(s.Ask, a.Address) {
				l.Answers = append(l.Answers, a)
			}
		}
	}
	return l, nil
}

// network is what a unit's look at the network brings.
func (c *Cluster) network(n *Node) conflict.Look {
	var l conflict.Look
	for _, other := range c.Nodes {
		if other == n || !other.Up || c.cut[pair(n, other)] {
			continue
		}
		addresses := append(slices.Clone(other.Host.Pinned), other.address())
		host := conflict.Host{Address: other.address(), MAC: macOf(other.address())}
		for _, v := range other.voices {
			if !v.master || v.silent {
				continue
			}
			addresses = append(addresses, v.addresses...)
			if v.Mode == vrrp.Multicast && !c.Filtered || v.Mode == vrrp.Unicast && slices.Contains(v.unicast, n.address()) {
				l.Heard = append(l.Heard, conflict.Heard{Interface: "eth0", Sender: host, Delivered: true, Advertisement: vrrp.Advertisement{
					Version: v.Version, VirtualRouterID: v.VirtualRouterID, Priority: vrrp.Priority(v.priority), Interval: v.Interval,
					Addresses: []netip.Addr{v.Anchor}}})
			}
		}
		for _, a := range addresses {
			l.Answers = append(l.Answers, conflict.Answer{Interface: "eth0", Address: a, By: conflict.Host{MAC: host.MAC}, Last: true})
		}
	}
	return l
}

// macOf is the link-layer address of the machine with an address.
func macOf(a netip.Addr) string {
	b := a.AsSlice()
	return fmt.Sprintf("52:54:00:74:00:%02x", b[len(b)-1])
}
