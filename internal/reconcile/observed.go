// Package reconcile decides: from all that a hook has read it derives what the
// machine and the databags should be, and the steps that lead there. It does no
// I/O, and a second pass over its own result plans nothing.
package reconcile

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// Observed is everything a hook has read. Nothing else goes into a decision.
type Observed struct {
	Event     juju.Event
	Options   config.Given
	Relations []Relation
	// Ingress are the addresses that Juju knows for this unit, the one it gives
	// to others in front. A virtual IP may be among them.
	Ingress []string
	// Bound are the interfaces in the network space that endpoint cluster is bound
	// to, in Juju's order; all of them when it is bound to none.
	Bound []string
	// Secret is the content of the secret that NeedsSecret names; empty when it
	// cannot be read.
	Secret map[string]string
	// Planned is how many units the principal's application has, each with a unit of
	// this application; read only when NeedsPlanned says so.
	Planned int
	Machine Machine
	// Look is what a look at the network brought; nil when Ask asked for none.
	Look *conflict.Look
	// Refusal is why Options are not those that were configured but those that the
	// unit used last; nil when they are.
	Refusal error
}

// Relation is one relation of one endpoint.
type Relation struct {
	ID       juju.RelationID
	Endpoint string
	// Own is what this unit publishes.
	Own juju.Databag
	// Told is what it told its peers so, Members what the remote units told: of the peer
	// relation only.
	Told    endpoint.Member
	Members map[juju.Unit]facts.Member
}

// Machine is the state of the machine the unit lives on.
type Machine struct {
	// Version is keepalived's version, empty while it is not installed.
	Version string
	// Files holds the content of those files of Layout.Files that exist.
	Files map[string]string
	// Configured is what they tell, with those of others; Understood reads it.
	facts.Configured
	// Neighbours are other applications of this charm on the machine, with their
	// fragments.
	Neighbours map[string]string
	// Active and CheckerActive tell whether the services run.
	Active, CheckerActive bool
	// Masked tells that systemd is forbidden to start keepalived, MaskedRuntime that it is
	// so until the next boot alone (systemctl(1), mask). What runs goes on.
	Masked, MaskedRuntime bool
	// Disabled tells that systemd does not start keepalived at boot.
	Disabled bool
	// NotifierActive tells whether systemd waits for news.
	NotifierActive bool
	// BinaryCurrent tells that the installed copy of the charm's binary is the
	// one that runs now.
	BinaryCurrent bool
	// Booted tells that no hook has looked at the configuration since the machine's
	// boot, so the unit stands aside.
	Booted bool
	// Paused tells that an operator keeps the unit out of the election.
	Paused bool
	// OwnerGone tells that the unit which Layout.Owner names has no agent here any more.
	OwnerGone bool
	// Stopped tells that the unit has run stop or remove, and has not begun anew.
	Stopped bool
	// Leftovers tells that the Python charm left something beside the charm's files.
	Leftovers bool
	// Owed are the follow-ups that an earlier hook did not live to do.
	Owed       []FollowUp
	Interfaces []Interface
	// DefaultInterface4 and 6 carry the default route of each family; may be empty.
	DefaultInterface4, DefaultInterface6 string
	// Instances is what the daemon reports; none while it does not run.
	Instances []keepalived.InstanceState
	// Tracks are the values of the instances' track files, by instance.
	Tracks map[string]int
	// InotifyLimit is how many inotify instances root may have when none is left; 0
	// when there are.
	InotifyLimit int
	// Included are the files that a configuration from before the charm includes, and
	// those that the machine's owner has beside the fragments, by path.
	Included map[string]string
	// Filtered are addresses whose packets keepalived's packet filter drops.
	Filtered []netip.Addr
	// Drifted are the kernel settings that have another value than the charm's file
	// says, Fixed those of them that may not be written here, as in a container.
	Drifted, Fixed []string
	// Unreachable are the addresses of Probe at which nothing answered.
	Unreachable []netip.Addr
	// Check is what the health checker last found out.
	Check CheckResult
	index *index
}

// Interface is a network interface with its addresses.
type Interface struct {
	Name string
	// MAC is empty for one that has none.
	MAC string
	// Kind is the kernel's word for one that is made of software, such as bridge,
	// dummy or vlan (IFLA_INFO_KIND); empty for hardware.
	Kind string
	// Up tells that it can carry traffic: a bridge without ports cannot.
	Up bool
	// NoARP tells that it answers for none of its addresses (IFF_NOARP).
	NoARP     bool
	Addresses []netip.Prefix
}

