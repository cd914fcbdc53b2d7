package controller

import (
	"context"
	"fmt"
)

// upgrade is the upgrade of a machine's base. It locks the machine from prepare to
// complete: between the two no hook runs there.
type upgrade struct {
	target string            // as in ubuntu@24.04/stable
	status map[string]string // by unit, in Juju's words
}

// The states of a unit during an upgrade that it does not enter by itself, and
// those in which it waits.
const (
	prepareStarted   = "prepare started"
	prepareCompleted = "prepare completed"
	completeStarted  = "complete started"
	completed        = "completed"
)

// PrepareUpgrade is juju upgrade-machine ID prepare: every unit on the machine runs
// pre-series-upgrade. It returns when they have.
func (c *Controller) PrepareUpgrade(ctx context.Context, id, target string) error {
	c.mu.Lock()
	m, ok := c.machines[id]
	if !ok || m.upgrade != nil {
		c.mu.Unlock()
		return fmt.Errorf("cannot prepare machine %q for an upgrade: there is none, or it is being upgraded", id)
	}
	m.upgrade = &upgrade{target: target, status: map[string]string{}}
	c.setUpgradeLocked(m, prepareStarted)
	c.mu.Unlock()
	return c.awaitUpgrade(ctx, m, prepareCompleted)
}

// CompleteUpgrade is juju upgrade-machine ID complete: every unit on the machine
// runs post-series-upgrade. It returns when they have.
func (c *Controller) CompleteUpgrade(ctx context.Context, id string) error {
	c.mu.Lock()
	m, ok := c.machines[id]
	if !ok || m.upgrade == nil {
		c.mu.Unlock()
		return fmt.Errorf("cannot complete the upgrade of machine %q: it is not being upgraded", id)
	}
	c.setUpgradeLocked(m, completeStarted)
	c.mu.Unlock()
	if err := c.awaitUpgrade(ctx, m, completed); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.upgrade = nil
	c.changedLocked()
	return nil
}

func (c *Controller) setUpgradeLocked(m *machine, status string) {
	for name, u := range c.units {
		if u.machine == m.id && u.hasAgent {
			m.upgrade.status[name] = status
		}
	}
	c.changedLocked()
}

func (c *Controller) awaitUpgrade(ctx context.Context, m *machine, status string) error {
	err := c.await(ctx, func() bool {
		for _, s := range m.upgrade.status {
			if s != status {
				return false
			}
		}
		return true
	})
	if err != nil {
		return fmt.Errorf("cannot wait for the upgrade of machine %s to be %s: %w", m.id, status, err)
	}
	return nil
}

// upgradeOf is what a unit is told of its machine's upgrade; false when there is
// none.
func (c *Controller) upgradeOf(u *unit) (status, target string, ok bool) {
	if m := c.machines[u.machine]; m != nil && m.upgrade != nil {
		return m.upgrade.status[u.name], m.upgrade.target, true
	}
	return "", "", false
}

func watchUpgrade(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		return r.notify(func() string {
			status, _, _ := r.c.upgradeOf(u)
			return status
		}), nil
	})
}

func upgradeStatus(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		status, target, ok := r.c.upgradeOf(u)
		if !ok {
			return nil, notFound("upgrade series lock for machine", u.machine)
		}
		return map[string]any{"status": status, "target": target}, nil
	})
}

func setUpgradeStatus(r *call) (any, error) {
	var in struct {
		Params []struct {
			Entity struct {
				Tag string `json:"tag"`
			} `json:"entity"`
			Status string `json:"status"`
		} `json:"params"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Params))
	for i, p := range in.Params {
		out[i] = struct{}{}
		m := r.c.machines[r.unit.machine]
		switch {
		case p.Entity.Tag != unitTag(r.unit.name):
			out[i] = failure(errPermission)
		case m == nil || m.upgrade == nil:
			out[i] = failure(notFound("upgrade series lock for machine", r.unit.machine))
		default:
			m.upgrade.status[r.unit.name] = p.Status
			r.c.changedLocked()
		}
	}
	return results(out), nil
}
