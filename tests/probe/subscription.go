package probe

import (
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
)

const (
	// moment is how long the Observer may have lost its place without a hole in the timeline that
	// matters: it is less than one advertisement interval.
	moment = 100 * time.Millisecond
	// patience is how long it tries to find its place again.
	patience = 2 * time.Second
)

// A subscription lasts until the kernel drops messages, or its watch ends.
type subscription struct {
	updates <-chan netlink.AddrUpdate
	drained chan struct{} // closed after the last update
}

// subscribe subscribes first and lists then, so that no change is missed between the two.
func (o *Observer) subscribe(w *watch) (*subscription, error) {
	stop := make(chan struct{})
	updates, err := w.kernel.subscribe(stop, func(err error) { o.fault(w, err) })
	if err != nil {
		return nil, err
	}
	s := &subscription{updates: updates, drained: make(chan struct{})}
	go func() {
		select {
		case <-w.done:
		case <-s.drained:
		}
		close(stop)
	}()
	all, err := w.kernel.list()
	if err != nil {
		close(s.drained)
		go func() {
			for range updates { // else what comes until stop is heeded would hold it up
			}
		}()
		return nil, err
	}
	o.compare(w, all, time.Now())
	return s, nil
}

// run follows a machine until its watch ends.
func (o *Observer) run(w *watch, s *subscription) {
	defer close(w.ended)
	defer w.kernel.close() // of a handle that was only read
	for s != nil {
		for update := range s.updates {
			o.note(w, update.LinkAddress.IP, update.LinkIndex, update.NewAddr, time.Now())
		}
		close(s.drained)
		s = o.resume(w)
	}
}

// resume finds its place again after the kernel dropped messages, as it does when nobody reads them
// for a while on a busy host; nil when that is over. What happened meanwhile counts as happening now.
func (o *Observer) resume(w *watch) *subscription {
	for lost := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if w.over() {
			return nil
		}
		s, err := o.subscribe(w)
		switch away := time.Since(lost); {
		case err == nil && away > moment:
			o.fault(w, fmt.Errorf("messages are missing over %v", away))
			return s
		case err == nil:
			return s
		case away > patience:
			o.fault(w, err)
			return nil
		}
	}
}
