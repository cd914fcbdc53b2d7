package reconcile

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
)

// NoVirtualIP starts the message of a unit without virtual IPs; Charmed
// Kubernetes compares it.
const NoVirtualIP = "Please configure virtual ips"

// refusal is the error of a status that keeps a unit from what it wants.
func refusal(s juju.Status) error {
	if s.Level == juju.Waiting {
		return &Waiting{Message: s.Message}
	}
	return &Blocked{Message: s.Message}
}

// StatusOf turns an error that only the operator can mend into a status; false
// for a fault, which Juju shows and retries.
func StatusOf(err error) (juju.Status, bool) {
	var blocked *Blocked
	var invalid *config.Invalid
	if errors.As(err, &blocked) || errors.As(err, &invalid) {
		return juju.Status{Level: juju.Blocked, Message: err.Error()}, true
	}
	var waiting *Waiting
	if errors.As(err, &waiting) {
		return juju.Status{Level: juju.Waiting, Message: err.Error()}, true
	}
	return juju.Status{}, false
}

// Status is what juju status shows once the plan was carried out; m is the
// machine as it is then. The role is the daemon's word, the addresses are the
// kernel's, and where the two differ it says so.
func (d Desired) Status(m Machine) juju.Status {
	s := d.status(m)
	if d.before3 {
		s.Message = strings.ReplaceAll(s.Message, "juju run ", "juju run-action ")
	}
	return s
}

func (d Desired) status(m Machine) juju.Status {
	m = m.indexed()
	switch {
	case d.Mode == Idle && d.owner != juju.Unit{}:
		return say(servedBeside, "UNIT", d.owner.String(), "APPLICATION", d.owner.Application, "PRINCIPAL", d.beside.String())
	case d.Mode == Idle:
		return say(noVirtualIP, "APPLICATION", d.Layout.Application)
	case d.Mode != Serving:
		return say(released)
	case d.paused:
		if s, unmoved := d.ignoring(m); unmoved {
			return s
		}
		s := say(paused, "UNIT", d.unit.String())
		if kept := kept(m, d.options.VirtualIPs); len(kept) > 0 {
			s.Message += say(pausedHolds, "ADDRESSES", list(kept)).Message
		}
		return s
	}
	if m.barred() {
		return say(masked, "COMMAND", m.unmask())
	}
	s := d.roles(m)
	if d.usurped(m) {
		// The role names it.
		d.found = slices.DeleteFunc(slices.Clone(d.found), func(f conflict.Finding) bool { return f.Kind == conflict.RouterTaken })
	}
	if m.Masked {
		s.Message += say(alsoMasked, "COMMAND", m.unmask()).Message
	}
	s.Message += d.progress() + d.conflicts() + strings.Join(d.besides(m), "") + d.misplaced(m) + d.unplaced(m)
	if !d.dropsOut(m, d.routers[0]) {
		s.Message += d.failing(m.Check)
	}
	if !d.related {
		s.Message += say(noPeerRelation).Message
	}
	return s
}

// unmask is what ends a mask.
func (m Machine) unmask() string {
	if m.MaskedRuntime {
		return "systemctl unmask --runtime keepalived.service"
	}
	return "systemctl unmask keepalived.service"
}

// Installing is what juju status shows while keepalived is installed, or removed, and a
// program is waited for; empty for none.
func Installing(a Action, holder string) juju.Status {
	switch removes := a == RemovePackage; {
	case removes && holder == "":
		return say(released)
	case removes:
		return say(removeWaits, "HOLDER", holder)
	case holder == "":
		return say(installing)
	}
	return say(installWaits, "HOLDER", holder)
}

// InstallFails tells of a fault that may end by itself.
func InstallFails(err error) juju.Status {
	reason := strings.TrimPrefix(err.Error(), "cannot install keepalived: ")
	return say(installFails, "REASON", strings.ReplaceAll(reason, "\n", "; "))
}

// PackageHeld is the refusal of a package that apt is told to leave as it is.
func PackageHeld() *Blocked { return &Blocked{Message: say(packageHeld).Message} }

// NoPackage is the refusal of a package that cannot be had.
func NoPackage(reason string) *Blocked {
	return &Blocked{Message: say(noPackage, "REASON", reason).Message}
}

// ProgramFails is the refusal of a package whose program does not run.
func ProgramFails(reason string) *Blocked {
	return &Blocked{Message: say(programFails, "REASON", reason).Message}
}

