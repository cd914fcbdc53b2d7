package decide

import (
	"slices"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/keepalived"
)

// keepalived up to 2.3.2 drops advertisements that carry other addresses than its own
// configuration. Later ones only count them (addr_list_err in the report) and follow
// whoever has a higher priority: then a stranger on the virtual router ID makes every
// unit a standby, and the virtual IPs are nowhere. What the daemon reports is the
// priority alone, which may be that of a unit; the health checker hears who sends and
// what.

// hearsStrangers tells that somebody who is no unit of this group advertises the
// virtual router ID.
func (d self) hearsStrangers(m facts.Machine, r Router) bool {
	return slices.ContainsFunc(m.Check.Heard, func(h facts.Heard) bool { return h.Instance == d.Name(r) && h.Foreign && h.Speaks })
}

// impersonated tells that the priority which seems a peer's came from somebody else, as
// far as the health checker heard. Advertisements over IPv6 come from link-local
// addresses, which units do not tell of.
func (p Peer) impersonated(heard []facts.Heard, state keepalived.InstanceState) bool {
	strange := false
	for _, h := range heard {
		if h.Instance != state.Name || !h.Speaks {
			continue
		}
		theirs := slices.Contains(p.own(), h.Address.WithZone(""))
		switch {
		case h.Foreign:
			strange = true
		case theirs || h.Address.IsLinkLocalUnicast() && h.Priority == state.MasterPriority:
			return false
		default:
			strange = strange || h.Priority == state.MasterPriority
		}
	}
	return strange
}

// Usurper is the stranger that this unit follows as if it held the virtual IPs, which
// nobody does; nil for none.
func (r Router) Usurper(m facts.Machine, state keepalived.InstanceState) *facts.Heard {
	if state.State != keepalived.Backup || state.MasterPriority == 0 || r.Mixed() {
		return nil
	}
	var found *facts.Heard
	for _, h := range m.Check.Heard {
		switch {
		case h.Instance != state.Name || !h.Speaks:
		case !h.Foreign:
			return nil // it holds them
		case h.Priority == state.MasterPriority:
			found = &h
		}
	}
	return found
}
