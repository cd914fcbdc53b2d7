// Package show puts a decision and a machine in words for people: juju status, and what the
// actions status and check-network print. It does no I/O.
package show

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/status"
)

// Shown is what juju status shows: what the unit does, after what it cannot have.
func Shown(d decide.Desired, o facts.Observed) juju.Status {
	if o.Refusal == nil {
		o.Refusal = d.Finding()
	}
	return after(o, Status(d, o.Machine))
}

// owned tells of virtual IPs that a peer says are its own addresses: of the first, and how
// many more there are.
func owned(d decide.Desired) string {
	first, more := "", 0
	for _, v := range d.Addresses() {
		for _, p := range d.Peers {
			switch {
			case !slices.Contains(p.Addresses, v):
			case first == "":
				first = status.Say(status.AlsoOwn, "ADDRESS", v.String(), "UNIT", p.Unit.String()).Message
			default:
				more++
			}
		}
	}
	if more > 0 {
		first += status.Say(status.MoreOwn, "COUNT", fmt.Sprint(more)).Message
	}
	return first
}

// Unmoved tells why neither the health check nor an operator can move this unit's
// virtual IPs; empty when they can.
func Unmoved(d decide.Desired, m facts.Machine) string {
	if s, unmoved := ignoring(d, m); unmoved {
		return s.Message
	}
	return ""
}

// ignoring is the status of a unit that does not do what its track files say. A reload
// mends it as soon as keepalived can have what it lacks.
func ignoring(d decide.Desired, m facts.Machine) (juju.Status, bool) {
	switch {
	case !m.Ignores(d.Layout):
		return juju.Status{}, false
	case m.Scarce.Limit > 0:
		return scarce(status.IgnoresWatchless, m), true
	}
	return status.Say(status.IgnoresCheck), true
}

// scarce says what root has none left of.
func scarce(c status.Condition, m facts.Machine) juju.Status {
	const least = 512 // what is suggested; 128 instances are the kernel's default
	return status.Say(c, "LIMIT", fmt.Sprint(m.Scarce.Limit), "KIND", m.Scarce.Kind, "MORE", fmt.Sprint(max(least, 2*m.Scarce.Limit)))
}

// after is what juju status shows of a unit that does something, by whatever options.
func after(o facts.Observed, does juju.Status) juju.Status {
	refusal, refused := status.Of(o.Refusal)
	if !refused {
		return does
	}
	refusal.Message += status.Say(status.Meanwhile, "STATUS", does.Message).Message
	return refusal
}

// roles is the unit's part in the elections. What is wrong in one comes first.
func roles(d decide.Desired, m facts.Machine) juju.Status {
	if !d.Spread {
		return role(d, m, d.Routers[0])
	}
	var own, lost []netip.Addr
	others, units := map[string][]netip.Addr{}, []string{}
	placed := map[netip.Addr]bool{}
	for _, r := range d.Routers {
		for _, a := range r.Addresses() {
			placed[a] = true
		}
	}
	for _, a := range d.Addresses() {
		if !placed[a] {
			lost = append(lost, a) // its router has yet to begin
		}
	}
	for _, r := range d.Routers {
		if len(r.VirtualIPs) == 0 {
			continue
		}
		if s := role(d, m, r); s.Level != juju.Active {
			return s
		}
		state, _ := d.State(m, r)
		switch unit, known := r.Holder(m, state); {
		case state.State == keepalived.Master:
			own = append(own, r.Addresses()...)
		case !known:
			lost = append(lost, r.Addresses()...)
		default:
			holder := unit.String()
			if others[holder] == nil {
				units = append(units, holder)
			}
			others[holder] = append(others[holder], r.Addresses()...)
		}
	}
	all := fmt.Sprint(len(d.Addresses()))
	s := status.Say(status.SharesNone, "ALL", all)
	if len(own) > 0 {
		s = status.Say(status.SharesIn, "COUNT", fmt.Sprint(len(own)), "ALL", all, "ADDRESSES", status.List(own))
	}
	for _, u := range units {
		s.Message += status.Say(status.ShareOf, "UNIT", u, "ADDRESSES", status.List(others[u])).Message
	}
	if len(lost) > 0 {
		s.Message += status.Say(status.ShareOfNobody, "ADDRESSES", status.List(lost)).Message
	}
	return s
}

