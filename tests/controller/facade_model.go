package controller

import (
	"strconv"
)

func constant(v any) handler {
	return func(*call) (any, error) { return v, nil }
}

func noResults(*call) (any, error) { return results([]any{}), nil }

// acceptArgs answers success for each of the arguments.
func acceptArgs(r *call) (any, error) {
	var in struct {
		Args []struct{} `json:"args"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Args))
	for i := range out {
		out[i] = struct{}{}
	}
	return results(out), nil
}

func acceptEntities(r *call) (any, error) {
	return r.eachOwn(func(*unit) (any, error) { return struct{}{}, nil })
}

func watchNothing(r *call) (any, error) {
	return r.eachTag("unit", func(string) (any, error) { return r.silent(), nil })
}

func watchNothingOne(r *call) (any, error) { return r.silent(), nil }

func noStorage(r *call) (any, error) {
	return r.eachOwn(func(*unit) (any, error) {
		return map[string]any{"result": map[string]any{"ids": []any{}}}, nil
	})
}

func currentModel(r *call) (any, error) {
	return map[string]any{"name": r.c.cfg.ModelName, "uuid": r.c.cfg.ModelUUID, "type": "iaas"}, nil
}

func modelConfig(r *call) (any, error) {
	return map[string]any{"config": map[string]any{
		"name": r.c.cfg.ModelName, "uuid": r.c.cfg.ModelUUID, "type": "manual",
		"agent-version":               "3.5.4",
		"update-status-hook-interval": r.c.cfg.UpdateStatusInterval.String(),
	}}, nil
}

func watchModelConfig(r *call) (any, error) {
	return r.notify(func() string { return strconv.Itoa(r.c.configVersion) }), nil
}

func watchUpdateStatus(r *call) (any, error) {
	name := r.unit.name
	return r.notify(func() string { return strconv.Itoa(r.c.updateStatus[name]) }), nil
}

func retryStrategy(r *call) (any, error) {
	return r.eachOwn(func(*unit) (any, error) {
		return map[string]any{"result": map[string]any{
			"should-retry":      !r.c.cfg.NoRetry,
			"min-retry-time":    r.c.cfg.RetryMin,
			"max-retry-time":    r.c.cfg.RetryMax,
			"jitter-retry-time": true,
			"retry-time-factor": 2,
		}}, nil
	})
}

// goalStates lists the application's units and, by endpoint, the related
// applications and their units. As in Juju, peers are left out and so are the
// units of a subordinate application that sit on other principals.
func goalStates(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		rels := map[string]any{}
		for _, rel := range r.c.relations {
			if rel.peer() || !r.c.visibleLocked(rel, u) {
				continue
			}
			e, _ := rel.endpointOf(u.app)
			states, _ := rels[e.Name].(map[string]any)
			if states == nil {
				states = map[string]any{}
				rels[e.Name] = states
			}
			other := rel.other(u.app)
			states[other] = map[string]any{"status": "joined", "since": r.c.start}
			for name, s := range r.c.goalUnitsLocked(other, u.name) {
				states[name] = s
			}
		}
		return map[string]any{"result": map[string]any{
			"units": r.c.goalUnitsLocked(u.app, u.name), "relations": rels,
		}}, nil
	})
}

func (c *Controller) goalUnitsLocked(app, asking string) map[string]any {
	units := map[string]any{}
	for name, u := range c.units {
		if u.app != app || u.life == dead || u.principal != "" && u.principal != asking {
			continue
		}
		status := u.workload.Status
		if u.life == dying {
			status = string(dying)
		}
		units[name] = map[string]any{"status": status, "since": u.workload.Since}
	}
	return units
}
