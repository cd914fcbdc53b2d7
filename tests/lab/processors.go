package lab

import (
	"context"
	"sync"
	"time"
)

// processors keeps the labs of one process out of each other's way: while one
// measures, another does nothing that takes all processors for long, such as booting
// machines or installing packages.
var processors share

// share knows which labs measure and which toil.
type share struct {
	mu                 sync.Mutex
	measuring, toiling map[*Lab]int
}

const (
	shareLimit = 3 * time.Minute // for labs that wait for each other
	sharePause = 10 * time.Millisecond
)

// measure waits until no other lab toils; the caller calls end.
func (s *share) measure(ctx context.Context, l *Lab) (end func()) {
	return s.take(ctx, l, func() (mine, others map[*Lab]int) { return s.measuring, s.toiling })
}

// toil waits until no other lab measures. A lab that measures may toil at once: that is
// then part of what it measures.
func (s *share) toil(ctx context.Context, l *Lab) (end func()) {
	return s.take(ctx, l, func() (mine, others map[*Lab]int) {
		if s.measuring[l] > 0 {
			return s.toiling, nil
		}
		return s.toiling, s.measuring
	})
}

func (s *share) take(ctx context.Context, l *Lab, lists func() (mine, others map[*Lab]int)) (end func()) {
	for deadline := time.Now().Add(shareLimit); ; time.Sleep(sharePause) {
		s.mu.Lock()
		if s.measuring == nil {
			s.measuring, s.toiling = map[*Lab]int{}, map[*Lab]int{}
		}
		mine, others := lists()
		if !busy(others, l) || time.Now().After(deadline) || ctx.Err() != nil {
			mine[l]++
			s.mu.Unlock()
			return func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				if mine[l]--; mine[l] == 0 {
					delete(mine, l)
				}
			}
		}
		s.mu.Unlock()
	}
}

// busy tells whether another lab than l is on a list.
func busy(list map[*Lab]int, l *Lab) bool {
	return len(list) > 1 || len(list) == 1 && list[l] == 0
}

// Quietly begins a measurement that is not Measure's; the caller calls end.
func (l *Lab) Quietly(ctx context.Context) (end func()) { return processors.measure(ctx, l) }

// Toil begins what takes the processors for long; the caller calls end.
func (l *Lab) Toil(ctx context.Context) (end func()) { return processors.toil(ctx, l) }
