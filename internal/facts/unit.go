package facts

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/hacluster"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
)

// Stands is what the installed configuration keeps an instance of this unit out for.
func (o Observed) Stands(name string) group.Aside {
	if o.Machine.Checker == nil {
		return group.TakesPart
	}
	for n := range o.Machine.Checker.Instances {
		if i := &o.Machine.Checker.Instances[n]; i.Name == name {
			return group.ParseAside(i.Aside)
		}
	}
	return group.TakesPart
}

// Loses tells that this hook is about another unit that departs.
func (o Observed) Loses() bool {
	return o.Event.Hook == hooks.RelationDeparted && o.Event.Endpoint == endpoint.Cluster && o.Event.Departing != o.Event.Unit
}

// Left are the units that are no peers any more and may take part still, with when they left.
func (o Observed) Left() map[int]int64 {
	var left map[int]int64
	for _, r := range o.Relations {
		for u, m := range r.Members {
			if m.Left == 0 {
				continue
			}
			if left == nil {
				left = map[int]int64{}
			}
			left[u.Number] = m.Left
		}
	}
	return left
}

// HoldsAll tells that the machine has every router's address.
func (m Machine) HoldsAll() bool {
	for _, r := range m.Applied.Routers {
		if !m.Has(r.Anchor) {
			return false
		}
	}
	return true
}

// Serves tells that the unit serves something, whether it is known what.
func (m Machine) Serves() bool { return m.Applied.Serves() || m.Unread != nil }

// Stopped tells that the unit has run stop or remove. Juju stops no unit of a machine but
// one that it removes, yet hooks may follow: the peer relation's broken, and whatever an
// agent that was restarted begins with, start included after a reboot. Only install
// begins a unit anew.
func (o Observed) Stopped() bool { return o.Machine.Stopped && o.Event.Hook != hooks.Install }

// upgrading is the mark of an upgrade of the base as an earlier revision wrote it, upgradingIn
// what stands before the boot in which it began.
const (
	upgrading   = "until post-series-upgrade"
	upgradingIn = upgrading + ", since boot "
)

// UpgradeMark is the mark of an upgrade of the base: the one that is there, or a new one.
func (o Observed) UpgradeMark() string {
	if text, marked := o.Machine.Files[o.Layout().Upgrading()]; marked && o.Event.Hook != hooks.PreSeriesUpgrade {
		return text
	}
	return upgradingIn + o.Machine.Boot + "\n"
}

// Upgrades tells that the machine's base is being upgraded. A new charm is given another
// chance, whatever became of that, and one that has ended needs no mark of it. Juju runs no
// hook from pre-series-upgrade to post-series-upgrade but one that was due: any hook of
// another boot tells that the upgrade is over, whatever became of post-series-upgrade. A mark
// that is spoilt, such as empty since a power cut, tells of nothing.
func (o Observed) Upgrades() bool {
	switch o.Event.Hook {
	case hooks.PreSeriesUpgrade:
		return true
	case hooks.PostSeriesUpgrade, hooks.UpgradeCharm, hooks.Stop:
		return false
	}
	text := strings.TrimSuffix(o.Machine.Files[o.Layout().Upgrading()], "\n")
	boot, told := strings.CutPrefix(text, upgradingIn)
	return text == upgrading || told && (boot == "" || o.Machine.Boot == "" || boot == o.Machine.Boot)
}

func (o Observed) Layout() layout.Layout { return layout.Layout{Application: o.Event.Unit.Application} }

// Floating tells the addresses that keepalived may have put on this machine:
// those that this unit applied, those of neighbours and the Python charm included.
// The daemon itself may hold others: those of files that were changed since it
// read them.
func (o Observed) Floating() map[netip.Addr]bool {
	floating := maps.Clone(o.Machine.Placed)
	if floating == nil {
		floating = map[netip.Addr]bool{}
	}
	for _, i := range o.Machine.Instances {
		for _, a := range i.Addresses {
			floating[a] = true
		}
	}
	return floating
}

// Without returns the interfaces without those addresses.
func (m Machine) Without(floating map[netip.Addr]bool) []Interface {
	var list []Interface
	for _, i := range m.Interfaces {
		i.Addresses = slices.DeleteFunc(slices.Clone(i.Addresses), func(p netip.Prefix) bool { return floating[p.Addr()] })
		list = append(list, i)
	}
	return list
}