// CheckResult is the health checker's verdict.
type CheckResult struct {
	// Known is false before the first verdict.
	Known, Healthy bool
	// Silent tells that the health checker has written nothing for some time, if
	// ever.
	Silent bool
	// Reason is the last failure in one line.
	Reason string
	// Since is when the verdict was reached, InARow how many checks in a row came to
	// the last one's result, HeldBack until when the unit is held back (zero: it is
	// not).
	Since, HeldBack time.Time
	InARow          int
	// Heard are the other machines whose VRRP advertisements came.
	Heard []Heard
}

// Heard is what another machine's advertisements for one VRRP instance told.
type Heard struct {
	Instance string
	Address  netip.Addr
	// Priority and Last are those of its last advertisement as a holder, Released
	// when it handed over after that; zero: it has not.
	Priority       vrrp.Priority
	Last, Released time.Time
	// Foreign tells that they carry no address of this group: it is a stranger.
	Foreign bool
	// Speaks tells that one came a moment ago.
	Speaks bool
}

// barred tells that keepalived does not run and that nothing starts it.
func (m Machine) barred() bool { return m.Masked && !m.Active }

// has tells whether an address is on one of the machine's interfaces, but for copies
// that are others'.
func (m Machine) has(a netip.Addr) bool { return m.hasOutside(a, "") }

// Unfinished tells that a change of what the unit runs takes longer than one hook may
// wait: what was to come of it is not to be told yet.
func (o Observed) Unfinished() bool { return slices.Contains(o.Machine.Owed, Unpin) }

// Agreed tells whether what the daemon says of an application's instances and what the
// kernel has fit together. Read one after the other they may not, while the unit takes
// over.
func (m Machine) Agreed(l Layout) bool {
	m = m.indexed()
	for _, i := range m.Instances {
		if !l.Owns(i.Name) {
			continue
		}
		if !m.follows(i) {
			return false
		}
		for _, a := range i.Addresses {
			switch i.State {
			case keepalived.Master:
				if !m.has(a) {
					return false
				}
			case keepalived.Backup, keepalived.Fault:
				if m.hasOutside(a, "lo") {
					return false
				}
			}
		}
	}
	return true
}

// hasOutside tells whether an address is on another interface than that one.
func (m Machine) hasOutside(a netip.Addr, than string) bool {
	return slices.ContainsFunc(m.sites(a), func(s site) bool { return s.name != than && !s.others })
}

// hasOn tells whether an address is on that interface.
func (m Machine) hasOn(name string, a netip.Addr) bool {
	return slices.ContainsFunc(m.sites(a), func(s site) bool { return s.name == name })
}

// others tells an interface whose addresses are none of the charm's business: nobody on
// the network finds them there, and none is there by the charm. kube-proxy in IPVS mode
// keeps a copy of every service's address on such a one (kube-ipvs0).
func (m Machine) others(i Interface) bool {
	if !i.NoARP {
		return false
	}
	return !m.Applied.Ours() || !m.Applied.Uses(i.Name)
}

// Understood returns the machine with what its files tell of what the unit runs.
func (m Machine) Understood(l Layout) Machine {
	texts := facts.Texts{
		Runs: applied.Texts{Record: m.Files[l.Record()], Fragment: m.Files[l.Fragment()], Options: m.Files[l.Options()], Number: l.number},
		Main: m.Files[MainFile], Checker: m.Files[l.CheckerConfig()], Neighbours: m.Neighbours, Owned: map[string]string{}, Before: MainFile,
	}
	if len(m.Neighbours) == 0 {
		texts.Runs.Python = m.Files[MainFile]
	}
	maps.Copy(texts.Owned, m.Included)
	if text, ok := m.foreignText(); ok {
		if _, kept := m.Files[ForeignFile]; kept {
			texts.Before = ForeignFile
		}
		texts.Owned[texts.Before] = text
	}
	m.Configured = facts.Read(texts)
	return m
}

// FollowUp is what must happen after certain files changed before the change
// counts. One that is owed is remembered in a file until it is done, so a hook
// that is killed in between leaves no daemon that runs something else than the
// files say.
type FollowUp string

// The follow-ups, in the order in which they are done.
const (
	DaemonReload   FollowUp = "daemon-reload"   // systemd reads its units again
	ApplySysctl    FollowUp = "sysctl"          // the kernel takes the settings
	Reload         FollowUp = "reload"          // keepalived reads its configuration (SIGHUP), or starts
	RestartChecker FollowUp = "restart-checker" // the health checker reads its configuration
	StartNotifier  FollowUp = "start-notifier"  // systemd waits for news
	Unpin          FollowUp = "unpin"           // the virtual IPs leave the loopback device
)

// FollowUps lists all follow-ups in order.
func FollowUps() []FollowUp {
	return []FollowUp{DaemonReload, ApplySysctl, Reload, RestartChecker, StartNotifier, Unpin}
}
