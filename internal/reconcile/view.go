package reconcile

import (
	"net/netip"
	"slices"
	"time"

	"keepalived-charm/internal/group"
	"keepalived-charm/internal/healthcheck"
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
	Heard
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

// Look returns the unit's view. What the daemon was told to serve tells its files,
// so there is a view also while the options cannot be used.
func Look(o Observed) View {
	v := View{}
	for _, p := range o.peers() {
		v.Peers = append(v.Peers, PeerView{Unit: p.unit, Address: p.address, Addresses: p.addresses,
			Serves: p.Serves, Aside: p.Aside, Healthy: p.healthy})
	}
	c, err := healthcheck.Parse([]byte(o.Machine.Files[Layout{Application: o.Event.Unit.Application}.CheckerConfig()]))
	if err != nil {
		return v // it serves nothing
	}
	for _, i := range c.Instances {
		v.Instances = append(v.Instances, v.instance(o, i))
	}
	return v
}

// instance is the view of one instance of the health checker's configuration.
func (v View) instance(o Observed, c healthcheck.Instance) InstanceView {
	i := InstanceView{Name: c.Name, Role: RoleUnknown, VirtualRouterID: c.VirtualRouterID}
	for _, a := range c.Addresses {
		if !vrrp.IsAnchor(a) {
			i.VIPs = append(i.VIPs, VIPView{a, o.Machine.has(a)})
		}
	}
	for _, h := range o.Machine.Check.Heard {
		if h.Instance == c.Name {
			i.Heard = append(i.Heard, HeardView{h, v.Name(h.Address)})
		}
	}
	for _, s := range o.Machine.Instances {
		if s.Name != c.Name {
			continue
		}
		i.Interface, i.Priority = s.Interface, s.Effective
		i.Since = time.Unix(int64(s.LastTransition), 0).UTC()
		i.Role = map[keepalived.State]string{keepalived.Init: RoleElecting, keepalived.Backup: RoleStandby,
			keepalived.Master: RoleHolder, keepalived.Fault: RoleFault}[s.State]
		if s.State == keepalived.Backup && s.MasterPriority == 0 {
			i.Role = RoleElecting
		}
		i.Holder = v.holder(o, i, s)
	}
	return i
}

// holder names who has the virtual IPs: by the priority that this unit's daemon
// heard last, or by the address of who sends.
func (v View) holder(o Observed, i InstanceView, s keepalived.InstanceState) string {
	if i.Role == RoleHolder {
		return o.Event.Unit.String()
	}
	if d, err := Desire(o); err == nil && i.Role == RoleStandby {
		for _, part := range d.parts() {
			if part.Layout.Instance() != s.Name {
				continue
			}
			if name := part.holder(o.Machine, s); name != "" || part.usurper(o.Machine, s) != nil {
				return name
			}
		}
	}
	last := HeardView{Heard: Heard{Last: i.Since}}
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
func (v View) OnLink(m Machine) []netip.Addr {
	var list []netip.Addr
	for _, p := range v.Peers {
		if slices.ContainsFunc(m.Interfaces, func(i Interface) bool {
			return slices.ContainsFunc(i.Addresses, func(own netip.Prefix) bool { return own.Contains(p.Address) })
		}) {
			list = append(list, p.Address)
		}
	}
	return list
}
