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

const (
	// quickRetry parts a first failure from the next tries: with Fall 3 a service that fails
	// is known 0.3 s after the first failure, and one that is well again in less is not noticed.
	quickRetry = 150 * time.Millisecond
	// refusedRetry does so where nobody listened, about which the kernel is not mistaken: with
	// Fall 3 a service that systemd restarts within 0.2 s is not noticed.
	refusedRetry = 100 * time.Millisecond
)

// health counts passes and failures into a verdict. It does no I/O.
type health struct {
	fall, rise     int
	verdict        verdict
	passes, failed int // in a row
	// refused tells that nobody listened at the last check.
	refused bool
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
	if h.refused {
		return min(refusedRetry, interval)
	}
	return min(quickRetry, interval)
}

// mayHurry tells whether a hint may bring the next check forward. Not within a
// row of failures: fall failures shall span (fall-1) pauses, or a restart that
// meets both an ordinary check and a hint would count twice.
func (h *health) mayHurry() bool {
	return h.failed == 0 || h.verdict == sick
}
