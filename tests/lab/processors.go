package lab

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// processors keeps the labs of one process out of each other's way: while one
// measures, another does nothing that takes all processors for long, such as booting
// machines or installing packages.
var processors share

// share knows which labs measure, which toil and which wait to toil.
type share struct {
	mu                          sync.Mutex
	measuring, toiling, waiting map[*Lab]int
}

const (
	shareLimit = 3 * time.Minute // for labs that wait for each other
	sharePause = 10 * time.Millisecond
)

// measure waits until no other lab toils or waits to, which would otherwise wait for as
// long as any lab measures; the caller calls end. A lab that measures already does not
// wait.
func (s *share) measure(ctx context.Context, l *Lab) (end func()) {
	return s.take(ctx, l, &s.measuring, func() bool {
		return s.measuring[l] == 0 && (busy(s.toiling, l) || busy(s.waiting, l))
	})
}

// toil waits until no other lab measures. A lab that measures may toil at once: that is
// then part of what it measures.
func (s *share) toil(ctx context.Context, l *Lab) (end func()) {
	defer s.count(&s.waiting, l)()
	return s.take(ctx, l, &s.toiling, func() bool { return s.measuring[l] == 0 && busy(s.measuring, l) })
}

// take counts a lab on a list once it need not wait any more.
func (s *share) take(ctx context.Context, l *Lab, list *map[*Lab]int, wait func() bool) (end func()) {
	for deadline := time.Now().Add(shareLimit); ; time.Sleep(sharePause) {
		s.mu.Lock()
		if !wait() || time.Now().After(deadline) || ctx.Err() != nil {
			defer s.mu.Unlock()
			return s.enter(list, l)
		}
		s.mu.Unlock()
	}
}

// count is enter by a caller that does not have the lock.
func (s *share) count(list *map[*Lab]int, l *Lab) (end func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.enter(list, l)
}

// enter counts a lab on a list until end is called; the caller has the lock.
func (s *share) enter(list *map[*Lab]int, l *Lab) (end func()) {
	if *list == nil {
		*list = map[*Lab]int{}
	}
	(*list)[l]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if (*list)[l]--; (*list)[l] == 0 {
			delete(*list, l)
		}
	}
}

// busy tells whether another lab than l is on a list.
func busy(list map[*Lab]int, l *Lab) bool {
	return len(list) > 1 || len(list) == 1 && list[l] == 0
}

// Quietly begins a measurement that is not Measure's; the caller calls end.
func (l *Lab) Quietly(ctx context.Context) (end func()) {
	defer l.waits.count(&l.waits.others)()
	return processors.measure(ctx, l)
}

// Toil begins what takes the processors for long; the caller calls end.
func (l *Lab) Toil(ctx context.Context) (end func()) {
	defer l.waits.count(&l.waits.others)()
	return processors.toil(ctx, l)
}

// waits are how long a lab has waited for what.
type waits struct {
	mu             sync.Mutex
	settle, others wait
}

type wait struct {
	times int
	took  time.Duration
}

// count begins to wait; the caller calls end.
func (w *waits) count(what *wait) (end func()) {
	began := time.Now()
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		what.times++
		what.took += time.Since(began)
	}
}

// Waited says what this lab has spent waiting.
func (l *Lab) Waited() string {
	l.waits.mu.Lock()
	defer l.waits.mu.Unlock()
	return fmt.Sprintf("%.0f s until Juju was at rest (%d times), %.0f s until other labs gave way (%d times)",
		l.waits.settle.took.Seconds(), l.waits.settle.times, l.waits.others.took.Seconds(), l.waits.others.times)
}