// Related tells whether there is a peer relation.
func (o Observed) Related() bool {
	return slices.ContainsFunc(o.Relations, func(r Relation) bool { return r.Endpoint == endpoint.Cluster })
}

// Told is what this unit told its peers before.
func (o Observed) Told() endpoint.Member {
	for _, r := range o.Relations {
		if r.Endpoint == endpoint.Cluster {
			return r.Told
		}
	}
	return endpoint.Member{Rank: -1}
}

// Untold tells that this unit has told its peers nothing yet.
func (o Observed) Untold() bool {
	return slices.ContainsFunc(o.Relations, func(r Relation) bool {
		return r.Endpoint == endpoint.Cluster && !r.Told.Serves
	})
}

// Before returns what was observed with the options that the unit took, the last first, in the
// place of those that are refused.
func (o Observed) Before(refusal error) []Observed {
	var before []Observed
	now := config.Effective(o.Options.Raw)
	if o.Refusal == nil {
		o.Refusal = refusal
	}
	for _, took := range o.Machine.Took {
		if !applied.Same(config.Effective(took.Raw), now) {
			// The look was for what was refused.
			o.Options, o.Look = took, nil
			before = append(before, o)
		}
	}
	return before
}

// Units of one application share its files on a machine, applications of this charm those
// of all. The first unit to serve keeps the application's, the latest revision those of all.

// Owner is the other unit of this application whose the application's files on this
// machine are, or the one of the Python charm whose keepalived.conf it is; false when they are
// this unit's, or nobody's.
func (o Observed) Owner() (juju.Unit, bool) {
	if o.Machine.PythonServes() {
		return o.Machine.PythonUnit, true
	}
	owner, us := o.Machine.Unit, o.Event.Unit
	return owner, owner.Application == us.Application && owner != us && !o.Machine.OwnerGone
}

// Leaving tells a unit whose peers are being taken away.
func (o Observed) Leaving() bool {
	breaks := o.Event.Hook == hooks.RelationBroken && o.Event.Endpoint == endpoint.Cluster
	return o.Departs() || breaks || !o.Related()
}

// LeavesPrincipal tells a hook that takes a relation to the principal unit away.
func (o Observed) LeavesPrincipal() bool {
	return (o.Event.Hook == hooks.RelationDeparted || o.Event.Hook == hooks.RelationBroken) && slices.Contains(endpoint.Principal(), o.Event.Endpoint)
}

// Request is what the principal unit asks for on ha; nil without such a relation. Of several
// relations the first one that asks counts.
func (o Observed) Request() *hacluster.Request {
	var first *hacluster.Request
	for _, r := range o.Relations {
		if r.Request != nil && (first == nil || first.State == hacluster.Absent) {
			first = r.Request
		}
	}
	return first
}

// Departs tells a unit that is being taken out of its group, from the first hook that says
// so. Juju lists its peer relation for as long as the group has one (3.5; runner/context/
// contextfactory.go), with ever fewer units, also in hooks of other relations. It takes that
// back for no unit; who comes into a group is in it again. A relation to the principal unit
// that goes on tells that the unit stays: Juju runs its hooks and those of one that ends in
// any order, and for a unit that dies none but departed and broken (worker/uniter/relation/
// resolver.go).
func (o Observed) Departs() bool {
	comes := o.Event.Hook == hooks.RelationCreated || o.Event.Hook == hooks.RelationJoined
	joins := o.Event.Hook == hooks.Install || o.Event.Endpoint == endpoint.Cluster && comes ||
		slices.Contains(endpoint.Principal(), o.Event.Endpoint) && (comes || o.Event.Hook == hooks.RelationChanged)
	// The last relation to the principal unit ends with the unit alone, and Juju may tell of
	// that first: the others know by then, and no longer send their advertisements here.
	self := o.Event.Hook == hooks.RelationDeparted && o.Event.Departing == o.Event.Unit
	now := self && o.Event.Endpoint == endpoint.Cluster || o.LeavesPrincipal() && (self || !o.Attached)
	return now || o.Machine.Departs && !joins
}
