// Package patience compares limits with the machine that the tests run on: it takes
// another one ten times as long to start a program, and to do everything else that a lab
// does. The measure is taken while the tests run, so what else the machine does counts.
package patience

import (
	"os/exec"
	"slices"
	"sync"
	"time"
)

const (
	// usual is how long the start of a program took, with labs running, where the limits
	// were found good.
	usual = 4 * time.Millisecond
	// most bounds what a slow machine is granted.
	most = 10
	// pace parts two measurements; the upper quartile of the last ones counts: what a
	// limit has to bear is the slow moments.
	pace = time.Second
	last = 21
)

var (
	mu    sync.Mutex
	took  []time.Duration
	began sync.Once
)

// With returns a limit as it is on a machine of usual speed, more on a slower one.
func With(limit time.Duration) time.Duration {
	began.Do(func() {
		for range 5 {
			measure()
		}
		go func() {
			for range time.Tick(pace) {
				measure()
			}
		}()
	})
	mu.Lock()
	defer mu.Unlock()
	return stretch(limit, took)
}

// stretch scales a limit by the upper quartile of measurements.
func stretch(limit time.Duration, took []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	slow := sorted[(len(sorted)-1)*3/4]
	return max(limit, min(most*limit, time.Duration(float64(limit)*float64(slow)/float64(usual))))
}

// measure starts a program that does nothing.
func measure() {
	begin := time.Now()
	_ = exec.Command("/bin/true").Run() // one that does not start takes as long
	mu.Lock()
	defer mu.Unlock()
	took = append(took, time.Since(begin))
	took = took[max(0, len(took)-last):]
}
