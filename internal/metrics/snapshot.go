// Package metrics is what the charm lets Prometheus know of a unit: a snapshot of what the
// health checker and the hooks know goes in, the text that Prometheus scrapes comes out. The
// table of metrics is also the source of docs/reference/metrics.md. It does no I/O.
package metrics

import (
	"net/netip"
	"time"

	"keepalived-charm/internal/vrrp"
)

// Snapshot is all that is told of a unit at a moment.
type Snapshot struct {
	// Version is that of the charm.
	Version string
	// Up tells that keepalived runs; Restarts counts how often it began anew while the
	// health checker ran.
	Up       bool
	Restarts uint64
	// Paused tells that an operator keeps the unit out of the election, HeldBack that the
	// unit's service failed and has not worked for long enough since.
	Paused, HeldBack bool
	Check            Check
	Instances        []Instance
	// Hook is what the last hook told; nil when none has run since the machine's boot.
	Hook *Hook
}

// Check is what the checks of the service came to.
type Check struct {
	// Type is the option healthcheck_type.
	Type string
	// Verdict is healthy, sick or unknown.
	Verdict string
	// Passes tells that the last check passed; Failures counts those failed in a row.
	Passes   bool
	Failures int
	// Passed and Failed count since the health checker started.
	Passed, Failed uint64
	Duration       Histogram
}

// Role is the unit's part in a VRRP instance.
type Role string

// The roles.
const (
	// Holder: the kernel has the instance's addresses. Standby would take them.
	Holder  Role = "holder"
	Standby Role = "standby"
	// Aside: the unit takes no part, as an operator or the group's protocol has it.
	Aside Role = "aside"
	// Fault: it cannot take part: keepalived does not run, an interface is down, or its check
	// fails and such a unit is to take none.
	Fault Role = "fault"
)

// Roles lists all roles.
func Roles() []Role { return []Role{Holder, Standby, Aside, Fault} }

// state is the number that exporters for keepalived give the state (keepalived's vrrp.h).
func (r Role) state() float64 {
	return map[Role]float64{Standby: 1, Holder: 2, Aside: 3, Fault: 3}[r]
}

// Instance is the unit's part in one VRRP instance.
type Instance struct {
	// Name is the instance's in keepalived.conf, Link the interface on which it advertises.
	Name, Link string
	ID         vrrp.VirtualRouterID
	Role       Role
	// Addresses are the virtual IPs.
	Addresses []Address
	// Adjustment is what the health checker adds to the base priority.
	Adjustment int
	Moves
	// HolderSeen tells that this unit holds, or hears a unit that does.
	HolderSeen bool
	Heard      []Heard
}

// Address is a virtual IP; Present tells that the kernel has it.
type Address struct {
	netip.Addr
	Present bool
}

// Heard is another machine that advertises or did: its last priority, and when that came.
type Heard struct {
	Peer     netip.Addr
	Priority vrrp.Priority
	Last     time.Time
}

// Cause is why an instance moved, in one word.
type Cause string

// The causes.
const (
	// Released: the holder handed over, by an advertisement of priority 0.
	Released Cause = "released"
	// Silent: the holder went silent.
	Silent Cause = "silent"
	// Outranked: one of the two had the higher priority.
	Outranked Cause = "outranked"
	// Alone: no other holder was heard.
	Alone Cause = "alone"
	// CheckFailed, Asked, StandsAside, LinkDown: this unit's check failed, an operator asked
	// for a failover, the unit stands aside, an interface is down.
	CheckFailed Cause = "check_failed"
	Asked       Cause = "asked"
	StandsAside Cause = "aside"
	LinkDown    Cause = "link_down"
	Unknown     Cause = "unknown"
)

// Gains and Losses list why a unit may become holder, and why it may cease to be.
func Gains() []Cause { return []Cause{Released, Silent, Outranked, Alone, Unknown} }

// Losses lists why a unit may cease to be holder.
func Losses() []Cause {
	return []Cause{CheckFailed, Asked, StandsAside, LinkDown, Outranked, Unknown}
}

// Moves counts the moves of one instance that the health checker saw.
type Moves struct {
	// Gained and Lost count by cause.
	Gained, Lost map[Cause]uint64
	// Last is when the last one was; zero before the first.
	Last time.Time
}

// Gain counts that the unit became holder, Lose that it ceased to be.
func (m *Moves) Gain(c Cause, at time.Time) { m.Gained = counted(m.Gained, c); m.Last = at }

// Lose counts that the unit ceased to be holder.
func (m *Moves) Lose(c Cause, at time.Time) { m.Lost = counted(m.Lost, c); m.Last = at }

func counted(counts map[Cause]uint64, c Cause) map[Cause]uint64 {
	// A new map: a snapshot may share the old one.
	all := map[Cause]uint64{c: 1}
	for k, n := range counts {
		all[k] += n
	}
	return all
}

// Histogram counts durations by the least of Bounds that is not below them.
type Histogram struct {
	counts [len(bounds) + 1]uint64
	sum    float64
}

// bounds are in seconds: those of a check on this machine, and of a timeout of a minute.
var bounds = [...]float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60}

// Observe takes in a duration.
func (h *Histogram) Observe(d time.Duration) {
	s, n := d.Seconds(), 0
	for n < len(bounds) && s > bounds[n] {
		n++
	}
	h.counts[n]++
	h.sum += s
}
