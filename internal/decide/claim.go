package decide

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/vrrp"
)

// Claim is one thing that a unit wants of what is around it. What it holds it keeps,
// whatever speaks against it: that is a finding beside the decision. The refusal of a
// claim that it does not hold is that of its options, which then change nothing: a unit
// goes by the last options of which no claim was refused.
type Claim struct {
	// Address is a virtual IP, Router a virtual router ID for VRRP over IPv6 (Six) or IPv4;
	// one of the two on Interface, neither for VRRP there, and none of all for what all of
	// them rest on.
	Address   netip.Addr
	Router    vrrp.VirtualRouterID
	Six       bool
	Interface string
	// Held tells that the unit has it, by what it applied last.
	Held bool
	// Asks tells that the network is asked first: nobody of this group has it yet.
	Asks bool
	// Refusal is what speaks against it, a *status.Blocked, *status.Waiting or
	// *config.Invalid; nil for nothing.
	Refusal error
}

// String is such as "10.10.74.250 on eth0: granted".
func (c Claim) String() string {
	what := "what all rests on"
	switch {
	case c.Router != 0 && c.Six:
		what = fmt.Sprintf("virtual router ID %d over IPv6 on %s", c.Router, c.Interface)
	case c.Router != 0:
		what = fmt.Sprintf("virtual router ID %d on %s", c.Router, c.Interface)
	case c.Address.IsValid():
		what = c.Address.String() + " on " + cmp.Or(c.Interface, "no interface")
	case c.Interface != "":
		what = "VRRP on " + c.Interface
	}
	switch {
	case c.Held && c.Refusal != nil:
		return what + ": held, though " + c.Refusal.Error()
	case c.Held:
		return what + ": held"
	case c.Refusal != nil:
		return what + ": refused, " + c.Refusal.Error()
	}
	return what + ": granted"
}

// ledger is what a unit claims.
type ledger struct {
	// Claims are in the order in which they were weighed.
	Claims []Claim
}

// weigh adds a claim. The error is the refusal of one that is not held.
func (d *ledger) weigh(c Claim) error {
	d.Claims = append(d.Claims, c)
	if c.Held {
		return nil
	}
	return c.Refusal
}

// refuse notes what speaks against claims that were added; what did first stays.
func (d *ledger) refuse(why error, are func(Claim) bool) error {
	for n := range d.Claims {
		if c := &d.Claims[n]; c.Refusal == nil && are(*c) {
			c.Refusal = why
			if !c.Held {
				return why
			}
		}
	}
	return nil
}

// Finding is what speaks against what this unit holds; nil for nothing.
func (d ledger) Finding() error {
	for _, c := range d.Claims {
		if c.Held && c.Refusal != nil {
			return c.Refusal
		}
	}
	return nil
}

// claimAddress adds the claim of a virtual IP, once for each interface, and returns the one
// for it by these parameters.
func (d *agreement) claimAddress(o facts.Observed, v netip.Addr, p vrrp.Parameters) (string, error) {
	name, why := d.interfaceFor(o, v, p)
	if slices.ContainsFunc(d.Claims, func(c Claim) bool { return c.Address == v && c.Interface == name }) {
		return name, nil
	}
	place, placed := o.Machine.Applied.Addresses[v]
	if slices.Contains(d.own, v) {
		why = taken(o, v, o.Event.Unit.String())
	}
	for _, other := range o.Machine.Others {
		if why == nil && slices.ContainsFunc(other.Instances, func(c keepalived.Instance) bool { return slices.Contains(c.Addresses, v) }) {
			why = o.Options.WrongVirtualIPs("a free address, " + v.String() + " belongs to " + other.Owner)
		}
	}
	return name, d.weigh(Claim{Address: v, Interface: name, Held: placed && place.Interface == name, Asks: !d.floating[v], Refusal: why})
}

// taken refuses a virtual IP that is a unit's own address: keepalived would take the
// address away from its owner. What a peer says of its own addresses is told (alsoOwn);
// when it answers there as well, a look at the network refuses.
func taken(o facts.Observed, v netip.Addr, unit string) error {
	return o.Options.WrongVirtualIPs("a free address, " + v.String() + " is the own address of " + unit)
}

