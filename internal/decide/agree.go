package decide

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// agreement is what the units agree on.
type agreement struct {
	self
	// Routers are the virtual routers that the unit has a part in, by number: one, or with
	// option spread several. There is the first of them while the unit serves.
	Routers []Router
	// Spread tells that each virtual IP has a virtual router and returns to the unit whose
	// turn it is, ends that there is to be one for all again, gathers that this unit is about
	// to hold all of them for that.
	Spread        bool
	ends, gathers bool
	// first are the parameters of the first of several.
	first vrrp.Parameters
}

// decide is what this unit does about a virtual router (package group).
func (d agreement) decide(o facts.Observed, number int) Router {
	r := d.Router(number)
	r.Decision = group.Decide(d.standing(o, r))
	if r.Planned > 0 {
		// keepalived takes an address away for a moment when its prefix length
		// changes, and before 2.2.5 for seconds when a script goes.
		r.Pin = r.Holds && !o.Machine.Applied.Ours()
	}
	return r
}

// standing is all that the decision depends on.
func (d agreement) standing(o facts.Observed, r Router) group.View {
	wanted := d.target(r.Number)
	current, serves := o.Machine.Runs(r.Number)
	v := group.View{
		Unit: d.Unit, Runs: current, Serves: serves, Wanted: wanted, Starts: wanted, Told: r.told, Stands: o.Stands(d.Name(r)),
		Grouped: d.Related, Departs: departs(o, current), Loses: o.Loses(), Hears: d.hearsDeparted(o, r), Heeds: serves && d.heeds(o, r, current),
		Ignored: len(d.unaware) > 0,
		Planned: o.Planned, Python: d.pythonLeft(o, current),
		Holds: serves && (o.Machine.Has(current.Anchor) || d.midway(o, r)), Reign: d.reign(o.Machine, r),
		Fresh: d.unconfirmed, Ends: d.ends, Awaited: r.awaited(current.VirtualRouterID), Accepts: d.acceptable(o.Machine),
		// Routers that are to end are silent by the time the first one changes.
		Taken: (!current.Spread || wanted.Spread) && r.occupied(wanted.VirtualRouterID),
	}
	if r.Number > 0 {
		// What all units run in the first router is agreed upon.
		v.Starts = d.first
		v.Starts.Spread = false
		v.Starts.VirtualRouterID += vrrp.VirtualRouterID(r.Number)
		v.Starts.Anchor = vrrp.Anchor(v.Starts.VirtualRouterID, d.first.Anchor.Is6())
	}
	gathers := current.Spread && !wanted.Spread
	if gathers {
		v.HoldsAll = o.Machine.HoldsAll()
	}
	for _, p := range r.Peers {
		one := group.Peer{Unit: p.Unit, Word: p.Word, Lost: p.lost, Knows: p.Member.Knows}
		if gathers {
			one.Elsewhere = slices.Collect(maps.Values(p.Member.More))
		}
		v.Peers = append(v.Peers, one)
	}
	return v
}

// midway tells that a hook which was killed has left this unit's change of a virtual router
// half done: it holds on its loopback device what the instance of before or the new one has,
// unless that follows another holder by now or takes no part.
func (d self) midway(o facts.Observed, r Router) bool {
	state, reported := d.State(o.Machine, r)
	if reported && (state.State != keepalived.Backup || state.MasterPriority != 0) && state.State != keepalived.Master {
		return false
	}
	for a, p := range o.Machine.Applied.Addresses {
		if p.Router == r.Number && pinned(o.Machine, a) {
			return true
		}
	}
	return false
}

// departs tells a unit that is being taken out of a group of several, as it may be where
// nothing tells; it begins nothing that it does not run. The peer relation of one that comes
// from the Python charm may be yet to come.
func departs(o facts.Observed, current vrrp.Parameters) bool {
	breaks := o.Event.Hook == hooks.RelationBroken && o.Event.Endpoint == endpoint.Cluster
	several := breaks
	if c := o.Machine.Checker; c != nil {
		several = c.Peers
	}
	comes := !breaks && !current.Constant() && current != vrrp.Parameters{}
	return o.Departs() || o.Leaving() && several && !comes
}

// hearsDeparted tells that a unit advertises which this one listed as a peer and which is
// none any more.
func (d self) hearsDeparted(o facts.Observed, r Router) bool {
	return slices.ContainsFunc(o.Machine.Check.Heard, func(h facts.Heard) bool {
		return h.Instance == d.Name(r) && h.Speaks && d.listed(h.Address.WithZone(""))
	})
}

// heeds tells that a peer advertises which told that it takes part with what this unit runs.
func (d self) heeds(o facts.Observed, r Router, current vrrp.Parameters) bool {
	return o.Machine.CheckerActive && slices.ContainsFunc(o.Machine.Check.Heard, func(h facts.Heard) bool {
		return h.Instance == d.Name(r) && h.Speaks && !h.Foreign && slices.ContainsFunc(serving(r.Peers), func(p Peer) bool {
			return p.Aside == group.TakesPart && p.Runs == current && slices.Contains(p.own(), h.Address.WithZone(""))
		})
	})
}

// listed tells the address of a unit that was a peer.
func (d self) listed(a netip.Addr) bool {
	return slices.Contains(d.told.Lists, a) && !slices.ContainsFunc(d.Peers, func(p Peer) bool { return slices.Contains(p.own(), a) })
}

// lists are the addresses of peers, those that have departed and hold still among them.
func (d placement) lists(o facts.Observed) []netip.Addr {
	list := d.sendsTo(d.Routers[0].Run.Anchor.Is6())
	for _, h := range o.Machine.Check.Heard {
		if a := h.Address.WithZone(""); h.Speaks && d.listed(a) && !slices.Contains(list, a) {
			list = append(list, a)
		}
	}
	return list
}

// acceptable tells parameters that this unit may run on a peer's word: nothing a
// peer says reaches the configuration unless the options could have said it.
func (d self) acceptable(m facts.Machine) func(vrrp.Parameters) bool {
	return func(p vrrp.Parameters) bool {
		return d.sayable(p) && (p.Interface == "" || m.Exists(p.Interface))
	}
}

func (d self) sayable(p vrrp.Parameters) bool {
	known := p.Constant() || slices.ContainsFunc(d.Options.VirtualIPs, func(v config.VirtualIP) bool { return v.Addr() == p.Anchor })
	// Version 2 knows IPv4 alone.
	return known && (p.Auth == "" || p.Auth == vrrp.Fingerprint(d.secret)) && (p.Version == 3 || p.Anchor.Is4()) && config.IsInterval(p.Version, p.Interval)
}

// reign is when this unit's instance became MASTER, in seconds since 1970.
func (d self) reign(m facts.Machine, r Router) int64 {
	if i, reported := d.State(m, r); reported {
		return int64(i.LastTransition)
	}
	return 0
}

// master tells whether this unit's instance is MASTER.
func (d self) master(m facts.Machine, r Router) bool {
	i, _ := d.State(m, r)
	return i.State == keepalived.Master
}
