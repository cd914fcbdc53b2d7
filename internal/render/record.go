package render

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
)

// record is what this unit is about to run. Options that it has yet to change over to,
// with the others, may still turn out not to do: those of before stay beside them.
func record(d decide.Desired, o facts.Observed) applied.Record {
	r := applied.Record{Options: config.Effective(o.Options.Raw), Routers: map[int]applied.Router{}, Addresses: map[netip.Addr]applied.Place{}, Left: o.Left()}
	if before := o.Machine.Applied.Options; before != nil && d.AnyRouter(func(r decide.Router) bool { return r.Moving }) &&
		!applied.Same(before, r.Options) {
		r.Options, r.Moving = before, r.Options
	}
	for _, one := range d.Routers {
		i, number := one.Instance, one.Number
		r.Routers[number] = applied.Router{Parameters: i.Parameters, Password: i.Password, Link: i.Interface, Also: i.Also}
		for _, a := range i.Addresses {
			r.Addresses[a.Addr()] = applied.Place{Router: number, Interface: a.Interface, Bits: a.Bits()}
		}
		for _, a := range i.Unicast() {
			if !slices.Contains(r.Peers, a) {
				r.Peers = append(r.Peers, a)
			}
		}
	}
	return r
}
