package host

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/segment"
)

// Look listens and asks on the segments that the question names.
func (h *Host) Look(q conflict.Question) (conflict.Look, error) { return segment.Look(q), nil }

const (
	// watchPace parts two looks, watchPatience bounds one.
	watchPace     = 5 * time.Millisecond
	watchPatience = 25 * time.Millisecond
	// watchEnd bounds how long the end is put off until somebody answers.
	watchEnd = 5 * time.Second
)

// Watch looks at an address and port again and again. The returned function ends
// that, once somebody answers or watchEnd has passed, and tells the longest time
// from the start of a look that failed to the start of the next good one. A
// refused connection is an answer.
func (h *Host) Watch(target netip.AddrPort) func() (silent time.Duration, answers bool) {
	stop, ended := make(chan struct{}), make(chan struct{})
	var longest time.Duration
	good := false
	go func() {
		defer close(ended)
		var failed, deadline time.Time
		for {
			now := time.Now()
			good = answer(target)
			switch {
			case !good && failed.IsZero():
				failed = now
			case good && !failed.IsZero():
				longest, failed = max(longest, now.Sub(failed)), time.Time{}
			}
			select {
			case <-stop:
				if deadline.IsZero() {
					deadline = time.Now().Add(watchEnd)
				}
				if good || time.Now().After(deadline) {
					return
				}
				time.Sleep(watchPace)
			case <-time.After(watchPace):
			}
		}
	}()
	return func() (time.Duration, bool) {
		close(stop)
		<-ended
		return longest, good
	}
}

func answer(target netip.AddrPort) bool {
	c, err := net.DialTimeout("tcp", target.String(), watchPatience)
	if err == nil {
		c.Close()
	}
	return err == nil || errors.Is(err, syscall.ECONNREFUSED)
}
