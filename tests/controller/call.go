package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// call is one API call of an agent. Handlers run with the controller's lock held;
// only wait lets go of it.
type call struct {
	c       *Controller
	ctx     context.Context
	session *session
	unit    *unit
	version int // of the facade
	id      string
	args    json.RawMessage
}

type handler func(*call) (any, error)

func (r *call) decode(into any) error {
	if len(r.args) == 0 || string(r.args) == "null" {
		return nil
	}
	if err := json.Unmarshal(r.args, into); err != nil {
		return &apiError{Message: fmt.Sprintf("cannot decode arguments: %v", err), Code: codeBadRequest}
	}
	return nil
}

// wait releases the lock until the model changes, the session ends or, when it is
// not zero, d has passed.
func (r *call) wait(d time.Duration) error {
	changed := r.c.changed
	r.c.mu.Unlock()
	defer r.c.mu.Lock()
	var timeout <-chan time.Time
	if d > 0 {
		t := time.NewTimer(d)
		defer t.Stop()
		timeout = t.C
	}
	select {
	case <-changed:
	case <-timeout:
	case <-r.session.ended:
		return &apiError{Message: "watcher was stopped", Code: codeStopped}
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
	return nil
}

// failure wraps an error as the result for one entity.
func failure(err error) any {
	e, ok := err.(*apiError)
	if !ok {
		e = &apiError{Message: err.Error()}
	}
	return map[string]any{"error": e}
}

func results(list []any) any { return map[string]any{"results": list} }

// eachTag runs f for the id of every entity in the arguments, which must all be
// of one kind.
func (r *call) eachTag(kind string, f func(id string) (any, error)) (any, error) {
	var in struct {
		Entities []struct {
			Tag string `json:"tag"`
		} `json:"entities"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Entities))
	for i, e := range in.Entities {
		got, id, err := parseTag(e.Tag)
		if err == nil && got != kind {
			err = errPermission
		}
		if err == nil {
			out[i], err = f(id)
		}
		if err != nil {
			out[i] = failure(err)
		}
	}
	return results(out), nil
}

func (r *call) eachUnit(f func(*unit) (any, error)) (any, error) {
	return r.eachTag("unit", func(name string) (any, error) {
		u, ok := r.c.units[name]
		if !ok {
			return nil, notFound("unit", name)
		}
		return f(u)
	})
}

// eachOwn is eachUnit for calls that a unit may make for itself only.
func (r *call) eachOwn(f func(*unit) (any, error)) (any, error) {
	return r.eachUnit(func(u *unit) (any, error) {
		if u != r.unit {
			return nil, errPermission
		}
		return f(u)
	})
}

func (r *call) eachApplication(f func(*application) (any, error)) (any, error) {
	return r.eachTag("application", func(name string) (any, error) {
		a, ok := r.c.apps[name]
		if !ok {
			return nil, notFound("application", name)
		}
		return f(a)
	})
}

func (r *call) eachAction(f func(*action) (any, error)) (any, error) {
	return r.eachTag("action", func(id string) (any, error) {
		a, err := r.action(actionTag(id))
		if err != nil {
			return nil, err
		}
		return f(a)
	})
}

func (r *call) application(tag string) (*application, error) {
	_, name, err := parseTag(tag)
	if err != nil {
		return nil, err
	}
	a, ok := r.c.apps[name]
	if !ok {
		return nil, notFound("application", name)
	}
	return a, nil
}

// action finds an action of the calling unit.
func (r *call) action(tag string) (*action, error) {
	_, id, err := parseTag(tag)
	if err != nil {
		return nil, err
	}
	a, ok := r.c.actions[id]
	if !ok || a.Unit != r.unit.name {
		return nil, notFound("action", id)
	}
	return a, nil
}

// relation finds a relation that the calling unit takes part in.
func (r *call) relation(tag string) (*relation, error) {
	_, key, err := parseTag(tag)
	if err != nil {
		return nil, err
	}
	rel := r.c.relationByKey(key)
	if rel == nil || !r.c.visibleLocked(rel, r.unit) {
		return nil, errPermission
	}
	return rel, nil
}