// Status is what juju status shows once the plan was carried out; m is the
// machine as it is then. The role is the daemon's word, the addresses are the
// kernel's, and where the two differ it says so.
func Status(d decide.Desired, m facts.Machine) juju.Status {
	s := says(d, m)
	if d.Before3 {
		s.Message = strings.ReplaceAll(s.Message, "juju run ", "juju run-action ")
	}
	return s
}

func says(d decide.Desired, m facts.Machine) juju.Status {
	m = m.Indexed()
	switch {
	case d.Mode == decide.Idle && d.Owner != juju.Unit{}:
		return status.Say(status.ServedBeside, "UNIT", d.Owner.String(), "APPLICATION", d.Owner.Application, "PRINCIPAL", d.Beside.String())
	case d.Mode == decide.Idle && d.Lacks != nil:
		s, _ := status.Of(d.Lacks)
		return s
	case d.Mode == decide.Idle:
		return status.Say(status.NothingToServe, "APPLICATION", d.Layout.Application)
	case d.Mode != decide.Serving:
		return status.Say(status.Released)
	case d.Paused:
		if s, unmoved := ignoring(d, m); unmoved {
			return s
		}
		s := status.Say(status.Paused, "UNIT", d.Unit.String())
		if kept := decide.Kept(m, d.Options.VirtualIPs); len(kept) > 0 {
			s.Message += status.Say(status.PausedHolds, "ADDRESSES", status.List(kept)).Message
		}
		return s
	}
	if m.Barred() {
		return status.Say(status.Masked, "COMMAND", unmask(m))
	}
	s := roles(d, m)
	if usurped(d, m) {
		// The role names it.
		d.Found = slices.DeleteFunc(slices.Clone(d.Found), func(f conflict.Finding) bool { return f.Kind == conflict.RouterTaken })
	}
	if m.Masked {
		s.Message += status.Say(status.AlsoMasked, "COMMAND", unmask(m)).Message
	}
	s.Message += moving(d) + d.Conflicts() + strings.Join(besides(d, m), "") + misplaced(d, m) + unplaced(d, m) + late(d, m) + unserved(d, m)
	if !dropsOut(d, m, d.Routers[0]) {
		s.Message += failing(d, m.Check)
	}
	switch {
	case !d.Related:
		s.Message += status.Say(status.NoPeerRelation).Message
	case d.Unbound:
		s.Message += status.Say(status.NoSpace, "APPLICATION", d.Layout.Application).Message
	}
	return s
}

// unmask is what ends a mask.
func unmask(m facts.Machine) string {
	if m.MaskedRuntime {
		return "systemctl unmask --runtime keepalived.service"
	}
	return "systemctl unmask keepalived.service"
}

// role is the unit's part in the election of a virtual router.
func role(d decide.Desired, m facts.Machine, r decide.Router) juju.Status {
	state, reported := d.State(m, r)
	switch {
	case !reported && !m.Active:
		return status.Say(status.NotRunning)
	case !reported:
		return status.Say(status.NotReporting)
	}
	missing, stray := d.Disagreement(m, r)
	all := status.List(r.Addresses())
	holder, known := r.Holder(m, state)
	switch {
	case len(missing) > 0:
		n := len(r.VirtualIPs)
		return status.Say(status.HoldsSome, "COUNT", fmt.Sprint(n-len(missing)), "ALL", fmt.Sprint(n), "ADDRESSES", status.List(missing))
	case len(stray) > 0:
		return status.Say(status.HoldsStray, "ADDRESSES", status.List(stray), "STATE", state.State.String())
	case m.Unwatched || !m.Follows(state):
		s, _ := ignoring(d, m)
		return s
	case state.State == keepalived.Master:
		return status.Say(status.HoldsAll, "ADDRESSES", all)
	case state.State == keepalived.Fault:
		return fault(d, m, r, state)
	case r.Usurper(m, state) != nil:
		return usurpedBy(d, r, *r.Usurper(m, state))
	case r.Rival(d, m, state) != nil:
		return rivalled(r, *r.Rival(d, m, state))
	case known:
		return status.Say(status.StandbyOf, "ADDRESSES", all, "UNIT", holder.String())
	case state.State == keepalived.Backup && state.MasterPriority > 0:
		return status.Say(status.StandbyAlone, "ADDRESSES", all)
	}
	return status.Say(status.Electing, "ADDRESSES", all)
}

