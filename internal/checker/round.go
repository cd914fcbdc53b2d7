package checker

import (
	"context"
	"time"
)

// round is a group of checks that together answer once: the first that passes, or
// enough failures in a row. A check that is not answered soon is joined by more,
// so that a hanging service is known to hang after its timeout and a little, not
// after a timeout for each failure. It does no I/O.
type round struct {
	// ctx ends with the round: what its checks still bring is void.
	ctx context.Context
	end context.CancelFunc
	// started counts the round's checks, running those without an outcome.
	started, running int
	// last is when the last check began.
	last time.Time
	// had are the connections that the service had taken at listed, while others waited; nil
	// where there is no such list.
	had    connections
	listed time.Time
}

// slowShare is the part of a check's timeout after which an unanswered one is
// joined by another. A service that always answers sooner is asked once.
const slowShare = 5

// begin takes in that a check begins.
func (r *round) begin(parent context.Context, now time.Time) {
	if r.started == 0 {
		r.ctx, r.end = context.WithCancel(parent)
	}
	r.started++
	r.running++
	r.last = now
}

// over ends the round.
func (r *round) over() {
	if r.end != nil {
		r.end()
	}
	*r = round{}
}

// join is when the next check of the round begins although others have no outcome
// yet, at the earliest.
func (r *round) join(timeout, pause time.Duration) time.Time {
	if r.started == 1 && r.running == 1 {
		return r.last.Add(max(pause, timeout/slowShare))
	}
	return r.last.Add(pause)
}
