package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/juju/names/v5"

	"github.com/juju/juju/core/life"
	"github.com/juju/juju/core/multiwatcher"
	"github.com/juju/juju/core/presence"
	"github.com/juju/juju/core/status"
	"github.com/juju/juju/state"
)

// Settled waits until nothing of the model is on its way: nothing is about to be assigned or
// removed, no action is pending, and every unit's agent is connected and idle, or in hook
// error, but for those on machines that are down. That counts once it was so for a while in
// which nothing changed in the model and no agent asked anything: an agent that is told of a
// change says so only when it begins its hook.
func (c *Controller) Settled(ctx context.Context, quiet time.Duration, down []string) error {
	const pace = 50 * time.Millisecond
	tick := time.NewTicker(pace)
	defer tick.Stop()
	began := time.Now() // what has just been asked for may not be in the view yet
	for {
		why, err := c.unsettled(down)
		if err != nil {
			return fmt.Errorf("cannot look at the model: %w", err)
		}
		if why != "" {
			began = time.Now()
		} else if time.Since(latest(began, c.view.last(), c.activity.last())) >= quiet {
			return nil
		} else {
			why = "agents ask or change something again and again"
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the model is not settled: %s: %w", why, context.Cause(ctx))
		}
	}
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// unsettled says what is on its way; nothing of it is "".
func (c *Controller) unsettled(down []string) (string, error) {
	connected := c.presence.Connections().ForModel(c.modelUUID)
	m := c.view
	m.mu.Lock()
	defer m.mu.Unlock()
	down = slices.DeleteFunc(slices.Clone(down), func(id string) bool { return !m.hasMachineLocked(id) })
	var why []string
	for id, entity := range m.entities {
		var is string
		switch e := entity.(type) {
		case *multiwatcher.UnitInfo:
			is = unitUnsettled(e, down, connected)
		case *multiwatcher.ActionInfo:
			if e.Status == string(state.ActionPending) || e.Status == string(state.ActionRunning) ||
				e.Status == string(state.ActionAborting) {
				if unit, ok := m.unitLocked(e.Receiver); !ok || !slices.Contains(down, unit.MachineID) {
					is = e.Status
				}
			}
		case *multiwatcher.ApplicationInfo:
			if e.Life != life.Alive && !m.remainsOnLocked(e.Name, down) {
				is = string(e.Life)
			}
		case *multiwatcher.MachineInfo:
			if !slices.Contains(down, e.ID) && (e.Life != life.Alive || e.InstanceID == "") {
				is = string(e.Life) + " " + string(e.AgentStatus.Current)
			}
		}
		if is != "" {
			why = append(why, fmt.Sprintf("%s %s is %s", id.Kind, id.ID, strings.TrimSpace(is)))
		}
	}
	if len(down) == 0 && len(why) == 0 {
		cleaning, err := c.model.NeedsCleanup()
		if err != nil {
			return "", err
		}
		if cleaning {
			why = append(why, "something is cleaned up")
		}
	}
	slices.Sort(why)
	return strings.Join(why, ", "), nil
}

func unitUnsettled(u *multiwatcher.UnitInfo, down []string, connected presence.Connections) string {
	if u.MachineID != "" && slices.Contains(down, u.MachineID) {
		return ""
	}
	if u.AgentStatus.Current == status.Error || u.WorkloadStatus.Current == status.Error {
		return ""
	}
	if u.Life != life.Alive {
		return string(u.Life)
	}
	if u.AgentStatus.Current != status.Idle {
		return string(u.AgentStatus.Current)
	}
	if s, err := connected.AgentStatus(names.NewUnitTag(u.Name).String()); err != nil || s != presence.Alive {
		return "not connected"
	}
	return ""
}
