package wire

import (
	"errors"
	"sync"
)

// Reporter sends reports to the controller in order. Reports made while there is
// no session wait for the next one.
type Reporter struct {
	mu    sync.Mutex
	queue []Report
	wake  chan struct{}
}

// NewReporter returns a Reporter without a session.
func NewReporter() *Reporter { return &Reporter{wake: make(chan struct{}, 1)} }

// Send queues a report; it never blocks.
func (r *Reporter) Send(rep Report) {
	r.mu.Lock()
	r.queue = append(r.queue, rep)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run delivers reports through a session until it ends.
func (r *Reporter) Run(s *Session) {
	for {
		r.mu.Lock()
		var next *Report
		if len(r.queue) > 0 {
			next = &r.queue[0]
		}
		r.mu.Unlock()
		if next == nil {
			select {
			case <-r.wake:
			case <-s.Done():
				return
			}
			continue
		}
		if err := s.Call("Lab", 1, "", "Event", next, nil); errors.Is(err, ErrLost) || s.ctx.Err() != nil {
			return
		}
		r.mu.Lock()
		r.queue = r.queue[1:] // delivered, or refused for good
		r.mu.Unlock()
	}
}
