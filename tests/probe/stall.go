package probe

import (
	"context"
	"sync"
	"time"
)

// stallAtLeast is how late the prober has to wake up to count as held up: a busy
// machine is late by some milliseconds all the time.
const stallAtLeast = 250 * time.Millisecond

// stallTick is how often the prober wakes up to see that it does.
const stallTick = 50 * time.Millisecond

// stalls notes when the prober itself did not get to run: what timed out then says
// nothing about the target.
type stalls struct {
	mu   sync.Mutex
	list []Gap
}

// watch notes stalls until ctx ends.
func (s *stalls) watch(ctx context.Context) {
	ticker := time.NewTicker(stallTick)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		s.note(last, now)
		last = now
	}
}

// note takes in two moments in which the prober ran, one after the other.
func (s *stalls) note(last, now time.Time) {
	if now.Sub(last) < stallAtLeast {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.list = append(s.list, Gap{From: last, To: now})
}

// during tells whether the prober was held up in a span of time.
func (s *stalls) during(from, to time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.list {
		if g.From.Before(to) && g.To.After(from) {
			return true
		}
	}
	return false
}
