package charmtest

import (
	"net/netip"
	"strings"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/hacluster"
	"keepalived-charm/internal/juju"
)

// Asks is the relation in which a principal unit asks for virtual IPs.
const Asks = juju.RelationID("ha:7")

// Asked returns the unit as its principal asks for what a databag says; nil for a relation in
// which it has written nothing.
func (s State) Asked(bag juju.Databag) State {
	s = s.Clone()
	if s.Juju.Relations[endpoint.HA] == nil {
		s.Juju.Relate(endpoint.HA, Asks, s.Juju.Principal)
	}
	s.Juju.Relations[endpoint.HA][Asks][s.Juju.Principal] = bag
	return s
}

// Ask has a principal unit write what it asks for, in the relation that is there or a new one.
// No hook of the unit may be running.
func (c *Cluster) Ask(n *Node, bag juju.Databag) {
	if n.Juju.Relations[endpoint.HA] == nil {
		n.Await("ha-relation-created")
		n.Await("ha-relation-joined")
	}
	s := n.State.Asked(bag)
	n.State = &s
	n.Await("ha-relation-changed")
}

// Attach relates a unit to its principal unit on juju-info.
func (c *Cluster) Attach(n *Node) {
	n.Juju.Relate(endpoint.JujuInfo, "juju-info:0", n.Juju.Principal)
	n.Await("juju-info-relation-created")
	n.Await("juju-info-relation-joined")
}

// Detach ends the relation of a unit to its principal unit on an endpoint.
func (c *Cluster) Detach(n *Node, name string) {
	n.Await(name + "-relation-departed")
	n.Await(name + "-relation-broken")
}

// detach is what Juju lists of such a relation in a hook: the principal unit is gone when it
// departs, the relation when it is broken.
func (n *Node) detach(in *State, hook string) (was juju.RelationID) {
	for _, name := range endpoint.Principal() {
		kind, found := strings.CutPrefix(hook, name+"-relation-")
		for _, id := range in.Juju.ids(name) {
			if !found {
				continue
			}
			was = id
			switch kind {
			case "departed":
				delete(in.Juju.Relations[name][id], in.Juju.Principal)
			case "broken":
				delete(in.Juju.Relations, name)
			}
		}
	}
	return was
}

// asked are the virtual IPs that principal units ask for.
func (c *Cluster) asked() (list []netip.Addr) {
	for _, n := range c.Nodes {
		for _, v := range hacluster.Read(n.Juju.Relations[endpoint.HA][Asks][n.Juju.Principal]).VirtualIPs {
			list = append(list, v.Addr())
		}
	}
	return list
}
