package reconcile

import (
	"net/netip"
	"slices"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
)

// record is what this unit is about to run. Options that it has yet to change over to,
// with the others, may still turn out not to do: those of before stay beside them.
func (d Desired) record(o Observed) applied.Record {
	r := applied.Record{Options: config.Effective(o.Options.Raw), Routers: map[int]applied.Router{}, Addresses: map[netip.Addr]applied.Place{}}
	if before := o.Machine.Applied.Options; before != nil && d.anyRouter(func(r router) bool { return r.Moving }) &&
		!applied.Same(before, r.Options) {
		r.Options, r.Moving = before, r.Options
	}
	for _, one := range d.routers {
		i, number := one.instance, one.number
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

// Before returns what was observed with the options that the unit took last, in the
// place of those that were refused; when these were refused, with those before; false
// when there are none.
func (o Observed) Before(refusal error) (Observed, bool) {
	now, before := config.Effective(o.Options.Raw), o.Machine.Took
	for n, took := range before {
		if applied.Same(config.Effective(took.Raw), now) {
			before = before[n+1:]
			break
		}
	}
	if len(before) > 0 {
		if o.Refusal == nil {
			o.Refusal = refusal
		}
		// The look was for what was refused.
		o.Options, o.Look = before[0], nil
		return o, true
	}
	return o, false
}

// Shown is what juju status shows of a unit that does something, by whatever options.
func (o Observed) Shown(does juju.Status) juju.Status {
	refusal, refused := StatusOf(o.Refusal)
	if !refused {
		return does
	}
	refusal.Message += say(meanwhile, "STATUS", does.Message).Message
	return refusal
}

// Overwrites tells that Juju, at the end of this hook, puts the unit's own address in
// the place of the virtual IP on website: it does so in config-changed, and takes a
// value that is published again for no change (Juju source,
// apiserver/facades/agent/uniter, updateUnitNetworkInfoOperation).
func Overwrites(o Observed) bool {
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
