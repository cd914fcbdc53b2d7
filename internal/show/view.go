package show

import (
	"net/netip"
	"slices"
	"time"

	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// View is what this unit knows of the election, for people to look at.
type View struct {
	Instances []InstanceView
	Peers     []PeerView
}

// InstanceView is one VRRP instance of this unit.
type InstanceView struct {
	Name            string
	VirtualRouterID vrrp.VirtualRouterID
	Interface       string
	// Role is holder, standby, electing, fault, or unknown while the daemon does not
	// answer; the daemon's word.
	Role string
	// Holder is the unit that has the virtual IPs; empty when that is not known here.
	Holder string
	// Since is when the daemon's part changed last; zero while it does not answer.
	Since    time.Time
	Priority vrrp.Priority
	VIPs     []VIPView
	// Heard are the other machines whose advertisements the health checker heard.
	Heard []HeardView
}

// VIPView is one virtual IP.
type VIPView struct {
	Address netip.Addr
	// Present tells that the kernel has it on this machine.
	Present bool
}

// HeardView is what was heard of another machine.
type HeardView struct {
	facts.Heard
	// Unit is whose address it is; empty for a stranger's.
	Unit string
}

// PeerView is another unit of the group, as it told through the peer relation.
type PeerView struct {
	Unit    juju.Unit
	Address netip.Addr
	// Addresses are all that it told, Address included.
	Addresses []netip.Addr
	// Serves tells that it takes part, unless it stands aside for something.
	Serves bool
	Aside  group.Aside
	// Healthy is its last verdict; nil when it told none.
	Healthy *bool
}

// The roles.
const (
	RoleHolder   = "holder"
	RoleStandby  = "standby"
	RoleElecting = "electing"
	RoleFault    = "fault"
	RoleUnknown  = "unknown"
)

// NewView returns the unit's view. What the daemon was told to serve tells its files,
// so there is a view also while the options cannot be used.
func NewView(o facts.Observed) View {
	v := View{}
	for _, p := range decide.Peers(o) {
		v.Peers = append(v.Peers, PeerView{Unit: p.Unit, Address: p.Address, Addresses: p.Addresses,
			Serves: p.Serves, Aside: p.Aside, Healthy: p.Healthy})
	}
	if o.Machine.Checker == nil {
		return v // it serves nothing
	}
	o.Machine = o.Machine.Indexed()
	routers := map[string]decide.Router{}
	if d, err := decide.Decide(o); err == nil {
		for _, r := range d.Routers {
			routers[d.Name(r)] = r
		}
	}
	for _, i := range o.Machine.Checker.Instances {
		shown := InstanceView{Name: i.Name, Role: RoleUnknown, VirtualRouterID: i.VirtualRouterID}
		for _, a := range i.Addresses {
			if !vrrp.IsAnchor(a) {
				shown.VIPs = append(shown.VIPs, VIPView{a, o.Machine.Has(a)})
			}
		}
		v.Instances = append(v.Instances, v.instance(o, shown, routers))
	}
	return v
}

// instance adds to the view of an instance what the health checker heard and the daemon
// says.
func (v View) instance(o facts.Observed, i InstanceView, routers map[string]decide.Router) InstanceView {
	for _, h := range o.Machine.Check.Heard {
		if h.Instance == i.Name {
			i.Heard = append(i.Heard, HeardView{h, v.Name(h.Address)})
		}
	}
	s, reported := o.Machine.Report(i.Name)
	if !reported {
		return i
	}
	i.Interface, i.Priority = s.Interface, s.Effective
	i.Since = time.Unix(int64(s.LastTransition), 0).UTC()
	i.Role = map[keepalived.State]string{keepalived.Init: RoleElecting, keepalived.Backup: RoleStandby,
		keepalived.Master: RoleHolder, keepalived.Fault: RoleFault}[s.State]
	if s.State == keepalived.Backup && s.MasterPriority == 0 {
		i.Role = RoleElecting
	}
	i.Holder = v.holder(o, i, s, routers)
	return i
}

// holder names who has the virtual IPs: by the priority that this unit's daemon
// heard last, or by the address of who sends.
func (v View) holder(o facts.Observed, i InstanceView, s keepalived.InstanceState, routers map[string]decide.Router) string {
	if i.Role == RoleHolder {
		return o.Event.Unit.String()
	}
	if r, ok := routers[s.Name]; ok && i.Role == RoleStandby {
		holder, known := r.Holder(o.Machine, s)
		switch {
		case known:
			return holder.String()
		case r.Usurper(o.Machine, s) != nil:
			return ""
		}
	}
	last := HeardView{Heard: facts.Heard{Last: i.Since}}
	for _, h := range i.Heard {
		if !h.Foreign && h.Released.IsZero() && h.Last.After(last.Last) {
			last = h
		}
	}
	return last.Unit
}

// Name returns the peer that has an address; empty for none.
func (v View) Name(a netip.Addr) string {
	for _, p := range v.Peers {
		if p.Address == a || slices.Contains(p.Addresses, a) {
			return p.Unit.String()
		}
	}
	return ""
}

// OnLink lists those peers' addresses that are in a subnet of this machine's
// interfaces.
func (v View) OnLink(m facts.Machine) []netip.Addr {
	var list []netip.Addr
	for _, p := range v.Peers {
		if slices.ContainsFunc(m.Interfaces, func(i facts.Interface) bool {
			return slices.ContainsFunc(i.Addresses, func(own netip.Prefix) bool { return own.Contains(p.Address) })
		}) {
			list = append(list, p.Address)
		}
	}
	return list
}
