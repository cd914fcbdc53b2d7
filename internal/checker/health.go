package checker

import "time"

// verdict is what the checks say about the service.
type verdict int

const (
	unknown verdict = iota
	sick
	healthy
)

// String is the word for messages and the status file.
func (v verdict) String() string {
	return [...]string{"unknown", "sick", "healthy"}[v]
}

// quickRetry parts a first failure from the next tries: with Fall 3 a dead
// service is known 0.3 s after the first failure, and one that restarts in less
// is not noticed.
const quickRetry = 150 * time.Millisecond

// health counts passes and failures into a verdict. It does no I/O.
type health struct {
	fall, rise     int
	verdict        verdict
	passes, failed int // in a row
}

// observe takes in one result and tells whether it changed the verdict. The
// first pass of an unknown service makes it healthy; it takes fall failures in
// a row to make it sick, and then rise passes in a row to make it healthy.
func (h *health) observe(pass bool) bool {
	before := h.verdict
	if pass {
		h.passes, h.failed = h.passes+1, 0
		if before == unknown || h.passes >= h.rise {
			h.verdict = healthy
		}
	} else {
		h.passes, h.failed = 0, h.failed+1
		if h.failed >= h.fall {
			h.verdict = sick
		}
	}
	return h.verdict != before
}

// retry is the time from the start of a check that failed, or has no answer yet,
// to the start of the next.
func (h *health) retry(interval time.Duration) time.Duration {
	return min(quickRetry, interval)
}

// mayHurry tells whether a hint may bring the next check forward. Not within a
// row of failures: fall failures shall span (fall-1) pauses, or a restart that
// meets both an ordinary check and a hint would count twice.
func (h *health) mayHurry() bool {
	return h.failed == 0 || h.verdict == sick
}
