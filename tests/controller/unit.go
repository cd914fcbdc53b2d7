package controller

import (
	"fmt"
	"slices"
	"time"
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

// RemoveUnit starts the removal of a principal unit; its subordinate units go
// first. A model-only unit leaves its relations at once.
func (c *Controller) RemoveUnit(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.units[name]
	if !ok {
		return notFound("unit", name)
	}
	if u.principal != "" {
		return fmt.Errorf("cannot remove unit %s: it is a subordinate", name)
	}
	c.destroyUnitLocked(u)
	c.changedLocked()
	return nil
}

// ForceRemoveUnit takes a unit and its subordinates out of the model without
// waiting for any agent, as for a machine that is gone.
func (c *Controller) ForceRemoveUnit(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.units[name]
	if !ok {
		return notFound("unit", name)
	}
	for _, s := range c.subordinatesLocked(u) {
		c.removeUnitLocked(s)
	}
	if c.units[name] != nil {
		c.removeUnitLocked(u)
	}
	c.changedLocked()
	return nil
}

// RemoveApplication starts the removal of an application, its relations and units.
func (c *Controller) RemoveApplication(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.apps[name]
	if !ok {
		return notFound("application", name)
	}
	if a.life == alive {
		a.life = dying
		a.version++
	}
	for _, id := range sortedKeys(c.relations) {
		r := c.relations[id]
		if r == nil {
			continue
		}
		if _, ok := r.endpointOf(name); ok && !r.peer() {
			c.destroyRelationLocked(r)
		}
	}
	for _, n := range sortedKeys(c.units) {
		if u := c.units[n]; u != nil && u.app == name {
			c.destroyUnitLocked(u)
		}
	}
	c.reapApplicationLocked(a)
	c.changedLocked()
	return nil
}

func (c *Controller) subordinatesLocked(u *unit) []*unit {
	var subs []*unit
	for _, name := range sortedKeys(c.units) {
		if s := c.units[name]; s.principal == u.name {
			subs = append(subs, s)
		}
	}
	return subs
}

// destroyUnitLocked makes a unit dying. Units whose agent never came up, and
// units without agent and subordinates, are removed at once.
func (c *Controller) destroyUnitLocked(u *unit) {
	if u.life == alive {
		u.life = dying
		u.version++
	}
	if u.hasAgent {
		if !u.started {
			c.removeUnitLocked(u)
		}
		return
	}
	for _, r := range c.relations {
		c.leaveLocked(r, u)
	}
	for _, s := range c.subordinatesLocked(u) {
		c.destroyUnitLocked(s)
	}
	if c.units[u.name] != nil && len(c.subordinatesLocked(u)) == 0 {
		c.removeUnitLocked(u)
	}
}

// removeUnitLocked takes a unit out of the model.
func (c *Controller) removeUnitLocked(u *unit) {
	for _, r := range c.relations {
		c.leaveLocked(r, u)
	}
	delete(c.units, u.name)
	u.life = dead
	c.recordLocked(Event{Unit: u.name, Kind: UnitRemoved, Name: u.machine})
	a := c.apps[u.app]
	a.lease.drop(u.name)
	if f := c.cfg.OnUnitRemoved; f != nil && u.hasAgent {
		c.callbackLocked(func() { f(u.name, u.machine) })
	}
	if p := c.units[u.principal]; p != nil {
		p.version++
		if p.life == dying && !p.hasAgent && len(c.subordinatesLocked(p)) == 0 {
			c.removeUnitLocked(p)
		}
	}
	c.reapApplicationLocked(a)
	c.changedLocked()
}

// reapApplicationLocked removes a dying application without units and relations.
func (c *Controller) reapApplicationLocked(a *application) {
	if a == nil || a.life != dying || c.apps[a.name] == nil {
		return
	}
	for _, u := range c.units {
		if u.app == a.name {
			return
		}
	}
	var peers []int
	for id, r := range c.relations {
		if _, ok := r.endpointOf(a.name); ok {
			if !r.peer() {
				return
			}
			peers = append(peers, id)
		}
	}
	for _, id := range peers {
		delete(c.relations, id)
	}
	delete(c.apps, a.name)
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

// Status is a status as "juju status" shows it.
type Status struct {
	Status  string
	Message string
	Data    map[string]any
	Since   time.Time
}

// StatusKind tells the two statuses of a unit apart.
type StatusKind string

const (
	// AgentStatus is Juju's own: allocating, executing, idle, error and so on.
	AgentStatus StatusKind = "agent"
	// WorkloadStatus is the charm's: active, blocked, waiting and so on.
	WorkloadStatus StatusKind = "workload"
)

// StatusChange is one entry of a unit's status history.
type StatusChange struct {
	Kind StatusKind
	Status
}

func (c *Controller) setStatusLocked(u *unit, kind StatusKind, status, message string, data map[string]any) {
	s := Status{Status: status, Message: message, Data: data, Since: time.Now()}
	if kind == AgentStatus {
		u.agent = s
	} else {
		u.workload = s
	}
	u.history = append(u.history, StatusChange{kind, s})
	c.recordLocked(Event{Unit: u.name, Kind: StatusSet, Name: string(kind), Detail: status + ": " + message})
	c.changedLocked()
}

// StatusHistory returns every status a unit had, oldest first.
func (c *Controller) StatusHistory(unit string) ([]StatusChange, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.units[unit]
	if !ok {
		return nil, notFound("unit", unit)
	}
	return slices.Clone(u.history), nil
}
