package decide

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/vrrp"
)

// base is the unit's base priority in a virtual router.
func (d agreement) base(r Router) vrrp.Priority {
	switch {
	case r.Mixed():
		return vrrp.MixedBase
	case !d.Spread:
		return vrrp.Base(d.rank)
	case d.gathers:
		return vrrp.Foremost
	case d.leaving:
		return vrrp.Base(vrrp.Ranks - 1) // its peers are unknown to it by now
	}
	return vrrp.Base(r.Turns.Of(d.rank))
}

// python is what the Python charm's file says or, once that is replaced, what this unit
// kept of it; false in a group that is not mixed.
func (d agreement) python(m facts.Machine) (applied.Router, bool) {
	r, there := m.Applied.Routers[0]
	return r, there && d.Routers[0].Mixed()
}

// pythonInterface is where the Python charm has its virtual IP and speaks; empty in
// a group that is not mixed. Units of that charm listen nowhere else.
func (d agreement) pythonInterface(m facts.Machine) string {
	if c, ok := d.python(m); ok && config.Interface(c.Link) {
		return c.Link
	}
	return ""
}

// alsoAdvertised lists what the Python charm advertises besides the anchor.
func (d agreement) alsoAdvertised(m facts.Machine) []netip.Addr {
	c, ok := d.python(m)
	if !ok {
		return nil
	}
	anchor := d.Routers[0].Run.Anchor
	return slices.DeleteFunc(slices.Concat([]netip.Addr{c.Anchor}, c.Also), func(a netip.Addr) bool {
		return a == anchor || a.Is6() != anchor.Is6()
	})
}
