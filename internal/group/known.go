package group

import (
	"slices"

	"keepalived-charm/internal/juju"
)

// Juju serves a hook what it read of a peer in that peer's last hook, and a unit's list
// of peers has who joined in its own hooks alone. So what a unit that begins has read may
// be from before an announcement, and who announced need not know of it. It takes part
// once all tell that they do.

// Known is whom a unit knows: the units that it has read to serve, by number, with how
// often each of them had begun to by then. Its own entry is how often it has itself, so
// that nobody's word of an earlier time counts for this one.
type Known map[int]int

// MostBegun bounds what a peer may say of itself or of others.
const MostBegun = 1 << 30

// Unit is a unit of the group with whom it knows. Knows is nil when it tells nothing of
// that, as a unit of another revision may.
type Unit struct {
	juju.Unit
	// Serves tells that it serves in some virtual router; Lost as in Peer.
	Serves, Lost bool
	Knows        Known
}

// Know returns what a unit tells of whom it knows, given what it told before; serves
// tells that it serves now.
func (u Unit) Know(serves bool, peers []Unit) Known {
	begun := u.Knows[u.Number]
	if serves && (!u.Serves || begun == 0) {
		begun = begun%MostBegun + 1
	}
	known := Known{u.Number: begun}
	for _, p := range peers {
		if p.Serves {
			known[p.Number] = p.Knows[p.Number]
		}
	}
	return known
}

// Unaware lists the units which do not know of this one, as far as they told, or of
// which another tells that they serve and this one has not read it. Nobody asks that of
// lost ones. Units that serve nothing may begin at the same time, and tell so. all tells that
// the peers are as many as there are: a number that another of them does not know is nobody's
// then, of a spoilt databag or of before a unit was removed, and keeps nobody out.
func Unaware(own juju.Unit, knows Known, peers []Unit, all bool) []juju.Unit {
	met := map[int]bool{own.Number: true}
	var list []juju.Unit
	for _, p := range peers {
		met[p.Number] = p.Serves || p.Lost
		asked := p.Serves || p.Knows != nil
		if begun, told := p.Knows[own.Number]; asked && !p.Lost && (!told || begun != knows[own.Number]) {
			list, met[p.Number] = append(list, p.Unit), true
		}
	}
	for _, p := range peers {
		for number := range p.Knows {
			if p.Serves && !p.Lost && !met[number] && (!all || listed(peers, number) || !unheardOf(peers, number)) {
				met[number] = true
				list = append(list, juju.Unit{Application: own.Application, Number: number})
			}
		}
	}
	slices.SortFunc(list, func(a, b juju.Unit) int { return a.Number - b.Number })
	return list
}

// Rumoured tells that some peer knows of a unit that this one does not list.
func Rumoured(own juju.Unit, peers []Unit) bool {
	return slices.ContainsFunc(peers, func(p Unit) bool {
		for number := range p.Knows {
			if p.Serves && number != own.Number && !listed(peers, number) {
				return true
			}
		}
		return false
	})
}

// unheardOf tells that a peer that serves does not know of a unit.
func unheardOf(peers []Unit, number int) bool {
	return slices.ContainsFunc(peers, func(p Unit) bool {
		_, known := p.Knows[number]
		return p.Serves && !p.Lost && p.Knows != nil && !known
	})
}

func listed(peers []Unit, number int) bool {
	return slices.ContainsFunc(peers, func(p Unit) bool { return p.Number == number })
}
