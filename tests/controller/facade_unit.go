package controller

import (
	"fmt"
	"strconv"
)

func entityLife(r *call) (any, error) {
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
		kind, id, err := parseTag(e.Tag)
		a, u := r.c.apps[id], r.c.units[id]
		switch {
		case err != nil:
			out[i] = failure(err)
		case kind == "application" && a != nil:
			out[i] = map[string]any{"life": a.life}
		case kind == "unit" && u != nil:
			out[i] = map[string]any{"life": u.life}
		default:
			out[i] = failure(notFound(kind, id))
		}
	}
	return results(out), nil
}

// watchEntity watches a unit or an application.
func watchEntity(r *call) (any, error) {
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
		kind, id, err := parseTag(e.Tag)
		a, u := r.c.apps[id], r.c.units[id]
		switch {
		case err != nil:
			out[i] = failure(err)
		case kind == "application" && a != nil:
			out[i] = r.notify(func() string { return strconv.Itoa(a.version) })
		case kind == "unit" && u != nil:
			out[i] = r.notify(func() string { return strconv.Itoa(u.version) })
		default:
			out[i] = failure(notFound(kind, id))
		}
	}
	return results(out), nil
}

func refreshUnit(r *call) (any, error) {
	return r.eachUnit(func(u *unit) (any, error) {
		return map[string]any{"Life": u.life, "Resolved": u.resolved}, nil
	})
}

func assignedMachine(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		return map[string]any{"result": machineTag(u.machine)}, nil
	})
}

func availabilityZone(r *call) (any, error) {
	return r.eachOwn(func(*unit) (any, error) { return map[string]any{"result": ""}, nil })
}

func getPrincipal(r *call) (any, error) {
	return r.eachUnit(func(u *unit) (any, error) {
		if u.principal == "" {
			return map[string]any{"result": "", "ok": false}, nil
		}
		return map[string]any{"result": unitTag(u.principal), "ok": true}, nil
	})
}

func hasSubordinates(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		return map[string]any{"result": len(r.c.subordinatesLocked(u)) > 0}, nil
	})
}

func destroyUnit(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		if u.life == alive {
			u.life = dying
			u.version++
			r.c.changedLocked()
		}
		return struct{}{}, nil
	})
}

func destroySubordinates(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		for _, s := range r.c.subordinatesLocked(u) {
			r.c.destroyUnitLocked(s)
		}
		r.c.changedLocked()
		return struct{}{}, nil
	})
}

func ensureDead(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		if len(r.c.subordinatesLocked(u)) > 0 {
			return nil, &apiError{Message: fmt.Sprintf("unit %q has subordinates", u.name), Code: "unit has subordinates"}
		}
		u.life = dead
		u.version++
		r.c.changedLocked()
		return struct{}{}, nil
	})
}

// removeDead is the machine agent's part of a unit's end.
func removeDead(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		if u.life == alive {
			return nil, &apiError{Message: fmt.Sprintf("cannot remove unit %q: still alive", u.name)}
		}
		r.c.removeUnitLocked(u)
		return struct{}{}, nil
	})
}

func clearResolved(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		u.resolved = ""
		u.version++
		r.c.changedLocked()
		return struct{}{}, nil
	})
}

func meterStatus(r *call) (any, error) {
	return r.eachOwn(func(*unit) (any, error) {
		return map[string]any{"code": "AMBER", "info": "not set"}, nil
	})
}

func noLXDProfile(r *call) (any, error) {
	return r.eachOwn(func(*unit) (any, error) { return map[string]any{"result": false}, nil })
}

func readState(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) { return u.state, nil })
}

type stateArg struct {
	Tag      string             `json:"tag"`
	Charm    *map[string]string `json:"charm-state"`
	Uniter   *string            `json:"uniter-state"`
	Relation *map[int]string    `json:"relation-state"`
	Storage  *string            `json:"storage-state"`
	Secret   *string            `json:"secret-state"`
	Meter    *string            `json:"meter-status-state"`
}

// apply replaces the parts that are given.
func (s *unitState) apply(a stateArg) {
	replace(&s.Charm, a.Charm)
	replace(&s.Uniter, a.Uniter)
	replace(&s.Relation, a.Relation)
	replace(&s.Storage, a.Storage)
	replace(&s.Secret, a.Secret)
	replace(&s.Meter, a.Meter)
}

func replace[T any](dst *T, src *T) {
	if src != nil {
		*dst = *src
	}
}

func writeState(r *call) (any, error) {
	var in struct {
		Args []stateArg `json:"args"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Args))
	for i, a := range in.Args {
		if a.Tag != unitTag(r.unit.name) {
			out[i] = failure(errPermission)
			continue
		}
		r.unit.state.apply(a)
		out[i] = struct{}{}
	}
	return results(out), nil
}
