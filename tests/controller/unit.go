package controller

import (
	"fmt"
)

type unit struct {
	name      string
	app       string
	machine   string
	principal string // unit name; empty for a principal unit
	hasAgent  bool
	life      life
	version   int
	resolved  string // "", retry-hooks or no-hooks

	charm           *revision // what the agent has installed; nil before
	held            *hold     // nil unless the agent is to hear of no refresh
	started         bool      // an agent has connected once
	agent, workload Status
	history         []StatusChange
	workloadVersion string
	ports           []portRange
	state           unitState
	running         int // hooks, actions and commands that run now
}

// unitState is what the agent and the charm keep with the controller.
type unitState struct {
	Charm    map[string]string `json:"charm-state,omitempty"`
	Uniter   string            `json:"uniter-state,omitempty"`
	Relation map[int]string    `json:"relation-state,omitempty"`
	Storage  string            `json:"storage-state,omitempty"`
	Secret   string            `json:"secret-state,omitempty"`
	Meter    string            `json:"meter-status-state,omitempty"`
}

// AddUnit adds a principal unit on a machine and returns its name. It joins the
// relations of its application, so its subordinate units appear with it.
func (c *Controller) AddUnit(app, machine string) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.apps[app]
	if !ok {
		return "", notFound("application", app)
	}
	if _, ok := c.machines[machine]; !ok {
		return "", notFound("machine", machine)
	}
	if a.life != alive {
		return "", fmt.Errorf("cannot add unit to %s: application is being removed", app)
	}
	if a.charm.Meta.Subordinate {
		return "", fmt.Errorf("cannot add unit to %s: application is a subordinate", app)
	}
	u := c.newUnitLocked(a, machine, "")
	c.changedLocked()
	return u.name, nil
}

// newUnitLocked creates a unit; principal is empty for a principal unit.
func (c *Controller) newUnitLocked(a *application, machine, principal string) *unit {
	u := &unit{
		name: fmt.Sprintf("%s/%d", a.name, a.nextUnit), app: a.name, machine: machine,
		principal: principal, hasAgent: !a.modelOnly(), life: alive,
	}
	a.nextUnit++
	c.units[u.name] = u
	if u.hasAgent {
		c.setStatusLocked(u, AgentStatus, "allocating", "", nil)
		c.setStatusLocked(u, WorkloadStatus, "waiting", "installing agent", nil)
		if f := c.cfg.OnUnitAdded; f != nil {
			c.callbackLocked(func() { f(u.name, machine) })
		}
	} else {
		c.setStatusLocked(u, AgentStatus, "idle", "", nil)
		c.setStatusLocked(u, WorkloadStatus, "active", "", nil)
		for _, id := range sortedKeys(c.relations) {
			if r := c.relations[id]; r.life == alive && c.visibleLocked(r, u) {
				// Refused only while an earlier subordinate is on its way out.
				_ = c.enterLocked(r, u)
			}
		}
	}
	c.recordLocked(Event{Unit: u.name, Kind: UnitAdded, Name: machine})
	return u
}

// Resolve clears a unit's hook error: retry runs the failed hook again now,
// otherwise the hook counts as done ("juju resolved --no-retry").
func (c *Controller) Resolve(name string, retry bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.units[name]
	if !ok {
		return notFound("unit", name)
	}
	if u.agent.Status != "error" {
		return fmt.Errorf("cannot resolve %s: unit is not in an error state", name)
	}
	u.resolved = "no-hooks"
	if retry {
		u.resolved = "retry-hooks"
	}
	u.version++
	c.changedLocked()
	return nil
}
