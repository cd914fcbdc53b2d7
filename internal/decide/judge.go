package decide

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/vrrp"
)

// macs are those of the interfaces that the virtual IPs are on.
func (d placement) macs(m facts.Machine) []string {
	var list []string
	for _, i := range m.Interfaces {
		if i.MAC != "" && !slices.Contains(list, i.MAC) && (i.Name == d.Speaks || slices.Contains(d.Links, i.Name)) {
			list = append(list, i.MAC)
		}
	}
	slices.Sort(list)
	return list
}

// View is what this unit knows by itself of what it looks at.
func (d placement) View(o facts.Observed) conflict.View {
	v := conflict.View{
		Runs: d.Routers[0].Run, Interface: d.Speaks, VirtualIPs: d.Addresses(),
		Incomplete: o.Planned > 1+len(d.Peers)+len(untoldPeers(o)),
		Listened:   o.Look.Listened,
	}
	if d.begins || len(d.newRouters()) == 0 {
		for _, r := range d.Routers { // whose numbers may have holes
			v.Routers = append(v.Routers, r.Run.VirtualRouterID)
		}
	} else {
		v.Runs, v.Routers = d.Routers[0].Wanted, d.newRouters()
	}
	for _, r := range d.Routers {
		state, _ := d.State(o.Machine, r)
		v.Estranged = v.Estranged || d.estranged(o.Machine, r, state)
		switch {
		case state.State == keepalived.Master:
			v.Held = append(v.Held, r.Addresses()...)
		case state.State == keepalived.Backup && state.MasterPriority > 0:
			v.Followed = append(v.Followed, r.Addresses()...)
		}
	}
	for _, p := range slices.Concat(d.Peers, untoldPeers(o)) {
		one := conflict.Peer{Name: p.Unit.String(), Addresses: p.own(), MACs: p.Member.MACs, Routers: d.toldRouters(p.Member)}
		if p.Serves {
			one.Runs = &p.Runs
		}
		if p.Unread() {
			one.Routers = v.Routers // whatever it sends is not a stranger's
		}
		v.Peers = append(v.Peers, one)
	}
	for _, u := range d.besides() {
		if !d.begins { // they serve together
			v.Peers = append(v.Peers, d.seen(u))
		}
	}
	return v
}

// toldRouters lists the virtual router IDs that a unit told it uses or is about to use.
func (d self) toldRouters(m endpoint.Member) []vrrp.VirtualRouterID {
	var ids []vrrp.VirtualRouterID
	for _, r := range append(slices.Collect(maps.Values(m.More)), m.Word) {
		if r.Serves && !r.Unread() {
			ids = append(ids, routerIDs(r.Runs, d.Addresses())...)
		}
		for _, a := range []*group.Announcement{r.Next, r.Aside.Announcement()} {
			if a != nil {
				ids = append(ids, routerIDs(a.Parameters, d.Addresses())...)
			}
		}
	}
	return ids
}

// estranged tells that this unit follows a holder that is no unit of its group that
// serves: the rank in its advertisements is another application's. Both began at the
// same time, so neither heard the other when it looked.
func (d self) estranged(m facts.Machine, r Router, state keepalived.InstanceState) bool {
	if r.Usurper(m, state) != nil {
		return true
	}
	c, ours := vrrp.Read(state.MasterPriority)
	return d.Related && ours && state.State == keepalived.Backup && !r.Mixed() &&
		!slices.ContainsFunc(r.Peers, func(p Peer) bool { return p.Serves && r.Turns.Of(p.Rank) == c.Rank })
}

// untoldPeers are units in the peer relation that have told nothing themselves yet,
// such as those that a conflict keeps out; Juju tells their addresses.
func untoldPeers(o facts.Observed) []Peer {
	var list []Peer
	for _, r := range o.Relations {
		if r.Endpoint != endpoint.Cluster {
			continue
		}
		for u, m := range r.Members {
			if m.Silent && m.Ingress.IsValid() {
				list = append(list, Peer{Unit: u, Addresses: []netip.Addr{m.Ingress}})
			}
		}
	}
	slices.SortFunc(list, func(a, b Peer) int { return a.Unit.Number - b.Unit.Number })
	return list
}

