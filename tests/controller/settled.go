package controller

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// quiet is how long nothing may have happened for the model to be settled.
const quiet = 600 * time.Millisecond

// await blocks until cond, called with the lock held, is true or ctx ends.
func (c *Controller) await(ctx context.Context, cond func() bool) error {
	for {
		c.mu.Lock()
		ok, changed := cond(), c.changed
		c.mu.Unlock()
		if ok {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Wait blocks until cond holds for the model or ctx ends; cond must not call back
// into the controller. what names the thing
// waited for in the error.
func (c *Controller) Wait(ctx context.Context, what string, cond func(Snapshot) bool) error {
	err := c.await(ctx, func() bool { return cond(c.snapshotLocked()) })
	if err != nil {
		return fmt.Errorf("cannot wait for %s: %w", what, err)
	}
	return nil
}

// Settled blocks until every unit that has an agent on a running machine is idle
// or in error, no change is undelivered, nothing runs, and nothing has happened
// for 0.4 s. If ctx ends first the error says what was going on.
func (c *Controller) Settled(ctx context.Context) error {
	for {
		c.mu.Lock()
		busy := c.busyLocked()
		rest := quiet - time.Since(c.activity)
		changed := c.changed
		c.mu.Unlock()
		if len(busy) == 0 && rest <= 0 {
			return nil
		}
		if len(busy) > 0 || rest < 10*time.Millisecond {
			rest = 10 * time.Millisecond
		}
		timer := time.NewTimer(rest)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("cannot settle (%s): %w", strings.Join(busy, "; "), ctx.Err())
		}
		timer.Stop()
	}
}

// busyLocked says of every unit that is not at rest why.
func (c *Controller) busyLocked() []string {
	var busy []string
	for _, name := range sortedKeys(c.units) {
		u := c.units[name]
		if !u.hasAgent || c.machines[u.machine] != nil && c.machines[u.machine].down {
			continue
		}
		if why := c.whyBusyLocked(u); why != "" {
			busy = append(busy, name+" "+why)
		}
	}
	return busy
}

func (c *Controller) whyBusyLocked(u *unit) string {
	s := c.sessions[u.name]
	if s == nil {
		return "has no agent"
	}
	if u.running > 0 {
		return "runs something"
	}
	failed := u.agent.Status == "error"
	if u.agent.Status != "idle" && !failed {
		return "is " + u.agent.Status
	}
	if u.life != alive && !failed {
		return "is " + string(u.life)
	}
	for _, w := range s.watchers {
		if w.pending() {
			return "has a change coming"
		}
		if w.takingIn() && !failed {
			return "takes a change in"
		}
	}
	for _, a := range c.actions {
		if a.Unit == u.name && !a.Done() {
			return "has action " + a.Name
		}
	}
	if c.apps[u.app].lease.successor == u.name {
		return "is about to lead"
	}
	return ""
}
