package controller

import (
	"context"
	"fmt"
	"maps"
	"strconv"
	"time"
)

// The states of an action.
const (
	ActionPending   = "pending"
	ActionRunning   = "running"
	ActionAborting  = "aborting"
	ActionCompleted = "completed"
	ActionFailed    = "failed"
	ActionCancelled = "cancelled" // before it ran
	ActionAborted   = "aborted"   // while it ran
)

// ActionResult is what is known of an action.
type ActionResult struct {
	ID        string
	Unit      string
	Name      string
	Status    string
	Message   string         // why it failed
	Results   map[string]any // what action-set left, return-code, stdout and stderr
	Log       []string       // lines of action-log
	Enqueued  time.Time
	Started   time.Time
	Completed time.Time
}

// Done says whether the action has ended in whatever way.
func (r ActionResult) Done() bool {
	switch r.Status {
	case ActionCompleted, ActionFailed, ActionCancelled, ActionAborted:
		return true
	}
	return false
}

type action struct {
	ActionResult
	params  map[string]any
	version int
}

// EnqueueAction asks a unit to run an action and returns the action's id.
// Parameters left out take the defaults of the charm's actions.yaml.
func (c *Controller) EnqueueAction(unit, name string, params map[string]any) (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.units[unit]
	if !ok {
		return "", notFound("unit", unit)
	}
	if !u.hasAgent {
		return "", fmt.Errorf("cannot run action on %s: the unit is model-only", unit)
	}
	spec, ok := c.apps[u.app].charm.Meta.Actions[name]
	if !ok {
		return "", fmt.Errorf("action %q not defined on unit %q", name, unit)
	}
	all := map[string]any{}
	for k, p := range spec.Params {
		if p.Default != nil {
			all[k] = p.Default
		}
	}
	maps.Copy(all, params)
	c.nextAction++
	id := strconv.Itoa(c.nextAction)
	c.actions[id] = &action{params: all, ActionResult: ActionResult{
		ID: id, Unit: unit, Name: name, Status: ActionPending, Enqueued: time.Now(),
	}}
	c.changedLocked()
	return id, nil
}

// Action returns what is known of an action.
func (c *Controller) Action(id string) (ActionResult, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.actions[id]
	if !ok {
		return ActionResult{}, notFound("action", id)
	}
	return a.ActionResult, nil
}

// CancelAction drops a pending action and asks the agent to kill a running one.
func (c *Controller) CancelAction(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.actions[id]
	if !ok {
		return notFound("action", id)
	}
	switch a.Status {
	case ActionPending:
		a.Status, a.Completed = ActionCancelled, time.Now()
	case ActionRunning:
		a.Status = ActionAborting
		a.version++
	default:
		return fmt.Errorf("cannot cancel action %s: it is %s", id, a.Status)
	}
	c.changedLocked()
	return nil
}

// RunAction runs an action and waits for its end. When ctx ends first the action
// is cancelled and what is known of it comes back with the error.
func (c *Controller) RunAction(ctx context.Context, unit, name string, params map[string]any) (ActionResult, error) {
	id, err := c.EnqueueAction(unit, name, params)
	if err != nil {
		return ActionResult{}, err
	}
	err = c.await(ctx, func() bool { return c.actions[id].Done() })
	res, _ := c.Action(id)
	if err != nil {
		if !res.Done() {
			// The action may have ended in between, which is as good.
			_ = c.CancelAction(id)
		}
		return res, fmt.Errorf("cannot wait for action %s on %s: %w", name, unit, err)
	}
	return res, nil
}

func getActions(r *call) (any, error) {
	return r.eachAction(func(a *action) (any, error) {
		if a.Done() {
			return nil, &apiError{Message: "action no longer available", Code: codeActionNotAvailable}
		}
		return map[string]any{"status": a.Status, "action": map[string]any{
			"tag": actionTag(a.ID), "receiver": unitTag(a.Unit), "name": a.Name, "parameters": a.params,
		}}, nil
	})
}

func beginActions(r *call) (any, error) {
	return r.eachAction(func(a *action) (any, error) {
		if a.Status != ActionPending {
			return nil, &apiError{Message: "action no longer available", Code: codeActionNotAvailable}
		}
		a.Status, a.Started = ActionRunning, time.Now()
		r.c.changedLocked()
		return struct{}{}, nil
	})
}

func actionStatus(r *call) (any, error) {
	return r.eachAction(func(a *action) (any, error) {
		return map[string]any{"result": a.Status}, nil
	})
}

func finishActions(r *call) (any, error) {
	var in struct {
		Results []struct {
			Tag     string         `json:"action-tag"`
			Status  string         `json:"status"`
			Results map[string]any `json:"results"`
			Message string         `json:"message"`
		} `json:"results"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Results))
	for i, f := range in.Results {
		a, err := r.action(f.Tag)
		if err != nil {
			out[i] = failure(err)
			continue
		}
		a.Status, a.Results, a.Message, a.Completed = f.Status, f.Results, f.Message, time.Now()
		r.c.changedLocked()
		out[i] = struct{}{}
	}
	return results(out), nil
}

func logActions(r *call) (any, error) {
	var in struct {
		Messages []struct {
			Tag   string `json:"tag"`
			Value string `json:"value"`
		} `json:"messages"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Messages))
	for i, m := range in.Messages {
		a, err := r.action(m.Tag)
		if err != nil {
			out[i] = failure(err)
			continue
		}
		a.Log = append(a.Log, m.Value)
		out[i] = struct{}{}
	}
	return results(out), nil
}