// rivalled tells that another unit of this application holds other virtual IPs in this one's
// place.
func rivalled(r decide.Router, rival decide.Rival) juju.Status {
	words := []string{"ADDRESSES", status.List(rival.Lacks), "UNIT", rival.Unit.String(), "HOLDS", status.List(rival.Holds),
		"PRINCIPAL", rival.Principal.String(), "OTHER", rival.Principal.Application, "ID", fmt.Sprint(r.Run.VirtualRouterID)}
	if rival.Peer {
		return status.Say(status.WaitsForSame, words...)
	}
	return status.Say(status.SharesRouter, words...)
}

// fault tells why an instance is in the FAULT state.
func fault(d decide.Desired, m facts.Machine, r decide.Router, state keepalived.InstanceState) juju.Status {
	for _, name := range append([]string{state.Interface}, d.Links...) {
		if interfaceDown(d, m, name) {
			return status.Say(status.LinkDown, "INTERFACE", name)
		}
	}
	kind := m.LacksAddress(state.Interface, r.Run.Anchor.Is6())
	waiting, waits := WaitingFor(r.Decision)
	switch {
	case kind != "":
		return status.Say(status.NoAddress, "INTERFACE", state.Interface, "KIND", kind)
	case dropsOut(d, m, r):
		return status.Say(status.OutOfElection, "UNIT", d.Unit.String(), "REASON", m.Check.Reason)
	case waits:
		return waiting
	case m.Check.Known && !m.Check.Healthy || r.Aside != group.TakesPart:
		// Aside for a moment, for the others' sake.
		return status.Say(status.StandbyAlone, "ADDRESSES", status.List(r.Addresses()))
	}
	return status.Say(status.DaemonFault)
}

// dropsOut tells that the unit is kept out because its check fails.
func dropsOut(d decide.Desired, m facts.Machine, r decide.Router) bool {
	state, _ := d.State(m, r)
	return state.State == keepalived.Fault && m.Check.Known && !m.Check.Healthy && d.Options.Policy.DropAllUnhealthy
}

// moving tells of a change that all units have to make, the first router's that
// has to; empty without one.
func moving(d decide.Desired) string {
	for _, r := range d.Routers {
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
	message := status.Say(status.Changing, "WHAT", strings.Join(words, ", ")).Message
	if a.Planned > 0 {
		message += status.Say(status.ChangingUpgraded, "COUNT", fmt.Sprint(a.Upgraded), "ALL", fmt.Sprint(a.Planned)).Message
	}
	if a.Next != nil {
		// This unit counts too: it waits for the others.
		message += status.Say(status.ChangingReady, "COUNT", fmt.Sprint(a.Ready+1), "ALL", fmt.Sprint(a.Others+1)).Message
	}
	if len(a.Waits) > 0 && a.Aside == group.TakesPart {
		message += status.Say(status.ChangingWaits, "UNIT", status.Named(a.Waits)).Message
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

func interfaceDown(d decide.Desired, m facts.Machine, name string) bool {
	return !slices.ContainsFunc(m.Interfaces, func(i facts.Interface) bool { return i.Name == name && i.Up })
}

// usurped tells that this unit follows a stranger in some router.
func usurped(d decide.Desired, m facts.Machine) bool {
	return d.AnyRouter(func(r decide.Router) bool {
		state, _ := d.State(m, r)
		return r.Usurper(m, state) != nil
	})
}

// usurpedBy tells of the stranger, by what a look at the network found of it if that
// heard it.
func usurpedBy(d decide.Desired, r decide.Router, h facts.Heard) juju.Status {
	run := r.Run
	f := conflict.Finding{Host: conflict.Host{Address: h.Address}}
	for _, other := range d.Found {
		if other.Kind == conflict.RouterTaken && other.Host.Address == h.Address && other.Said.VirtualRouterID == run.VirtualRouterID {
			f = other
		}
	}
	f.Said.VirtualRouterID = run.VirtualRouterID
	if d.Free == 0 { // nobody looked
		d.Free = conflict.Free(conflict.Look{}, run.Anchor.Is6(), run.VirtualRouterID, 1, nil)
	}
	return d.Word(status.RouterLost, f, r.Addresses())
}

// WaitingFor says what this unit stands aside for when it is up to certain units, which
// may take their time; false for what is over in a moment by itself.
func WaitingFor(a group.Decision) (juju.Status, bool) {
	c, ok := map[group.Aside]status.Condition{group.Unknown: status.WaitsToKnow, group.Joins: status.WaitsToBeKnown, group.Unheard: status.WaitsForList, group.Agreed: status.WaitsToAgree}[a.Aside]
	if !ok {
		return juju.Status{}, false
	}
	return status.Say(c, "UNIT", status.Named(a.Waits)), true
}
