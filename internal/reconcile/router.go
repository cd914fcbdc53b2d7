package reconcile

import (
	"net/netip"
	"slices"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// router is this unit's part in one of its group's virtual routers: what was told of that
// one and no other, what is decided about it, and what carries it out.
type router struct {
	number     int
	virtualIPs []config.VirtualIP
	// told is what this unit told of it before; the peers come with what they told of it.
	told  group.Word
	peers []peer
	group.Decision
	// turns is the order in which units take it over.
	turns turns
	// instance is how keepalived is to run it.
	instance keepalived.VRRPInstance
}

// router returns a virtual router as it is before anything is decided about it.
func (d Desired) router(number int) router {
	r := router{number: number, told: wordOf(d.told, number), peers: slices.Clone(d.peers)}
	for n := range r.peers {
		r.peers[n].Word = wordOf(r.peers[n].member, number)
	}
	return r
}

// addresses are its virtual IPs.
func (r router) addresses() []netip.Addr { return addresses(r.virtualIPs) }

// name is that of its VRRP instance.
func (d Desired) name(r router) string { return d.Layout.At(r.number).Instance() }

// state is what the daemon says of its instance; false if nothing.
func (d Desired) state(m Machine, r router) (keepalived.InstanceState, bool) {
	return m.report(d.name(r))
}

// anyRouter tells that something is so in some router.
func (d Desired) anyRouter(is func(router) bool) bool { return slices.ContainsFunc(d.routers, is) }

// awaited tells that some peer serves and does not have this router yet.
func (r router) awaited() bool {
	return r.number > 0 && slices.ContainsFunc(r.peers, func(p peer) bool {
		return p.member.Serves && !p.lost && !p.Serves
	})
}

// occupied tells that a peer uses a virtual router ID for another router.
func (r router) occupied(id vrrp.VirtualRouterID) bool {
	return slices.ContainsFunc(serving(r.peers), func(p peer) bool {
		for number, w := range p.member.More {
			if number != r.number && w.Runs.VirtualRouterID == id {
				return true
			}
		}
		return r.number > 0 && p.member.Runs.VirtualRouterID == id
	})
}

// doubts tells that it matters whether peers are lost: not all run what the options say.
func (r router) doubts() bool {
	differ := slices.ContainsFunc(r.peers, func(p peer) bool { return p.Serves && p.Runs != r.Run })
	return r.Moving || !r.Holds && (r.Aside != "" || differ)
}

// word is what this unit tells its peers of it.
func (r router) word(paused bool) group.Word {
	w := group.Word{Serves: true, Runs: r.Run, Next: r.Next, Round: r.told.Round, Aside: r.Aside}
	if w.Next != nil {
		w.Round = w.Next.Round
	}
	if w.Aside == "" && paused {
		w.Aside = group.Paused
	}
	if r.number > 0 {
		w.VirtualIPs = r.addresses()
	}
	return w
}

// holder names the unit whose advertisements this unit hears: an advertised priority tells
// the rank of who sent it, except in a mixed group, and unless the health checker heard
// that somebody else sent it.
func (r router) holder(m Machine, state keepalived.InstanceState) (juju.Unit, bool) {
	c, ok := vrrp.Read(state.MasterPriority)
	if !ok || state.State != keepalived.Backup || r.Mixed() {
		return juju.Unit{}, false
	}
	for _, p := range r.peers {
		if r.turns.of(p.rank) == c.Rank && !p.impersonated(m.Check.Heard, state) {
			return p.unit, true
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