// claimLink adds the claim of an interface for VRRP, where it can be refused: that of one
// which the operator names, or of any with unicast. What may be over at any time keeps
// nobody from beginning, or from going where the others are.
func (d *agreement) claimLink(o facts.Observed, p vrrp.Parameters, name string) error {
	m, now := o.Machine, o.Machine.Applied.Routers[0]
	c := Claim{Interface: name, Held: now.Link == name || slices.ContainsFunc(serving(d.Routers[0].Peers), func(q Peer) bool { return q.Runs == p })}
	six, moves := p.Anchor.Is6(), !c.Held && p.Interface != ""
	must := m.Unfit(name)
	switch {
	case p.Interface == "" && p.Mode != vrrp.Unicast:
		return nil
	case p.Interface != "" && must != "":
		c.Refusal = wrongInterface(o, p.Interface, must)
	case p.Mode == vrrp.Unicast && !source(m, name, six).IsValid():
		c.Held, c.Refusal = now.Mode == vrrp.Unicast && !moves, muteness(name, six)
	case !moves || d.begins:
	case m.LacksAddress(name, six) != "":
		c.Refusal = status.Refusal(status.Say(status.NoAddress, "INTERFACE", name, "KIND", m.LacksAddress(name, six)))
	case !m.Up(name):
		c.Refusal = status.Refusal(status.Say(status.LinkDown, "INTERFACE", name))
	}
	return d.weigh(c)
}

// claimRouters adds the claims of virtual router IDs: those that the unit is to run now,
// and those that it would run after a change that all units make together, before it
// announces the change or stands aside for it. Of units that change over together the
// holder asks the network, before it announces.
func (d *placement) claimRouters(o facts.Observed) error {
	one := d.Routers[0]
	current, serves := o.Machine.Runs(0)
	changes := one.Wanted.VirtualRouterID != current.VirtualRouterID || one.Wanted.Anchor.Is6() != current.Anchor.Is6() ||
		one.Wanted.Mode == vrrp.Multicast && current.Mode == vrrp.Unicast
	told := one.told.Next
	leads := !slices.ContainsFunc(d.Peers, func(p Peer) bool { return p.Serves }) || one.Next != nil && (told == nil || *told != *one.Next)
	all := !serves || leads && (changes || one.Wanted.Spread && !current.Spread)
	for _, r := range d.Routers {
		_, runs := o.Machine.Runs(r.Number)
		// A virtual IP that is added has a virtual router of its own.
		added := !runs && current.Spread && one.Wanted.Spread && !changes
		if err := d.claimRouter(o, Claim{Router: r.Run.VirtualRouterID, Six: r.Run.Anchor.Is6(), Interface: d.Speaks, Asks: added}); err != nil {
			return err
		}
		c := Claim{Six: r.Wanted.Anchor.Is6(), Interface: d.Speaks, Asks: all || added}
		if first := slices.IndexFunc(d.Options.VirtualIPs, func(v config.VirtualIP) bool { return v.Addr().Is6() == c.Six }); first >= 0 {
			c.Interface = d.chosenFor[d.Options.VirtualIPs[first].Addr()]
		}
		c.Interface = cmp.Or(r.Wanted.Interface, c.Interface)
		for _, c.Router = range routerIDs(r.Wanted, r.Addresses()) {
			if err := d.claimRouter(o, c); err != nil {
				return err
			}
		}
	}
	return nil
}

// claimRouter adds the claim of a virtual router ID, once.
func (d *agreement) claimRouter(o facts.Observed, c Claim) error {
	for n := range d.Claims {
		if same := &d.Claims[n]; same.Router == c.Router && same.Six == c.Six && same.Interface == c.Interface {
			if !c.Asks {
				return nil
			}
			// It is to be used in another way, in which others may have it.
			same.Asks, same.Held = true, false
			return same.Refusal
		}
	}
	for _, r := range o.Machine.Applied.Routers {
		c.Held = c.Held || !c.Asks && r.VirtualRouterID == c.Router && r.Anchor.Is6() == c.Six && r.Link == c.Interface
	}
	for _, other := range o.Machine.Others {
		if slices.ContainsFunc(other.Instances, func(theirs keepalived.Instance) bool {
			return theirs.Interface == c.Interface && theirs.VirtualRouterID == c.Router && theirs.Six == c.Six
		}) {
			value, used := fmt.Sprint(c.Router), "it"
			if first := d.Options.VirtualRouterID; first != c.Router && (d.Spread || d.Routers[0].Wanted.Spread) {
				value, used = fmt.Sprint(first), value // the first of several
			}
			c.Refusal = &config.Invalid{Option: "router_id", Value: value,
				Must: "another one, " + other.Owner + " uses " + used + " on interface " + c.Interface}
			break
		}
	}
	return d.weigh(c)
}

// newRouters are the virtual router IDs that the network is asked about.
func (d ledger) newRouters() (ids []vrrp.VirtualRouterID) {
	for _, c := range d.Claims {
		if c.Asks && c.Router != 0 {
			ids = append(ids, c.Router)
		}
	}
	return ids
}

// newAddresses are the virtual IPs that the network is asked about.
func (d ledger) newAddresses() (list []netip.Addr) {
	for _, c := range d.Claims {
		if c.Asks && c.Router == 0 {
			list = append(list, c.Address)
		}
	}
	return list
}