// role is the unit's part in the election of a virtual router.
func (d Desired) role(m Machine, r router) juju.Status {
	state, reported := d.state(m, r)
	switch {
	case !reported && !m.Active:
		return say(notRunning)
	case !reported:
		return say(notReporting)
	}
	missing, stray := d.disagreement(m, r)
	all := list(r.addresses())
	holder, known := r.holder(m, state)
	switch {
	case len(missing) > 0:
		n := len(r.virtualIPs)
		return say(holdsSome, "COUNT", fmt.Sprint(n-len(missing)), "ALL", fmt.Sprint(n), "ADDRESSES", list(missing))
	case len(stray) > 0:
		return say(holdsStray, "ADDRESSES", list(stray), "STATE", state.State.String())
	case !m.follows(state):
		s, _ := d.ignoring(m)
		return s
	case state.State == keepalived.Master:
		return say(holdsAll, "ADDRESSES", all)
	case state.State == keepalived.Fault:
		return d.fault(m, r, state)
	case r.usurper(m, state) != nil:
		return d.usurpedBy(r, *r.usurper(m, state))
	case known:
		return say(standbyOf, "ADDRESSES", all, "UNIT", holder.String())
	case state.State == keepalived.Backup && state.MasterPriority > 0:
		return say(standbyAlone, "ADDRESSES", all)
	}
	return say(electing, "ADDRESSES", all)
}

// fault tells why an instance is in the FAULT state.
func (d Desired) fault(m Machine, r router, state keepalived.InstanceState) juju.Status {
	for _, name := range append([]string{state.Interface}, d.interfaces...) {
		if d.interfaceDown(m, name) {
			return say(linkDown, "INTERFACE", name)
		}
	}
	kind := m.lacksAddress(state.Interface, r.Run.Anchor.Is6())
	waiting, waits := waiting(r.Decision)
	switch {
	case kind != "":
		return say(noAddress, "INTERFACE", state.Interface, "KIND", kind)
	case d.dropsOut(m, r):
		return say(outOfElection, "UNIT", d.unit.String(), "REASON", m.Check.Reason)
	case waits:
		return waiting
	case m.Check.Known && !m.Check.Healthy || r.Aside != "":
		// Aside for a moment, for the others' sake.
		return say(standbyAlone, "ADDRESSES", list(r.addresses()))
	}
	return say(daemonFault)
}

// lacksAddress names the kind of address that VRRP of a family needs on an interface and
// that the machine has none of there, but for those of keepalived; empty when it has.
func (m Machine) lacksAddress(iface string, six bool) string {
	for _, i := range m.without(Observed{Machine: m}.floating()) {
		if i.Name == iface && slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool {
			return p.Addr().Is6() == six && (!six || p.Addr().IsLinkLocalUnicast())
		}) {
			return ""
		}
	}
	if six {
		return "link-local IPv6"
	}
	return "IPv4"
}

// dropsOut tells that the unit is kept out because its check fails.
func (d Desired) dropsOut(m Machine, r router) bool {
	state, _ := d.state(m, r)
	return state.State == keepalived.Fault && m.Check.Known && !m.Check.Healthy && d.options.Policy.DropAllUnhealthy
}

// progress tells of a change that all units have to make, the first router's that
// has to; empty without one.
func (d Desired) progress() string {
	for _, r := range d.routers {
		if r.Moving {
			return progress(r.Decision)
		}
	}
	return ""
}

func progress(a group.Decision) string {
	var words []string
	for _, c := range []struct {
		differs bool
		word    string
	}{
		{a.Run.VirtualRouterID != a.Wanted.VirtualRouterID, fmt.Sprintf("virtual router ID %d", a.Wanted.VirtualRouterID)},
		{a.Run.Version != a.Wanted.Version, fmt.Sprintf("VRRP version %d", a.Wanted.Version)},
		{a.Run.Mode != a.Wanted.Mode, string(a.Wanted.Mode)},
		{a.Run.Interval != a.Wanted.Interval, fmt.Sprintf("an advertisement interval of %v", a.Wanted.Interval)},
		{a.Run.Auth != a.Wanted.Auth, "other authentication"},
		{a.Run.Spread != a.Wanted.Spread, map[bool]string{true: "virtual IPs spread over the units", false: "all virtual IPs on one unit"}[a.Wanted.Spread]},
		{a.Run.Anchor.Is6() != a.Wanted.Anchor.Is6(), "VRRP over the other address family"},
		{a.Run.Interface != a.Wanted.Interface, interfaceWord(a.Wanted.Interface)},
	} {
		if c.differs {
			words = append(words, c.word)
		}
	}
	if len(words) == 0 {
		words = []string{"a new advertised address"}
	}
	message := say(changing, "WHAT", strings.Join(words, ", ")).Message
	if a.Planned > 0 {
		message += say(changingUpgraded, "COUNT", fmt.Sprint(a.Upgraded), "ALL", fmt.Sprint(a.Planned)).Message
	}
	if a.Next != nil {
		// This unit counts too: it waits for the others.
		message += say(changingReady, "COUNT", fmt.Sprint(a.Ready+1), "ALL", fmt.Sprint(a.Others+1)).Message
	}
	if len(a.Waits) > 0 && a.Aside == "" {
		message += say(changingWaits, "UNIT", named(a.Waits)).Message
	}
	return message
}

// interfaceWord tells where the virtual IPs go.
func interfaceWord(name string) string {
	if name == "" {
		return "an interface that each unit chooses"
	}
	return "interface " + name
}

func (d Desired) interfaceDown(m Machine, name string) bool {
	return !slices.ContainsFunc(m.Interfaces, func(i Interface) bool { return i.Name == name && i.Up })
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
