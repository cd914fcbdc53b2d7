package controller

import (
	"fmt"
)

// wireRelation renders a relation as one of its applications sees it. Facade
// version 20 (Juju 3.6) made other-application an object.
func (r *call) wireRelation(rel *relation) any {
	e, _ := rel.endpointOf(r.unit.app)
	var other any = rel.other(r.unit.app)
	if r.version >= 20 {
		other = map[string]any{"application-name": other, "model-uuid": r.c.cfg.ModelUUID}
	}
	return map[string]any{
		"id": rel.id, "key": rel.key, "life": rel.life, "other-application": other,
		"endpoint": map[string]any{"application-name": e.app, "relation": map[string]any{
			"name": e.Name, "role": e.Role, "interface": e.Interface,
			"optional": e.Optional, "limit": e.Limit, "scope": rel.scope,
		}},
	}
}

// eachRelation runs f for every relation-and-unit pair in the arguments.
func (r *call) eachRelation(f func(*relation, *unit) (any, error)) (any, error) {
	var in struct {
		Pairs []struct {
			Relation string `json:"relation"`
			Unit     string `json:"unit"`
		} `json:"relation-units"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Pairs))
	for i, p := range in.Pairs {
		rel, err := r.relation(p.Relation)
		if err == nil && p.Unit != unitTag(r.unit.name) {
			err = errPermission
		}
		if err == nil {
			out[i], err = f(rel, r.unit)
		}
		if err != nil {
			out[i] = failure(err)
		}
	}
	return results(out), nil
}

func relationByTag(r *call) (any, error) {
	return r.eachRelation(func(rel *relation, _ *unit) (any, error) { return r.wireRelation(rel), nil })
}

func relationByID(r *call) (any, error) {
	var in struct {
		IDs []int `json:"relation-ids"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.IDs))
	for i, id := range in.IDs {
		if rel := r.c.relations[id]; rel != nil && r.c.visibleLocked(rel, r.unit) {
			out[i] = r.wireRelation(rel)
		} else {
			out[i] = failure(errPermission)
		}
	}
	return results(out), nil
}

func relationsStatus(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		list := []any{}
		for _, id := range sortedKeys(r.c.relations) {
			if rel := r.c.relations[id]; r.c.visibleLocked(rel, u) {
				list = append(list, map[string]any{
					"relation-tag": relationTag(rel.key), "in-scope": rel.members[u.name],
				})
			}
		}
		return map[string]any{"results": list}, nil
	})
}

func watchRelations(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		return r.strings(func() map[string]string {
			s := map[string]string{}
			for _, rel := range r.c.relations {
				if r.c.visibleLocked(rel, u) {
					s[rel.key] = fmt.Sprint(rel.id, rel.life)
				}
			}
			return s
		}), nil
	})
}

func watchRelationUnits(r *call) (any, error) {
	return r.eachRelation(func(rel *relation, _ *unit) (any, error) { return r.relationUnits(rel), nil })
}

func enterScope(r *call) (any, error) {
	return r.eachRelation(func(rel *relation, u *unit) (any, error) {
		return struct{}{}, r.c.enterLocked(rel, u)
	})
}

func leaveScope(r *call) (any, error) {
	return r.eachRelation(func(rel *relation, u *unit) (any, error) {
		r.c.leaveLocked(rel, u)
		return struct{}{}, nil
	})
}

func wireSettings(d *databag) any { return map[string]any{"settings": d.values} }

func readOwn(r *call) (any, error) {
	return r.eachRelation(func(rel *relation, u *unit) (any, error) {
		d := rel.data[u.name]
		if d == nil {
			return nil, settingsNotFound(rel, u.name)
		}
		return wireSettings(d), nil
	})
}

func settingsNotFound(rel *relation, unit string) error {
	return &apiError{
		Message: fmt.Sprintf("cannot read settings for unit %q in relation %q: unit %q: settings not found", unit, rel.key, unit),
		Code:    codeNotFound,
	}
}

func readOwnApplication(r *call) (any, error) {
	var in struct {
		Relation string `json:"relation"`
		Unit     string `json:"unit"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	rel, err := r.relation(in.Relation)
	if err == nil && (in.Unit != unitTag(r.unit.name) || r.c.leaderLocked(r.c.apps[r.unit.app]) != r.unit.name) {
		err = errPermission
	}
	if err != nil {
		return failure(err), nil
	}
	return wireSettings(rel.appData[r.unit.app]), nil
}

// readRemote reads the databag of another unit or application in a relation.
func readRemote(r *call) (any, error) {
	var in struct {
		Pairs []struct {
			Relation string `json:"relation"`
			Local    string `json:"local-unit"`
			Remote   string `json:"remote-unit"`
		} `json:"relation-unit-pairs"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Pairs))
	for i, p := range in.Pairs {
		d, err := r.remoteBag(p.Relation, p.Remote)
		if err != nil {
			out[i] = failure(err)
			continue
		}
		out[i] = wireSettings(d)
	}
	return results(out), nil
}

func (r *call) remoteBag(relTag, remote string) (*databag, error) {
	rel, err := r.relation(relTag)
	if err != nil {
		return nil, err
	}
	kind, id, err := parseTag(remote)
	if err != nil {
		return nil, err
	}
	if kind == "application" {
		if d := rel.appData[id]; d != nil && (rel.peer() || id != r.unit.app) {
			return d, nil
		}
		return nil, errPermission
	}
	if _, ok := rel.endpointOf(applicationOf(id)); !ok {
		return nil, errPermission
	}
	d := rel.data[id]
	if d == nil {
		return nil, settingsNotFound(rel, id)
	}
	if m := r.c.units[id]; m != nil && rel.scope == Container && principalOf(m) != principalOf(r.unit) {
		return nil, errPermission
	}
	return d, nil
}
