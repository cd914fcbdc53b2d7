package decide

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/vrrp"
)

// target is what the options ask for in a virtual router.
func (d self) target(number int) vrrp.Parameters {
	o := d.Options
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

// pythonLeft tells whether units of the Python charm may be left: with its
// parameters in use, not every unit of the group is known as a peer yet.
func (d self) pythonLeft(o facts.Observed, current vrrp.Parameters) bool {
	return !current.Constant() && 1+len(d.Peers) < o.Planned
}

// NeedsPlanned tells whether the decision depends on how many units the
// application has.
func NeedsPlanned(o facts.Observed) bool {
	current, serving := o.Machine.Runs(0)
	return serving && !current.Constant() || (!serving || o.Untold()) && len(Peers(o)) == 0 || newcomer(o) || group.Rumoured(o.Event.Unit, known(Peers(o)))
}

// Probe lists the addresses of peers when it matters whether they are lost: while
// not all units run what the options say, or list each other. One that serves nothing is
// waited for too, see group.Unaware. Whether anything answers there tells a lost peer from
// a slow one.
func Probe(o facts.Observed) []netip.Addr {
	d, err := Decide(o)
	if err != nil || d.Mode != Serving {
		return nil
	}
	if !d.lingers && !d.AnyRouter(Router.doubts) {
		return nil
	}
	var list []netip.Addr
	for _, p := range d.Peers {
		if p.Serves || p.Member.Serves || p.Member.Knows != nil {
			list = append(list, near(o.Machine, p)...)
		}
	}
	return list
}

// near lists those of a peer's addresses that are on segments of this machine, where
// silence says something: the one for unicast and all others that it told. A link-local
// one may be on any. Where this machine is cut off itself silence says nothing.
func near(m facts.Machine, p Peer) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(p.own()), func(a netip.Addr) bool {
		return !slices.ContainsFunc(m.Interfaces, func(i facts.Interface) bool {
			return i.Up && i.Name != "lo" && (a.IsLinkLocalUnicast() || m.OnLink(i.Name, a))
		})
	})
}

// Near lists all peers' addresses at which silence says something.
func Near(o facts.Observed) []netip.Addr {
	var list []netip.Addr
	for _, p := range Peers(o) {
		list = append(list, near(o.Machine, p)...)
	}
	return list
}

// silent tells that a peer was asked for and answers nowhere.
func silent(m facts.Machine, p Peer) bool {
	asked := near(m, p)
	return len(asked) > 0 && !slices.ContainsFunc(asked, func(a netip.Addr) bool { return !slices.Contains(m.Unreachable, a) })
}
