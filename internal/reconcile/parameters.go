package reconcile

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/vrrp"
)

// target is what the options ask for in a virtual router.
func (d Desired) target(number int) vrrp.Parameters {
	o := d.options
	six := !slices.ContainsFunc(o.VirtualIPs, func(v config.VirtualIP) bool { return v.Addr().Is4() })
	id := o.VirtualRouterID + vrrp.VirtualRouterID(number)
	return vrrp.Parameters{
		Version:         o.Version,
		Mode:            o.Mode,
		VirtualRouterID: id,
		Interval:        o.AdvertInterval,
		Anchor:          vrrp.Anchor(id, six),
		Auth:            vrrp.Fingerprint(d.secret),
		Spread:          o.Spread && number == 0,
		Interface:       o.Interface,
	}
}

// runs returns the parameters that this unit has applied, for the Python charm too;
// false when it does not serve that virtual router yet.
func (m Machine) runs(number int) (vrrp.Parameters, bool) {
	r, runs := m.Applied.Routers[number]
	return r.Parameters, runs
}

// pythonLeft tells whether units of the Python charm may be left: with its
// parameters in use, not every unit of the group is known as a peer yet.
func (d Desired) pythonLeft(o Observed, current vrrp.Parameters) bool {
	return !current.Constant() && 1+len(d.peers) < o.Planned
}

// NeedsPlanned tells whether the decision depends on how many units the
// application has.
func NeedsPlanned(o Observed) bool {
	current, serving := o.Machine.runs(0)
	return serving && !current.Constant() || (!serving || o.untold()) && len(o.peers()) == 0 || o.newcomer()
}

// Probe lists the addresses of peers when it matters whether they are lost: while
// not all units run what the options say, or list each other. Whether anything
// answers there tells a lost peer from a slow one.
func Probe(o Observed) []netip.Addr {
	d, err := Decide(o)
	if err != nil || d.Mode != Serving {
		return nil
	}
	if !d.anyRouter(router.doubts) {
		return nil
	}
	var list []netip.Addr
	for _, p := range d.peers {
		if p.Serves {
			list = append(list, o.Machine.near(p)...)
		}
	}
	return list
}

// near lists those of a peer's addresses that are on segments of this machine, where
// silence says something: the one for unicast and all others that it told. A link-local
// one may be on any.
func (m Machine) near(p peer) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(p.own()), func(a netip.Addr) bool {
		return !a.IsLinkLocalUnicast() && !slices.ContainsFunc(m.Interfaces, func(i Interface) bool { return m.onLink(i.Name, a) })
	})
}

// Near lists all peers' addresses at which silence says something.
func Near(o Observed) []netip.Addr {
	var list []netip.Addr
	for _, p := range o.peers() {
		list = append(list, o.Machine.near(p)...)
	}
	return list
}

// silent tells that a peer was asked for and answers nowhere.
func (m Machine) silent(p peer) bool {
	asked := m.near(p)
	return len(asked) > 0 && !slices.ContainsFunc(asked, func(a netip.Addr) bool { return !slices.Contains(m.Unreachable, a) })
}
