package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"keepalived-charm/tests/controller/wire"
)

// EventKind is what an event tells of.
type EventKind string

const (
	// HookBegin and HookEnd enclose a hook; Detail of the end is its error.
	HookBegin EventKind = "hook-begin"
	HookEnd   EventKind = "hook-end"
	// ActionBegin and ActionEnd enclose an action.
	ActionBegin EventKind = "action-begin"
	ActionEnd   EventKind = "action-end"
	// CommandsBegin and CommandsEnd enclose commands of juju-exec.
	CommandsBegin EventKind = "commands-begin"
	CommandsEnd   EventKind = "commands-end"
	// StatusSet is a status written; Name is "agent" or "workload".
	StatusSet EventKind = "status"
	// UnitAdded and UnitRemoved carry the machine in Name.
	UnitAdded   EventKind = "unit-added"
	UnitRemoved EventKind = "unit-removed"
	// AgentConnected and AgentLost tell of the agent's connection.
	AgentConnected EventKind = "agent-connected"
	AgentLost      EventKind = "agent-lost"
)

// Event is one thing that happened in the model or in an agent.
type Event struct {
	Time       time.Time
	Unit       string
	Kind       EventKind
	Name       string        // hook or action name, status kind, machine
	Relation   string        // endpoint:id, of relation hooks
	RemoteUnit string        // of relation hooks
	RemoteApp  string        // of relation hooks
	Duration   time.Duration // at the end of a hook, action or commands; nanoseconds
	Detail     string        // error, or status and message
	Missing    bool          // the charm does not have this hook
}

func (c *Controller) recordLocked(e Event) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	c.events = append(c.events, e)
	if f := c.cfg.OnEvent; f != nil {
		c.callbackLocked(func() { f(e) })
	}
}

// Calls counts the API calls of each unit's agent since the model was made, by method,
// without those that wait for something to happen.
func (c *Controller) Calls() map[string]map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := map[string]map[string]int{}
	for unit, calls := range c.calls {
		all[unit] = maps.Clone(calls)
	}
	return all
}

// Events returns everything that happened, oldest first.
func (c *Controller) Events() []Event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

// Hooks returns the names of the hooks a unit ran to their end since a time, in
// order, hooks the charm does not have left out; failed ones are included.
func (c *Controller) Hooks(unit string, since time.Time) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for _, e := range c.events {
		if e.Unit == unit && e.Kind == HookEnd && !e.Missing && !e.Time.Before(since) {
			names = append(names, e.Name)
		}
	}
	return names
}

// agentEvent takes an event reported by an agent.
func agentEvent(r *call) (any, error) {
	var in wire.Report
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	e := Event{
		Time: in.Time, Unit: r.unit.name, Kind: EventKind(in.Kind), Name: in.Name,
		Relation: in.Relation, RemoteUnit: in.RemoteUnit, RemoteApp: in.RemoteApp,
		Duration: in.Duration, Detail: in.Detail, Missing: in.Missing,
	}
	switch e.Kind {
	case HookBegin, ActionBegin, CommandsBegin:
		r.unit.running++
	case HookEnd, ActionEnd, CommandsEnd:
		r.unit.running = max(0, r.unit.running-1)
	default:
		return nil, &apiError{Message: "agents report hooks, actions and commands only", Code: codeBadRequest}
	}
	r.c.recordLocked(e)
	r.c.changedLocked()
	return struct{}{}, nil
}

// WaitEvent blocks until there is an event, at or after since, that match accepts,
// and returns the first.
func (c *Controller) WaitEvent(ctx context.Context, since time.Time, match func(Event) bool) (Event, error) {
	var found Event
	err := c.await(ctx, func() bool {
		for _, e := range c.events {
			if !e.Time.Before(since) && match(e) {
				found = e
				return true
			}
		}
		return false
	})
	if err != nil {
		return Event{}, fmt.Errorf("cannot wait for event: %w", err)
	}
	return found, nil
}
