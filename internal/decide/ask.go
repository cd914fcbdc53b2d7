package decide

import (
	"net/netip"
	"slices"
	"time"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

const (
	// lookLong is how long a look hears advertisements: more than two intervals of
	// VRRP's default, 1 s (RFC 9568 section 5.2.7), so that one that comes late or not
	// at all leaves another.
	lookLong = 2200 * time.Millisecond
	// lookShort is how long a look waits for answers at addresses.
	lookShort = 400 * time.Millisecond
)

// routerIDs are those that parameters call for: with option spread one for each
// virtual IP, an IPv4 and an IPv6 address sharing one.
func routerIDs(p vrrp.Parameters, vips []netip.Addr) []vrrp.VirtualRouterID {
	count := 1
	if p.Spread {
		four := 0
		for _, a := range vips {
			if a.Is4() {
				four++
			}
		}
		count = max(four, len(vips)-four)
	}
	var ids []vrrp.VirtualRouterID
	for n := range count {
		ids = append(ids, p.VirtualRouterID+vrrp.VirtualRouterID(n))
	}
	return ids
}

// Ask says what to look for on the network before the decision; nil when nothing
// calls for a look: a hook that claims nothing new and has no sign of somebody else
// sends and waits for nothing.
func Ask(o facts.Observed) *conflict.Question {
	d, err := Decide(o)
	if err != nil || d.Mode != Serving {
		return nil
	}
	o.Machine = o.Machine.Indexed()
	_, found := o.Machine.Files[d.Layout.Conflicts()]
	strange, disputed := false, []netip.Addr(nil)
	for _, r := range d.Routers {
		state, _ := d.State(o.Machine, r)
		strange = strange || d.hearsStrangers(o.Machine, r) || o.Event.Hook == hooks.UpdateStatus && (state.AddressErrors > 0 || d.estranged(o.Machine, r, state))
		if d.disputed(o, state) && len(r.VirtualIPs) > 0 {
			disputed = append(disputed, r.VirtualIPs[0].Addr()) // who has one of a router's has all
		}
	}
	switch {
	case len(d.newRouters()) > 0 || found || strange:
		return d.question(o, d.Addresses(), lookLong)
	case len(d.newAddresses()) > 0:
		return d.question(o, d.newAddresses(), lookShort)
	case len(disputed) > 0:
		return d.question(o, disputed, min(max(lookShort, d.Routers[0].Run.Interval*6/5), lookLong))
	}
	return nil
}

// Glance is a short look before a long one, nil for none: where a unit begins beside others that
// serve, Juju tells it of them in one hook after the other, and each would look for long.
func Glance(o facts.Observed, q conflict.Question) *conflict.Question {
	if o.Machine.Applied.Serves() || q.Listen <= lookShort {
		return nil
	}
	q.Listen = lookShort
	return &q
}

// Premature tells that what was seen may be a unit that Juju has yet to tell of. A longer look
// would say the same.
func Premature(o facts.Observed) bool {
	look := o.Look
	o.Look = nil // which is yet to be judged
	d, err := Decide(o)
	if err != nil || d.Mode != Serving {
		return false
	}
	o.Look = look
	v := d.View(o)
	return v.Incomplete && slices.ContainsFunc(conflict.Judge(v, *look), func(f conflict.Finding) bool {
		return f.Peer == "" && (f.Kind == conflict.RouterMaybeTaken || f.Kind == conflict.AddressMaybeTaken)
	})
}

// AskAll looks for everything.
func AskAll(o facts.Observed) *conflict.Question {
	d, err := Decide(o)
	if err != nil || d.Mode != Serving {
		return nil
	}
	return d.question(o, d.Addresses(), lookLong)
}

// disputed tells that a peer may hold the virtual IPs beside this unit: it has just
// become MASTER, of which its peers do not know yet, or hears that a peer did later.
func (d agreement) disputed(o facts.Observed, state keepalived.InstanceState) bool {
	reign := d.since(o, int64(state.LastTransition))
	if state.State != keepalived.Master || len(d.Peers)+len(untoldPeers(o)) == 0 || d.Paused {
		return false
	}
	// With option spread a peer's reign may be another router's.
	later := !d.Spread && slices.ContainsFunc(d.Peers, func(p Peer) bool { return p.Member.Since > reign })
	return reign > d.told.Since || o.Event.Endpoint == endpoint.Cluster && later
}

// question asks for addresses on their interfaces, and there for peers' own
// addresses, which tell their answers from those of strangers.
func (d placement) question(o facts.Observed, addresses []netip.Addr, listen time.Duration) *conflict.Question {
	peers := slices.Concat(d.Peers, untoldPeers(o))
	q := &conflict.Question{Listen: listen, Segments: []conflict.Segment{{Interface: d.Speaks}}}
	add := func(name string, a netip.Addr) {
		n := slices.IndexFunc(q.Segments, func(s conflict.Segment) bool { return s.Interface == name })
		if n < 0 {
			n = len(q.Segments)
			q.Segments = append(q.Segments, conflict.Segment{Interface: name})
		}
		if !slices.Contains(q.Segments[n].Ask, a) {
			q.Segments[n].Ask = append(q.Segments[n].Ask, a)
		}
	}
	for _, p := range d.Placed() {
		if slices.Contains(addresses, p.Addr()) {
			add(p.Interface, p.Addr())
		}
	}
	for _, s := range slices.Clone(q.Segments) {
		for _, p := range peers {
			for _, a := range p.own() {
				if o.Machine.OnLink(s.Interface, a) {
					add(s.Interface, a)
				}
			}
		}
	}
	return q
}

// own lists a peer's own addresses.
func (p Peer) own() []netip.Addr {
	if !p.Address.IsValid() || slices.Contains(p.Addresses, p.Address) {
		return p.Addresses
	}
	return append(slices.Clone(p.Addresses), p.Address)
}
