package reconcile

import (
	"fmt"
	"slices"
	"strings"

	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
)

// waitsFor lists the units that this one stands aside for until they have run a hook.
func (d Desired) waitsFor(o Observed, r router) []juju.Unit {
	var all []peer
	holds := func(peer) bool { return true }
	switch r.Aside {
	case group.Unknown:
		all = o.untoldPeers()
	case group.Unheard:
		all, holds = serving(r.peers), func(p peer) bool { return !slices.Contains(p.lists, d.address) }
	case group.Agreed:
		return d.standing(o, r).WaitsFor(r.Decision)
	}
	var units []juju.Unit
	for _, p := range all {
		if holds(p) {
			units = append(units, p.unit)
		}
	}
	return units
}

// waiting says what this unit stands aside for when it is up to certain units, which
// may take their time; false for what is over in a moment by itself.
func waiting(a group.Decision) (juju.Status, bool) {
	c, ok := map[group.Aside]condition{group.Unknown: waitsToKnow, group.Unheard: waitsForList, group.Agreed: waitsToAgree}[a.Aside]
	if !ok {
		return juju.Status{}, false
	}
	return say(c, "UNIT", named(a.Waits)), true
}

// named shows up to three units and counts the others; one that is not known yet has no
// name.
func named(units []juju.Unit) string {
	const most = 3
	var words []string
	for _, u := range units {
		words = append(words, u.String())
	}
	switch {
	case len(words) == 0:
		return "another unit"
	case len(words) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}
