package facts

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/config"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/hacluster"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/loadbalancer"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

// Observed is everything a hook has read. Nothing else goes into a decision.
type Observed struct {
	Event     juju.Event
	Options   config.Given
	Relations []Relation
	// Ingress are the addresses that Juju knows for this unit, the one it gives
	// to others in front. A virtual IP may be among them. None: the network space that
	// endpoint cluster is bound to has no address on this machine.
	Ingress []string
	// Bound are the interfaces in the network space that endpoint cluster is bound
	// to, in Juju's order; all of them when it is bound to none.
	Bound []string
	// Attached tells that the unit is related to its principal unit besides the relation
	// that this hook is about; read only in hooks that take such a relation away.
	Attached bool
	// Lacks is why there is no virtual IP to serve, nil where it is for want of option
	// virtual_ip: what a status says.
	Lacks error
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
	Members map[juju.Unit]Member
	// Service is what it told the clients of another relation.
	Service Service
	// Consumer is what an application on lb-consumers asks for; nil where this unit is not to
	// answer, which the leader does.
	Consumer *Consumer
	// Request is what the principal unit asks for on ha; nil where that unit leaves.
	Request *hacluster.Request
}

// Consumer is an application that asks for a load balancer.
type Consumer struct {
	Application string
	Requests    map[string]loadbalancer.Request
	// Told is what this application told it.
	Told juju.Databag
}

// Machine is the state of the machine the unit lives on.
type Machine struct {
	// Version is keepalived's version, empty while it is not installed.
	Version string
	// VersionTold is the one that the unit told Juju last, empty where that is not known.
	VersionTold string
	// Files holds the content of those files of Layout.Files that exist.
	Files map[string]string
	// Configured is what they tell, with those of others; Understood reads it.
	Configured
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
	// Unpackaged tells that the machine has no keepalived.service, though one may run.
	Unpackaged bool
	// NotifierActive tells whether systemd waits for news.
	NotifierActive bool
	// BinaryCurrent tells that the installed copy of the charm's binary is the
	// one that runs now.
	BinaryCurrent bool
	// Booted tells that no hook has looked at the configuration since the machine's
	// boot, so the unit stands aside.
	Booted bool
	// Boot names the machine's boot; empty where that cannot be told.
	Boot string
	// Paused tells that an operator keeps the unit out of the election.
	Paused bool
	// OwnerGone tells that the unit which Layout.Owner names has no agent here any more.
	OwnerGone bool
	// PythonUnit is one of the Python charm, of another application, whose agent is here; the
	// zero Unit for none.
	PythonUnit juju.Unit
	// Departs tells that the unit's peers are being taken from it, Stopped that it has run
	// stop or remove; and that it has not begun anew.
	Departs, Stopped bool
	// Leftovers tells that the Python charm left something beside the charm's files.
	Leftovers bool
	// Owed are the follow-ups that an earlier hook did not live to do.
	Owed       []step.FollowUp
	Interfaces []Interface
	// DefaultInterface4 and 6 carry the default route of each family; may be empty.
	DefaultInterface4, DefaultInterface6 string
	// Instances is what the daemon reports; none while it does not run.
	Instances []keepalived.InstanceState
	// Tracks are the values of the instances' track files, by instance.
	Tracks map[string]int
	// Unwatched tells that the daemon does not learn when a track file changes.
	Unwatched bool
	// Scarce is what root has none left of, without which neither keepalived nor systemd
	// learns when a file changes; looked for where one of them may lack it.
	Scarce Inotify
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
	// Taken are those of decide.Ports that others have.
	Taken []int
	index *index
}

// Inotify is a kind of what inotify(7) needs, instances or watches, and how many of it root
// may have; none when Limit is 0.
type Inotify struct {
	Kind  string
	Limit int
}

// The kinds.
const (
	InotifyInstances = "instances"
	InotifyWatches   = "watches"
)

// Interface is a network interface with its addresses.
type Interface struct {
	Name string
	// MAC is empty for one that has none.
	MAC string
	// Kind is the kernel's word for one that is made of software, such as bridge,
	// dummy or vlan (IFLA_INFO_KIND); empty for hardware.
	Kind string
	// Master is the interface that it is a port of, such as a bridge or bond, or the VRF that
	// it is in (IFLA_MASTER); empty for none.
	Master string
	// Up tells that it can carry traffic: a bridge without ports cannot.
	Up bool
	// NoARP tells that it answers for none of its addresses (IFF_NOARP), NoIPv6 that the
	// kernel takes no IPv6 address there (sysctl net.ipv6.conf.NAME.disable_ipv6).
	NoARP, NoIPv6 bool
	Addresses     []netip.Prefix
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
	// Metrics is the port at which it serves metrics; 0 for none.
	Metrics int
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

// Barred tells that keepalived does not run and that nothing starts it.
func (m Machine) Barred() bool { return m.Masked && !m.Active }

// Has tells whether an address is on one of the machine's interfaces, but for copies
// that are others'.
func (m Machine) Has(a netip.Addr) bool { return m.HasOutside(a, "") }

// Unfinished tells that a change of what the unit runs takes longer than one hook may
// wait: what was to come of it is not to be told yet.
func (o Observed) Unfinished() bool { return slices.Contains(o.Machine.Owed, step.Unpin) }

// Agreed tells whether what the daemon says of an application's instances and what the
// kernel has fit together. Read one after the other they may not, while the unit takes
// over.
func (m Machine) Agreed(l layout.Layout) bool {
	if m.Unwatched {
		return false // it may just read its files
	}
	m = m.Indexed()
	for _, i := range m.Instances {
		if !l.Owns(i.Name) {
			continue
		}
		if !m.Follows(i) {
			return false
		}
		for _, a := range i.Addresses {
			switch i.State {
			case keepalived.Master:
				if !m.Has(a) {
					return false
				}
			case keepalived.Backup, keepalived.Fault:
				if m.HasOutside(a, "lo") {
					return false
				}
			}
		}
	}
	return true
}

// HasOutside tells whether an address is on another interface than that one.
func (m Machine) HasOutside(a netip.Addr, than string) bool {
	return slices.ContainsFunc(m.Sites(a), func(s site) bool { return s.name != than && !s.others })
}

// HasOn tells whether an address is on that interface.
func (m Machine) HasOn(name string, a netip.Addr) bool {
	return slices.ContainsFunc(m.Sites(a), func(s site) bool { return s.name == name })
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
func (m Machine) Understood(l layout.Layout) Machine {
	texts := Texts{
		Runs: applied.Texts{Record: m.Files[l.Record()], Fragment: m.Files[l.Fragment()], Options: m.Files[l.Options()], Number: l.NumberOf},
		Main: m.Files[layout.MainFile], Checker: m.Files[l.CheckerConfig()], Neighbours: m.Neighbours, Owned: map[string]string{}, Before: layout.MainFile,
		Unit: m.Files[l.Owner()], Shared: map[string]string{layout.MainFile: m.Files[layout.MainFile], layout.SysctlFile: m.Files[layout.SysctlFile]},
	}
	if len(m.Neighbours) == 0 && !m.PythonServes() {
		texts.Runs.Python = m.Files[layout.MainFile]
	}
	maps.Copy(texts.Owned, m.Included)
	if text, ok := m.ForeignText(); ok {
		if _, kept := m.Files[layout.ForeignFile]; kept {
			texts.Before = layout.ForeignFile
		}
		texts.Owned[texts.Before] = text
	}
	m.Configured = Read(texts)
	return m
}
