package controller

import (
	"slices"
	"time"
)

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