// judge keeps a unit from claiming what others use; what it has already it goes on
// to serve, and says what is wrong.
func (d *Desired) judge(o facts.Observed) error {
	file := d.Layout.Conflicts()
	if o.Look == nil {
		if text, ok := o.Machine.Files[file]; ok {
			d.Files[file] = text
		}
		return nil
	}
	view := d.View(o)
	d.Free = d.FreeRouter(o, view)
	// A peer that serves may have a virtual IP; its own address it must keep.
	for _, a := range d.newAddresses() {
		for _, answer := range o.Look.Asked(a) {
			if near := view.Near(*o.Look, answer.By); d.owns(near, a) {
				if err := d.refuse(taken(o, a, near), func(c Claim) bool { return c.Asks && c.Address == a }); err != nil {
					return err
				}
			}
		}
	}
	for _, f := range conflict.Judge(view, *o.Look) {
		if c, are := d.against(f); are != nil {
			said, beside := d.beside(o, f)
			if !beside {
				said = d.Word(c, f, d.Addresses())
			}
			if err := d.refuse(status.Refusal(said), are); err != nil {
				return err
			}
		}
		if f.Kind != conflict.RouterMaybeTaken && f.Kind != conflict.AddressMaybeTaken && f.Kind != conflict.HolderUnheard {
			d.Found = append(d.Found, f)
		}
	}
	if len(d.Found) > 0 {
		d.Files[file] = strings.TrimPrefix(d.Conflicts(), "; ") + "\n"
	}
	return nil
}

// owns tells that a peer says an address is its own.
func (d self) owns(unit string, a netip.Addr) bool {
	return slices.ContainsFunc(d.Peers, func(p Peer) bool { return p.Unit.String() == unit && slices.Contains(p.Addresses, a) })
}

// shares tells that a peer was seen to hold virtual IPs beside this unit.
func (d Desired) shares() bool {
	return slices.ContainsFunc(d.Found, func(f conflict.Finding) bool { return f.Kind == conflict.TwoHolders })
}

// FreeRouter suggests a virtual router ID.
func (d agreement) FreeRouter(o facts.Observed, v conflict.View) vrrp.VirtualRouterID {
	last := d.Routers[len(d.Routers)-1].Number
	return conflict.Free(*o.Look, v.Runs.Anchor.Is6(), v.Runs.VirtualRouterID, max(len(routerIDs(v.Runs, d.Addresses())), last+1), d.usedHere(o))
}

// usedHere lists the virtual router IDs of others on this machine.
func (d self) usedHere(o facts.Observed) []vrrp.VirtualRouterID {
	var ids []vrrp.VirtualRouterID
	for _, other := range o.Machine.Others {
		for _, c := range other.Instances {
			ids = append(ids, c.VirtualRouterID)
		}
	}
	return ids
}

// against tells which claims a finding speaks against, and in which words; nil for none.
func (d self) against(f conflict.Finding) (status.Condition, func(Claim) bool) {
	router := func(c Claim) bool { return c.Asks && c.Router != 0 && c.Router == f.Said.VirtualRouterID }
	address := func(c Claim) bool { return c.Asks && c.Router == 0 && c.Address == f.Address }
	// Who serves already and does not hear the holder is another's concern, or its own.
	begins := func(c Claim) bool { return d.begins && !c.Held }
	switch f.Kind {
	case conflict.RouterTaken:
		return status.RouterTaken, router
	case conflict.RouterMaybeTaken:
		return status.RouterMaybeTaken, router
	case conflict.AddressTaken:
		return status.AddressTaken, address
	case conflict.AddressMaybeTaken:
		return status.AddressMaybeTaken, address
	case conflict.HolderUnheard:
		if f.Path == conflict.Dropped {
			return status.HolderDropped, begins
		}
		return status.HolderUnheard, begins
	}
	return 0, nil
}

// Word puts a finding in words.
func (d Desired) Word(c status.Condition, f conflict.Finding, vips []netip.Addr) juju.Status {
	free := fmt.Sprint(d.Free)
	if d.Free == 0 {
		free = "(none is free)"
	}
	return status.Say(c, "APPLICATION", d.Layout.Application, "HOST", f.Host.String(), "UNIT", f.Peer, "ADDRESSES", status.List(vips), "ADDRESS", f.Address.String(),
		"ID", fmt.Sprint(f.Said.VirtualRouterID), "FREE", free)
}

// Conflicts tells what is wrong while this unit serves; empty when nothing is.
func (d Desired) Conflicts() string {
	if len(d.Found) == 0 {
		return ""
	}
	c := map[conflict.Kind]status.Condition{conflict.RouterTaken: status.AlsoRouter, conflict.AddressTaken: status.AlsoAddress}[d.Found[0].Kind]
	if d.Found[0].Kind == conflict.TwoHolders {
		c = map[conflict.Path]status.Condition{conflict.Lost: status.AlsoHolds, conflict.Dropped: status.AlsoHoldsDropped, conflict.Arrives: status.AlsoHoldsDeaf, conflict.Apart: status.AlsoHoldsApart}[d.Found[0].Path]
	}
	message := d.Word(c, d.Found[0], d.Addresses()).Message
	if more := len(d.Found) - 1; more > 0 {
		message += status.Say(status.MoreConflicts, "COUNT", fmt.Sprint(more), "UNIT", d.Unit.String()).Message
	}
	return message
}
