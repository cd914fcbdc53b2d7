package reconcile

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// NoVirtualIP starts the message of a unit without virtual IPs; Charmed
// Kubernetes compares it.
const NoVirtualIP = "Please configure virtual ips"

// StatusOf turns an error that only the operator can mend into a status; false
// for a fault, which Juju shows and retries.
func StatusOf(err error) (juju.Status, bool) {
	var blocked *Blocked
	var invalid *config.Invalid
	if errors.As(err, &blocked) || errors.As(err, &invalid) {
		return juju.Status{Level: juju.Blocked, Message: err.Error()}, true
	}
	return juju.Status{}, false
}

// Status is what juju status shows once the plan was carried out; m is the
// machine as it is then.
func (d Desired) Status(m Machine) juju.Status {
	switch d.Mode {
	case Idle:
		return juju.Status{Level: juju.Blocked, Message: NoVirtualIP + ": juju config " + d.Layout.Application + " virtual_ip=ADDRESS"}
	case Released, Gone:
		return juju.Status{Level: juju.Maintenance, Message: "VIP handed over, serving nothing"}
	}
	if d.paused {
		return juju.Status{Level: juju.Maintenance, Message: "paused, takes no VIP: juju run " + d.unit.String() + " resume"}
	}
	i := slices.IndexFunc(m.Instances, func(s keepalived.InstanceState) bool { return s.Name == d.Layout.Instance() })
	if i < 0 {
		return juju.Status{Level: juju.Waiting, Message: "keepalived does not run this unit's VRRP instance: see journalctl -u keepalived"}
	}
	state := m.Instances[i]
	holding := d.held(m)
	message := ""
	switch {
	case state.State == keepalived.Fault && d.interfaceDown(m, state.Interface):
		return juju.Status{Level: juju.Waiting, Message: "interface " + state.Interface + " is down, no VIP can be held here"}
	case state.State == keepalived.Master && len(holding) == len(d.options.VirtualIPs):
		message = "VIP ready: holds " + list(holding)
	default:
		message = "VIP ready: standby for " + list(d.addresses()) + d.holder(state)
	}
	message += d.agreement.progress()
	message += d.failing(m.Check)
	return juju.Status{Level: juju.Active, Message: message}
}

// progress tells of a change that all units have to make; empty without one.
func (a agreement) progress() string {
	if !a.moving {
		return ""
	}
	var words []string
	for _, c := range []struct {
		differs bool
		word    string
	}{
		{a.run.VirtualRouterID != a.wanted.VirtualRouterID, fmt.Sprintf("virtual router ID %d", a.wanted.VirtualRouterID)},
		{a.run.Version != a.wanted.Version, fmt.Sprintf("VRRP version %d", a.wanted.Version)},
		{a.run.Mode != a.wanted.Mode, string(a.wanted.Mode)},
		{a.run.Interval != a.wanted.Interval, fmt.Sprintf("an advertisement interval of %v", a.wanted.Interval)},
		{a.run.Auth != a.wanted.Auth, "other authentication"},
		{a.run.Anchor.Is6() != a.wanted.Anchor.Is6(), "VRRP over the other address family"},
	} {
		if c.differs {
			words = append(words, c.word)
		}
	}
	if len(words) == 0 {
		words = []string{"a new advertised address"}
	}
	message := "; moving to " + strings.Join(words, ", ")
	if a.planned > 0 {
		message += fmt.Sprintf(" once all units are upgraded, %d of %d are", a.upgraded, a.planned)
	}
	if a.next != nil {
		// This unit counts too: it waits for the others.
		message += fmt.Sprintf(", %d of %d units ready", a.ready+1, a.others+1)
	}
	return message
}

// holder names the unit whose advertisements this unit hears: an advertised
// priority tells the rank of who sent it, except in a mixed group.
func (d Desired) holder(state keepalived.InstanceState) string {
	c, ok := vrrp.Read(state.MasterPriority)
	if !ok || state.State != keepalived.Backup || d.agreement.mixed() {
		return ""
	}
	for _, p := range d.peers {
		if p.rank == c.Rank {
			return ", holder " + p.unit.String()
		}
	}
	return ""
}

func (d Desired) interfaceDown(m Machine, name string) bool {
	return !slices.ContainsFunc(m.Interfaces, func(i Interface) bool { return i.Name == name && i.Up })
}

func (d Desired) addresses() []netip.Addr {
	var all []netip.Addr
	for _, v := range d.options.VirtualIPs {
		all = append(all, v.Addr())
	}
	return all
}

// held returns the virtual IPs that the kernel has.
func (d Desired) held(m Machine) []netip.Addr {
	return slices.DeleteFunc(d.addresses(), func(a netip.Addr) bool { return !m.has(a) })
}

// list shows up to three addresses and counts the others.
func list(addresses []netip.Addr) string {
	const most = 3
	var words []string
	for _, a := range addresses {
		words = append(words, a.String())
	}
	if len(words) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}
