// Package vrrp holds the arithmetic of the election: which priority a unit
// advertises, given its rank, its health and whether it holds the virtual IPs.
// It does no I/O.
//
// A unit's effective priority is the sum of three parts:
//
//	base(rank)      1..50, distinct for every rank
//	+ HolderWeight  while the unit holds the virtual IPs
//	+ HealthyWeight while its health check passes
//	+ HeldBackWeight instead of both while its service works again, but has not
//	  done so for long
//
// The parts are chosen so that the sums fall into five bands that do not
// overlap, which gives the whole policy by plain VRRP pre-emption:
//
//	sick standby < sick holder < held-back standby < healthy standby < healthy holder
//
// A unit whose service works beats every other, one that can be relied on comes
// first, a holder keeps the addresses among its equals, and an advertised
// priority tells the rank of who sent it.
package vrrp

import "fmt"

// Rank is a unit's place among the units of its group, 0..Ranks-1. No two units
// of a group have the same.
type Rank int

// Priority is a VRRP priority (RFC 9568 section 5.2.4): 1..254 for a unit that
// does not own the address; 0 on the wire means "I release".
type Priority int

const (
	// Ranks is how many distinct ranks there are.
	Ranks = 50
	// Foremost is a base priority above that of every rank: the unit that has it takes
	// the addresses from its equals, the sums keep their order.
	Foremost Priority = Ranks + 1
	// HolderWeight is added while the unit holds the virtual IPs. It exceeds the
	// largest difference between two bases, so equals do not pre-empt a holder.
	HolderWeight = 52
	// HealthyWeight is added while the health check passes. It exceeds
	// HolderWeight plus the largest difference between two bases, so a healthy
	// standby pre-empts a sick holder.
	HealthyWeight = 152
	// HeldBackWeight is added for a standby whose service failed and has not worked
	// for long since. It exceeds what a sick holder has by the largest difference
	// between two bases, and HealthyWeight exceeds it by as much.
	HeldBackWeight = 102
	// StepAside is the adjustment that puts a VRRP instance in the FAULT state:
	// keepalived.conf(5) says so for a track file's value below -253. The holder
	// then advertises priority 0 and the best standby takes over after its skew
	// time alone, instead of waiting for three silent advertisement intervals.
	StepAside = -254
)

// Effective is the priority that an instance advertises with a base priority and a
// track file's value of weight 1: keepalived keeps it within 1..254 (vrrp_scheduler.c,
// vrrp_set_effective_priority).
func Effective(base Priority, adjustment int) Priority {
	return Priority(min(254, max(1, int(base)+adjustment)))
}

// Base is the priority of a sick standby of the given rank. Ranks next to each
// other are at least 5 apart, most of them 10, so that two standbys whose timers
// run out together are parted by more than a packet's way: one step is a 256th
// of the advertisement interval (RFC 9568 section 6.1, Skew_Time). Ranks outside
// 0..Ranks-1 are taken modulo Ranks.
func Base(r Rank) Priority {
	n := int(r) % Ranks
	if n < 0 {
		n += Ranks
	}
	// Rounds of five ranks, ten apart; each round sits in the middle of the
	// widest gap that the rounds before it left.
	offsets := [...]int{0, 5, 2, 7, 3, 8, 1, 6, 4, 9}
	return Priority(Ranks - 10*(n%5) - offsets[n/5])
}

// Policy says which adjustments a unit's condition makes.
type Policy struct {
	// Preempt lets the healthy unit with the highest base hold the addresses:
	// holding them then counts for nothing.
	Preempt bool `json:"preempt"`
	// DropAllUnhealthy takes a sick unit out of the election altogether, so that
	// nobody holds the addresses when every unit is sick.
	DropAllUnhealthy bool `json:"drop_all_unhealthy"`
	// Mixed says that units of the Python charm may be left in the group. The base
	// priority is then MixedBase, and Preempt waits.
	Mixed bool `json:"mixed,omitempty"`
}

// Adjustment is what the unit's condition adds to its base priority: 0 to
// HolderWeight+HealthyWeight, or StepAside.
func (p Policy) Adjustment(healthy, holder bool) int {
	if !healthy && p.DropAllUnhealthy {
		return StepAside
	}
	if p.Mixed {
		return mixedAdjustment(healthy, holder)
	}
	sum := 0
	if healthy {
		sum += HealthyWeight
	}
	if holder && !p.Preempt {
		sum += HolderWeight
	}
	return sum
}

// Condition is what an advertised priority tells about its sender.
type Condition struct {
	Rank    Rank
	Healthy bool
	// HeldBack tells that its service works again, but has not done so for long.
	HeldBack bool
	// Holder tells that the sender counted as holder when it sent; it is false
	// in the first moments of a new holder, and always with Policy.Preempt.
	Holder bool
}

// Read tells the condition behind an effective priority; false when no unit of
// ours advertises such a value.
func Read(p Priority) (Condition, bool) {
	c := Condition{}
	rest := int(p)
	switch {
	case rest > HealthyWeight:
		c.Healthy = true
		rest -= HealthyWeight
	case rest > HeldBackWeight:
		c.Healthy, c.HeldBack = true, true
		rest -= HeldBackWeight
	}
	if rest > HolderWeight && !c.HeldBack {
		c.Holder = true
		rest -= HolderWeight
	}
	for r := Rank(0); r < Ranks; r++ {
		if Base(r) == Priority(rest) {
			c.Rank = r
			return c, true
		}
	}
	return Condition{}, false
}

// VirtualRouterID identifies a virtual router on its network segment, 1..255
// (RFC 9568 section 5.2.3).
type VirtualRouterID int

// LastVirtualRouterID is the highest one.
const LastVirtualRouterID VirtualRouterID = 255

// NewVirtualRouterID returns an error for a number outside 1..255.
func NewVirtualRouterID(n int) (VirtualRouterID, error) {
	if n < 1 || n > int(LastVirtualRouterID) {
		return 0, fmt.Errorf("virtual router ID %d is not in 1-255", n)
	}
	return VirtualRouterID(n), nil
}
