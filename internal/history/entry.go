// Package history is the unit's journal of moves: what happened to its part in the
// election, when, and why as far as that is known.
//
// It is kept in ring files of fixed size, so it needs no rotation and, once its
// files are there, no free space on the disk. Each file has one kind of writer: the
// health checker, which sees moves as they happen and keeps its file open since it
// was root, and everything that the charm runs as root for a moment. An entry that
// cannot be written is lost; whoever writes goes on.
package history

import "time"

// Event is what happened, in words for people.
type Event string

// The events. The health checker sees those of the first group.
const (
	BecameHolder  Event = "became holder"
	BecameStandby Event = "became standby"
	HolderChanged Event = "holder changed" // among the other units
	CheckFailed   Event = "check failed"   // the verdict turned, after several failures
	CheckPasses   Event = "check passes"
	StandsAside   Event = "stands aside"
	TakesPart     Event = "takes part again"
	Fault         Event = "FAULT" // of the VRRP instance, which needs the interface
	FaultOver     Event = "FAULT is over"

	MachineBooted     Event = "machine booted"
	KeepalivedStarts  Event = "keepalived starts"
	KeepalivedEnded   Event = "keepalived ended"
	Paused            Event = "paused"
	Resumed           Event = "resumed"
	FailoverAsked     Event = "failover asked for"
	RestartAsked      Event = "restart asked for"
	ParametersChanged Event = "parameters changed"
)

// Unknown is the cause of what nobody here saw the cause of.
const Unknown = "unknown"

// TookOver follows the address of who took the virtual IPs with a higher priority.
const TookOver = " took over with priority "

// Entry is one thing that happened.
type Entry struct {
	Time  time.Time `json:"time"`
	Event Event     `json:"event"`
	// Instance is the VRRP instance it happened to; empty for all of this unit's.
	Instance string `json:"instance,omitempty"`
	// Cause is why, Unknown if nobody knows; other units are named by their
	// addresses, each a word of its own.
	Cause string `json:"cause,omitempty"`
	// Peer is the address, or the name, of the other unit concerned.
	Peer string `json:"peer,omitempty"`
	// Again is how often the same happened again, each time soon after the one before,
	// and Last when it did last.
	Again int       `json:"again,omitempty"`
	Last  time.Time `json:"last,omitzero"`
}

// Latest is when it happened last.
func (e Entry) Latest() time.Time {
	if e.Again > 0 {
		return e.Last
	}
	return e.Time
}

// distance is how far from a moment it happened.
func (e Entry) distance(t time.Time) time.Duration {
	if t.After(e.Time) && t.Before(e.Latest()) {
		return 0
	}
	return min(e.Time.Sub(t).Abs(), e.Latest().Sub(t).Abs())
}

// Merge brings the entries of several files into one list, oldest first. Within a
// file the order stays, whatever the clock said.
func Merge(files ...[]Entry) []Entry {
	var all []Entry
	for {
		first := -1
		for n, f := range files {
			if len(f) > 0 && (first < 0 || f[0].Time.Before(files[first][0].Time)) {
				first = n
			}
		}
		if first < 0 {
			return all
		}
		all = append(all, files[first][0])
		files[first] = files[first][1:]
	}
}
