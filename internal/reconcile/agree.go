package reconcile

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// decide is what this unit does about a virtual router (package group).
func (d Desired) decide(o Observed, number int) router {
	r := d.router(number)
	r.Decision = group.Decide(d.standing(o, r))
	if r.Planned > 0 {
		// keepalived takes an address away for a moment when its prefix length
		// changes, and before 2.2.5 for seconds when a script goes.
		r.Pin = r.Holds && !o.Machine.Applied.Ours()
	}
	return r
}

// standing is all that the decision depends on.
func (d Desired) standing(o Observed, r router) group.View {
	wanted := d.target(r.number)
	current, serves := o.Machine.runs(r.number)
	v := group.View{
		Unit: d.unit, Runs: current, Serves: serves, Wanted: wanted, Starts: wanted, Told: r.told, Stands: o.stands(d.name(r)),
		Grouped: d.related, Departs: o.departs(current), Loses: o.loses(), Hears: d.hearsDeparted(o, r),
		Later:   r.number > 0,
		Planned: o.Planned, Python: d.pythonLeft(o, current),
		Holds: serves && o.Machine.has(current.Anchor), Reign: d.reign(o.Machine, r),
		Fresh: d.unconfirmed, Ends: d.ends, Awaited: r.awaited(), Accepts: d.acceptable(o.Machine),
		// Routers that are to end are silent by the time the first one changes.
		Taken: (!current.Spread || wanted.Spread) && r.occupied(wanted.VirtualRouterID),
	}
	if r.number > 0 {
		// What all units run in the first router is agreed upon.
		v.Starts = d.first
		v.Starts.Spread = false
		v.Starts.VirtualRouterID += vrrp.VirtualRouterID(r.number)
		v.Starts.Anchor = vrrp.Anchor(v.Starts.VirtualRouterID, d.first.Anchor.Is6())
	}
	gathers := current.Spread && !wanted.Spread
	if gathers {
		v.HoldsAll = o.Machine.holdsAll()
	}
	for _, p := range r.peers {
		one := group.Peer{Unit: p.unit, Word: p.Word, Lost: p.lost}
		if gathers {
			one.Elsewhere = slices.Collect(maps.Values(p.member.More))
		}
		v.Peers = append(v.Peers, one)
	}
	return v
}

// stands is what the installed configuration keeps an instance of this unit out for.
func (o Observed) stands(name string) group.Aside {
	if o.Machine.Checker == nil {
		return ""
	}
	for n := range o.Machine.Checker.Instances {
		if i := &o.Machine.Checker.Instances[n]; i.Name == name {
			return group.Aside(i.Aside)
		}
	}
	return ""
}

// installed is the health checker's configuration; empty where there is none.
func (o Observed) installed() healthcheck.Config {
	if o.Machine.Checker == nil {
		return healthcheck.Config{}
	}
	return *o.Machine.Checker
}

// departs tells a unit that is being taken out of a group of several. The peer relation
// of one that comes from the Python charm is yet to come.
func (o Observed) departs(current vrrp.Parameters) bool {
	return o.leaving() && current.Constant() && o.installed().Peers
}

// loses tells that this hook is about another unit that departs.
func (o Observed) loses() bool {
	return o.Event.Hook == hooks.RelationDeparted && o.Event.Endpoint == endpoint.Cluster && o.Event.Departing != o.Event.Unit
}

// hearsDeparted tells that a unit advertises which this one listed as a peer and which is
// none any more.
func (d Desired) hearsDeparted(o Observed, r router) bool {
	return slices.ContainsFunc(o.Machine.Check.Heard, func(h Heard) bool {
		return h.Instance == d.name(r) && h.Speaks && d.listed(h.Address.WithZone(""))
	})
}

// listed tells the address of a unit that was a peer.
func (d Desired) listed(a netip.Addr) bool {
	return slices.Contains(d.told.Lists, a) && !slices.ContainsFunc(d.peers, func(p peer) bool { return slices.Contains(p.own(), a) })
}

// lists are the addresses of peers, those that have departed and hold still among them.
func (d Desired) lists(o Observed) []netip.Addr {
	list := d.sendsTo(d.routers[0].Run.Anchor.Is6())
	for _, h := range o.Machine.Check.Heard {
		if a := h.Address.WithZone(""); h.Speaks && d.listed(a) && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// holdsAll tells that the machine has every router's address.
func (m Machine) holdsAll() bool {
	for _, r := range m.Applied.Routers {
		if !m.has(r.Anchor) {
			return false
		}
	}
	return true
}

// acceptable tells parameters that this unit may run on a peer's word: nothing a
// peer says reaches the configuration unless the options could have said it.
func (d Desired) acceptable(m Machine) func(vrrp.Parameters) bool {
	return func(p vrrp.Parameters) bool {
		return d.sayable(p) && (p.Interface == "" || m.exists(p.Interface))
	}
}

func (d Desired) sayable(p vrrp.Parameters) bool {
	known := p.Constant() || slices.ContainsFunc(d.options.VirtualIPs, func(v config.VirtualIP) bool { return v.Addr() == p.Anchor })
	step := 10 * time.Millisecond
	if p.Version == 2 {
		step = time.Second
	}
	return known && (p.Auth == "" || p.Auth == vrrp.Fingerprint(d.secret)) && p.Interval%step == 0 && p.Interval >= config.ShortestInterval && p.Interval <= config.LongestInterval
}

// reign is when this unit's instance became MASTER, in seconds since 1970.
func (d Desired) reign(m Machine, r router) int64 {
	if i, reported := d.state(m, r); reported {
		return int64(i.LastTransition)
	}
	return 0
}

// master tells whether this unit's instance is MASTER.
func (d Desired) master(m Machine, r router) bool {
	i, _ := d.state(m, r)
	return i.State == keepalived.Master
}
