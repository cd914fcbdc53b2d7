package main

import (
	"sync"
	"time"

	"github.com/juju/worker/v3"

	apiwatcher "github.com/juju/juju/api/watcher"
	"github.com/juju/juju/core/watcher"
	"github.com/juju/juju/rpc/params"
	"github.com/juju/juju/worker/uniter"
	"github.com/juju/juju/worker/uniter/remotestate"
)

// updateStatusTimer is Juju's timer for update-status, which the controller can
// also set off.
type updateStatusTimer struct {
	juju    remotestate.UpdateStatusTimerFunc
	watcher watcher.NotifyWatcher
	done    chan struct{} // closed when the watch has ended

	mu      sync.Mutex
	current chan<- time.Time // of the waiter that counts, buffered
}

func newUpdateStatusTimer(c *caller) (*updateStatusTimer, error) {
	var result params.NotifyWatchResult
	if err := c.APICall("Lab", 1, "", "WatchUpdateStatus", nil, &result); err != nil {
		return nil, err
	}
	t := &updateStatusTimer{
		juju:    uniter.NewUpdateStatusTimer(),
		watcher: apiwatcher.NewNotifyWatcher(c, result),
		done:    make(chan struct{}),
	}
	go func() {
		_ = t.watcher.Wait() // the unit worker's own watchers tell why
		close(t.done)
	}()
	go t.loop()
	return t, nil
}

// loop passes the controller's wishes on. The first change of a watcher only
// says that it has started.
func (t *updateStatusTimer) loop() {
	for first := true; ; first = false {
		select {
		case <-t.watcher.Changes():
		case <-t.done:
			return
		}
		if !first {
			t.fire()
		}
	}
}

func (t *updateStatusTimer) fire() {
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case t.current <- time.Now():
	default: // nobody waits yet, or it has gone off already
	}
}

// stop ends the watch; its error has no reader.
func (t *updateStatusTimer) stop() { _ = worker.Stop(t.watcher) }

// signal is the timer that the unit worker asks for.
func (t *updateStatusTimer) signal(wait time.Duration) remotestate.Waiter {
	return &eitherWaiter{t, t.juju(wait)}
}

// eitherWaiter goes off with Juju's waiter or at the controller's wish.
type eitherWaiter struct {
	timer *updateStatusTimer
	juju  remotestate.Waiter
}

// After returns a channel that receives once.
func (w *eitherWaiter) After() <-chan time.Time {
	ch := make(chan time.Time, 1)
	w.timer.mu.Lock()
	w.timer.current = ch
	w.timer.mu.Unlock()
	due := w.juju.After()
	go func() {
		select {
		case at := <-due:
			select {
			case ch <- at:
			default: // the controller was first
			}
		case <-w.timer.done:
		}
	}()
	return ch
}
