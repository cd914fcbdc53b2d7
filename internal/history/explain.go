package history

import (
	"slices"
	"strings"
	"time"
)

// How far from a move the entry of another writer may lie that explains it: systemd
// tells of keepalived's end after the addresses have gone, and a daemon that changes
// over elects anew.
const (
	near       = 2 * time.Second
	changeover = 6 * time.Second
)

// Explain completes the causes of moves that the health checker could not know from
// what the charm noted at the same time. The list is in the order of time.
func Explain(entries []Entry) {
	for n, e := range entries {
		// Who hands over on purpose lowers its priority first, and is taken over from.
		taken := e.Event == BecameStandby && strings.Contains(e.Cause, TookOver)
		if !taken && (e.Event != BecameHolder && e.Event != BecameStandby || !strings.HasPrefix(e.Cause, Unknown)) {
			continue
		}
		best := -1
		for m, other := range entries {
			distance := other.distance(e.Time)
			if distance <= reach(other.Event, e.Event) && (best < 0 || distance < entries[best].distance(e.Time)) {
				best = m
			}
		}
		if best >= 0 {
			entries[n].Cause = strings.TrimSuffix(string(entries[best].Event)+": "+entries[best].Cause, ": ")
			if taken {
				entries[n].Cause += ", " + e.Cause
			}
		}
	}
}

// reach is how far from a move an event may lie that brings it about by itself;
// negative for one that does not.
func reach(what, move Event) time.Duration {
	switch {
	case what == ParametersChanged:
		return changeover
	case move == BecameStandby && slices.Contains([]Event{KeepalivedEnded, MachineBooted, FailoverAsked, Paused, RestartAsked}, what):
		return near
	}
	return -1
}
