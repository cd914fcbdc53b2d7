package decide

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// Router is this unit's part in one of its group's virtual routers: what was told of that
// one and no other, what is decided about it, and what carries it out.
type Router struct {
	Number     int
	VirtualIPs []config.VirtualIP
	// told is what this unit told of it before; the peers come with what they told of it.
	told  group.Word
	Peers []Peer
	group.Decision
	// Turns is the order in which units take it over.
	Turns Turns
	// Instance is how keepalived is to run it.
	Instance keepalived.VRRPInstance
}

// Router returns a virtual router as it is before anything is decided about it.
func (d self) Router(number int) Router {
	r := Router{Number: number, told: wordOf(d.told, number), Peers: slices.Clone(d.Peers)}
	for n := range r.Peers {
		r.Peers[n].Word = wordOf(r.Peers[n].Member, number)
	}
	return r
}

// Addresses are its virtual IPs.
func (r Router) Addresses() []netip.Addr { return addresses(r.VirtualIPs) }

// Name is that of its VRRP instance.
func (d self) Name(r Router) string { return d.Layout.At(r.Number).Instance() }

// State is what the daemon says of its instance; false if nothing.
func (d self) State(m facts.Machine, r Router) (keepalived.InstanceState, bool) {
	return m.Report(d.Name(r))
}

// AnyRouter tells that something is so in some router.
func (d agreement) AnyRouter(is func(Router) bool) bool { return slices.ContainsFunc(d.Routers, is) }

// awaited tells that some peer serves and does not have this router yet. Nobody can begin
// with a virtual router ID that somebody has for another router: then they wait for this unit.
func (r Router) awaited(run vrrp.VirtualRouterID) bool {
	return r.Number > 0 && !r.occupied(run) && slices.ContainsFunc(r.Peers, func(p Peer) bool {
		return p.Member.Serves && !p.lost && !p.Serves
	})
}

// fresh tells that this unit does not run it yet, stays that it keeps its virtual router ID.
func (r Router) fresh() bool { return r.Was == vrrp.Parameters{} }
func (r Router) stays() bool { return !r.fresh() && r.Was.VirtualRouterID == r.Run.VirtualRouterID }

// expects tells that it is announced to change to a virtual router ID.
func (r Router) expects(id vrrp.VirtualRouterID) bool {
	aside := r.Aside.Announcement()
	return r.Next != nil && r.Next.Parameters.VirtualRouterID == id || aside != nil && aside.Parameters.VirtualRouterID == id
}

// occupied tells that a peer uses a virtual router ID for another router, whether it has this
// one or not.
func (r Router) occupied(id vrrp.VirtualRouterID) bool {
	return slices.ContainsFunc(r.Peers, func(p Peer) bool {
		return p.Member.Serves && !p.lost && p.occupies(id, r.Number)
	})
}

// occupies tells that a peer uses a virtual router ID for another router than that of a number.
func (p Peer) occupies(id vrrp.VirtualRouterID, number int) bool {
	for n, w := range p.Member.More {
		if n != number && w.Runs.VirtualRouterID == id {
			return true
		}
	}
	return number > 0 && p.Member.Runs.VirtualRouterID == id
}

// doubts tells that it matters whether peers are lost: not all run what this unit runs. What
// a lost one told keeps nobody out either, nor a router from beginning.
func (r Router) doubts() bool {
	return r.Moving || r.Aside != group.TakesPart || slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.Serves && p.Runs != r.Run })
}

// word is what this unit tells its peers of it.
func (r Router) word(paused bool) group.Word {
	w := group.Word{Serves: true, Runs: r.Run, Next: r.Next, Round: r.Round, Aside: r.Aside}
	if r.State == group.Departing {
		w.Aside = group.Leaving // also of one that holds until it stops
	} else if w.Aside == group.TakesPart && paused {
		w.Aside = group.Paused
	}
	if r.Number > 0 {
		w.VirtualIPs = r.Addresses()
	}
	return w
}

// Holder names the unit whose advertisements this unit hears: an advertised priority tells
// the rank of who sent it, except in a mixed group, and unless the health checker heard
// that somebody else sent it.
func (r Router) Holder(m facts.Machine, state keepalived.InstanceState) (juju.Unit, bool) {
	c, ok := vrrp.Read(state.MasterPriority)
	if !ok || state.State != keepalived.Backup || r.Mixed() {
		return juju.Unit{}, false
	}
	for _, p := range r.Peers {
		if r.Turns.Of(p.Rank) == c.Rank && !p.impersonated(m.Check.Heard, state) {
			return p.Unit, true
		}
	}
	return juju.Unit{}, false
}

func addresses(vips []config.VirtualIP) []netip.Addr {
	var all []netip.Addr
	for _, v := range vips {
		all = append(all, v.Addr())
	}
	return all
}
