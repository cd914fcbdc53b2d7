package decide

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/vrrp"
)

// Rival is a unit of this application that holds a virtual router with other virtual IPs than this
// unit would have there, which nobody has then: its principal unit asks for others. keepalived
// asks for none of that, as all units advertise the anchor alone.
type Rival struct {
	Unit, Principal juju.Unit
	// Peer tells that its principal unit is of the same application as this unit's.
	Peer bool
	// Holds are its virtual IPs, Lacks those of this unit that are not among them.
	Holds, Lacks []netip.Addr
}

// Rival finds the one that this unit hears; nil for none.
func (r Router) Rival(d Desired, m facts.Machine, state keepalived.InstanceState) *Rival {
	if state.State != keepalived.Backup || state.MasterPriority == 0 || d.Spread && !d.asks {
		return nil // with spread an option that changes has units differ for a while as well
	}
	for u, other := range d.others {
		if slices.ContainsFunc(m.Check.Heard, func(h facts.Heard) bool {
			return h.Instance == state.Name && h.Speaks && slices.Contains(other.Addresses, h.Address.WithZone(""))
		}) {
			return r.rival(Rival{Unit: u, Principal: other.Principal, Holds: wordOf(other, r.Number).VirtualIPs})
		}
	}
	if holder, known := r.Holder(m, state); known {
		p := r.Peers[slices.IndexFunc(r.Peers, func(p Peer) bool { return p.Unit == holder })]
		return r.rival(Rival{Unit: p.Unit, Principal: p.Member.Principal, Peer: true, Holds: p.VirtualIPs})
	}
	return nil
}

// rival is one, unless it has told nothing, or all virtual IPs of this unit.
func (r Router) rival(one Rival) *Rival {
	one.Lacks = slices.DeleteFunc(r.Addresses(), func(a netip.Addr) bool { return slices.Contains(one.Holds, a) })
	if len(one.Holds) == 0 || len(one.Lacks) == 0 {
		return nil
	}
	return &one
}

// had are the virtual IPs that somebody has, as far as this unit knows: its own, or where the
// holder's principal unit is yet to ask for any of them, the holder's.
func (d Desired) had(o facts.Observed) []config.VirtualIP {
	var lacks, instead []netip.Addr
	for _, r := range d.Routers {
		state, _ := d.State(o.Machine, r)
		if rival := r.Rival(d, o.Machine, state); rival != nil {
			lacks = append(lacks, rival.Lacks...)
			if rival.Peer {
				instead = append(instead, rival.Holds...)
			}
		}
	}
	vips := slices.DeleteFunc(slices.Clone(d.Options.VirtualIPs), func(v config.VirtualIP) bool { return slices.Contains(lacks, v.Addr()) })
	if len(vips) > 0 {
		return vips
	}
	for _, a := range instead {
		vips = append(vips, config.VirtualIP{Prefix: netip.PrefixFrom(a, a.BitLen()), Written: a.String()})
	}
	return vips
}

// besides are the units that serve beside other applications, by number.
func (d self) besides() []juju.Unit {
	return slices.SortedFunc(maps.Keys(d.others), func(a, b juju.Unit) int { return a.Number - b.Number })
}

// seen is one of them as a look knows it.
func (d self) seen(u juju.Unit) conflict.Peer {
	m := d.others[u]
	own := Peer{Addresses: m.Addresses, Address: m.Address}.own()
	return conflict.Peer{Name: u.String(), Addresses: own, MACs: m.MACs, Routers: d.toldRouters(m), Runs: &m.Runs}
}

// beside words what a look found of one of them, where this unit has not begun; false for what is
// about others.
func (d self) beside(o facts.Observed, f conflict.Finding) (juju.Status, bool) {
	c, is := map[conflict.Kind]status.Condition{conflict.RouterTaken: status.RouterBeside, conflict.RouterMaybeTaken: status.RouterBeside,
		conflict.AddressTaken: status.AddressBeside, conflict.AddressMaybeTaken: status.AddressBeside}[f.Kind]
	for _, u := range d.besides() {
		p := d.seen(u)
		there := slices.Contains(p.Addresses, f.Host.Address) || slices.Contains(p.MACs, f.Host.MAC)
		if is && there && (c == status.AddressBeside || slices.Contains(p.Routers, f.Said.VirtualRouterID)) {
			return status.Say(c, "UNIT", p.Name, "OTHER", d.others[u].Principal.Application, "PRINCIPAL", o.Event.Principal.Application,
				"ID", fmt.Sprint(f.Said.VirtualRouterID), "ADDRESS", f.Address.String()), true
		}
	}
	return juju.Status{}, false
}

// refuseChange keeps what a virtual router runs as it is while units beside another application
// have a part in it: those do not wait for this unit, nor it for them.
func (d *placement) refuseChange() error {
	one := d.Routers[0]
	if d.begins || one.Wanted == one.Was || !one.Was.Constant() || one.Was.Mode == vrrp.Unicast {
		return nil
	}
	for _, u := range d.besides() {
		runs, other := d.others[u].Runs, d.others[u].Principal.Application
		if runs.Mode != vrrp.Unicast && runs.VirtualRouterID == one.Was.VirtualRouterID && runs.Anchor.Is6() == one.Was.Anchor.Is6() {
			return d.weigh(Claim{Refusal: status.Refusal(status.Say(status.SharedBeside, "UNIT", u.String(), "OTHER", other, "ID", fmt.Sprint(runs.VirtualRouterID)))})
		}
	}
	return nil
}

// others are the units of this application whose principal units are of another one.
func others(o facts.Observed) map[juju.Unit]endpoint.Member {
	units := map[juju.Unit]endpoint.Member{}
	for _, r := range o.Relations {
		for u, m := range r.Members {
			if r.Endpoint == endpoint.Cluster && m.Serves && m.Principal != (juju.Unit{}) && m.Principal.Application != o.Event.Principal.Application {
				units[u] = m.Member
			}
		}
	}
	return units
}
