package decide

import (
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/hacluster"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/status"
)

// Where the virtual IPs come from: option virtual_ip, or what the principal unit asks for on
// ha. A request is options like any others: those that it stands in for, so that a unit keeps
// the last ones that did, whoever asked for them.

// Asked returns what was observed with the options that the unit is to go by. Units' requests
// differ for minutes, as their options do.
func Asked(o facts.Observed) facts.Observed {
	r, own, asker := o.Request(), addresses(o.Options.Usable.VirtualIPs), o.Event.Principal.String()
	switch {
	case o.Departs() && len(own) == 0 && len(o.Machine.Took) > 0:
		// The request has gone before the unit, which changes nothing any more.
		o.Options = o.Machine.Took[0]
	case r == nil || len(own) == 0 && !config.Standard(o.Options.Raw, "virtual_ip"):
		// The option cannot be read, or is all there is.
	case r.State == hacluster.Refused && len(own) > 0:
		o.Refusal = unservable(asker, *r)
	case r.State == hacluster.Refused:
		return without(o, unservable(asker, *r))
	case r.State != hacluster.Wanted && len(own) > 0:
		// The option's are all there is.
	case r.State == hacluster.Empty:
		o.Lacks = status.Refusal(status.Say(status.AsksForNone, "PRINCIPAL", asker))
	case r.State == hacluster.Absent && r.Began:
		return without(o, status.Refusal(status.Say(status.AsksForNone, "PRINCIPAL", asker)))
	case r.State == hacluster.Absent:
		return without(o, status.Refusal(status.Say(status.WaitsForRequest, "PRINCIPAL", asker)))
	case len(own) > 0 && !sameAddresses(own, asked(*r)):
		return without(o, status.Refusal(status.Say(status.TwoSources, "ADDRESSES", status.List(own), "PRINCIPAL", asker,
			"ASKED", status.List(asked(*r)), "APPLICATION", o.Layout().Application)))
	default:
		o.Options = requested(o.Options, *r, asker)
	}
	return o
}

func unservable(asker string, r hacluster.Request) error {
	return status.Refusal(status.Say(status.RequestRefused, "PRINCIPAL", asker, "REASON", r.Reason))
}

// without is a unit that has no virtual IP to serve by now: one that serves goes on by the
// options that it took last.
func without(o facts.Observed, why error) facts.Observed {
	o.Options = config.Asked(o.Options.Raw, "", map[string]any{"virtual_ip": ""})
	switch {
	case !o.Machine.Serves():
		o.Lacks = why
	case o.Options.Fault == nil:
		o.Options.Fault = why
	}
	return o
}

// checkOptions are those that say how a service is checked.
var checkOptions = []string{"healthcheck_type", "healthcheck_target", "healthcheck_path", "healthcheck_host", "healthcheck_status", "healthcheck_ca"}

// requested are the operator's options with what a request says where they say nothing. A
// service that is to run on every unit is the health check: pacemaker would look after it.
func requested(g config.Given, r hacluster.Request, asker string) config.Given {
	asks := map[string]any{}
	name, free := r.Interface(), config.Standard(g.Raw, "network_interface")
	if config.Standard(g.Raw, "virtual_ip") {
		var words []string
		for _, v := range r.VirtualIPs {
			if name != "" || !free {
				v.Interface = ""
			}
			words = append(words, v.String())
		}
		asks["virtual_ip"] = strings.Join(words, ",")
	} else {
		asker = ""
	}
	if name != "" && free {
		asks["network_interface"] = name
	}
	if len(r.Services) > 0 && config.Standard(g.Raw, checkOptions...) {
		asks["healthcheck_type"], asks["healthcheck_target"] = string(healthcheck.Unit), r.Services[0]
	}
	return config.Asked(g.Raw, asker, asks)
}

// asked are the addresses of a request.
func asked(r hacluster.Request) []netip.Addr {
	var list []netip.Addr
	for _, v := range r.VirtualIPs {
		list = append(list, v.Addr())
	}
	return list
}

// sameAddresses tells equal sets.
func sameAddresses(a, b []netip.Addr) bool {
	a, b = slices.SortedFunc(slices.Values(a), netip.Addr.Compare), slices.SortedFunc(slices.Values(b), netip.Addr.Compare)
	return slices.Equal(a, b)
}

// force is whether keepalived runs with virtual IPs.
type force int

const (
	unknown force = iota // it does not answer: what was told of them stands
	lacks
	runs
)

// TellClustered adds to what is published that what the principal unit asks for is in force:
// keepalived runs with all of it. That stays told while the unit serves it, whatever becomes of
// the daemon for a moment, and is taken back when it does not serve it any more.
func (d *Desired) TellClustered(o facts.Observed) {
	var served []netip.Addr
	if d.Mode == Serving {
		served = d.Addresses()
	}
	in := d.serves(o.Machine)
	if o.Unfinished() {
		in = d.servesMeanwhile(o.Machine)
	}
	for id, bag := range clustered(o, served, in) {
		d.Publish[id] = bag
	}
}

// serves tells whether keepalived runs with all virtual IPs. What was told was of others where
// the unit went by others before this hook.
func (d agreement) serves(m facts.Machine) force {
	var running []netip.Addr
	silent := !m.Active
	for _, r := range d.Routers {
		state, reported := d.State(m, r)
		silent = silent || !reported
		running = append(running, state.Addresses...)
	}
	all := d.each(func(v config.VirtualIP) bool { return slices.Contains(running, v.Addr()) })
	switch {
	case silent && d.wentBy():
		return unknown
	case silent || !all:
		return lacks
	}
	return runs
}

// servesMeanwhile tells it while a change takes longer than one hook: what the unit went by
// before, and has on this machine, stays told.
func (d agreement) servesMeanwhile(m facts.Machine) force {
	if d.wentBy() && (d.Spread || d.each(func(v config.VirtualIP) bool { return m.Has(v.Addr()) })) {
		return unknown
	}
	return lacks
}

// wentBy tells that the unit went by all virtual IPs before this hook.
func (d self) wentBy() bool {
	return d.each(func(v config.VirtualIP) bool { return d.asked[v.Prefix] })
}

// each tells that something is so of all virtual IPs.
func (d self) each(is func(config.VirtualIP) bool) bool {
	return !slices.ContainsFunc(d.Options.VirtualIPs, func(v config.VirtualIP) bool { return !is(v) })
}

// clustered is what changes of that on ha for a unit that serves addresses, as far as
// keepalived runs with them.
func clustered(o facts.Observed, served []netip.Addr, in force) map[juju.RelationID]juju.Databag {
	tell := map[juju.RelationID]juju.Databag{}
	for _, r := range o.Relations {
		if r.Endpoint != endpoint.HA {
			continue
		}
		told := r.Own[hacluster.Clustered] == hacluster.Yes
		is := r.Request != nil && r.Request.State == hacluster.Wanted && sameAddresses(asked(*r.Request), served)
		switch {
		case told && (!is || in == lacks):
			tell[r.ID] = juju.Databag{hacluster.Clustered: ""}
		case !told && is && in == runs:
			tell[r.ID] = juju.Databag{hacluster.Clustered: hacluster.Yes}
		}
	}
	return tell
}
