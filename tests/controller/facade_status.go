package controller

import (
	"fmt"
	"time"
)

func wireStatus(id string, l life, s Status) map[string]any {
	since := s.Since
	if since.IsZero() {
		since = time.Now()
	}
	return map[string]any{
		"id": id, "life": l, "status": s.Status, "info": s.Message, "data": s.Data, "since": since,
	}
}

func unitStatus(r *call) (any, error) {
	return r.eachUnit(func(u *unit) (any, error) {
		return wireStatus(u.name, u.life, u.workload), nil
	})
}

type statusArgs struct {
	Entities []struct {
		Tag    string         `json:"tag"`
		Status string         `json:"status"`
		Info   string         `json:"info"`
		Data   map[string]any `json:"data"`
	} `json:"entities"`
}

// setStatus serves the status setters; write gets the calling unit.
func (r *call) setStatus(write func(Status) error) (any, error) {
	var in statusArgs
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Entities))
	for i, e := range in.Entities {
		out[i] = struct{}{}
		if e.Tag != unitTag(r.unit.name) {
			out[i] = failure(errPermission)
		} else if err := write(Status{Status: e.Status, Message: e.Info, Data: e.Data, Since: time.Now()}); err != nil {
			out[i] = failure(err)
		}
	}
	return results(out), nil
}

func setUnitStatus(r *call) (any, error) {
	return r.setStatus(func(s Status) error {
		r.c.setStatusLocked(r.unit, WorkloadStatus, s.Status, s.Message, s.Data)
		return nil
	})
}

func setAgentStatus(r *call) (any, error) {
	return r.setStatus(func(s Status) error {
		r.c.setStatusLocked(r.unit, AgentStatus, s.Status, s.Message, s.Data)
		return nil
	})
}

func setApplicationStatus(r *call) (any, error) {
	return r.setStatus(func(s Status) error {
		a := r.c.apps[r.unit.app]
		if r.c.leaderLocked(a) != r.unit.name {
			return &apiError{Message: fmt.Sprintf("%q is not leader of %q", r.unit.name, a.name)}
		}
		a.status = s
		r.c.changedLocked()
		return nil
	})
}

func applicationStatus(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		a := r.c.apps[u.app]
		if r.c.leaderLocked(a) != u.name {
			return nil, &apiError{Message: fmt.Sprintf("%q is not leader of %q", u.name, a.name)}
		}
		units := map[string]any{}
		for name, m := range r.c.units {
			if m.app == a.name {
				units[name] = wireStatus(name, m.life, m.workload)
			}
		}
		status := a.status
		if status.Status == "" {
			status.Status = "waiting" // until the charm sets one
		}
		return map[string]any{"application": wireStatus(a.name, a.life, status), "units": units}, nil
	})
}

func workloadVersion(r *call) (any, error) {
	return r.eachUnit(func(u *unit) (any, error) {
		return map[string]any{"result": u.workloadVersion}, nil
	})
}

func setWorkloadVersion(r *call) (any, error) {
	var in struct {
		Entities []struct {
			Tag     string `json:"tag"`
			Version string `json:"workload-version"`
		} `json:"entities"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Entities))
	for i, e := range in.Entities {
		if e.Tag != unitTag(r.unit.name) {
			out[i] = failure(errPermission)
			continue
		}
		r.unit.workloadVersion = e.Version
		r.c.changedLocked()
		out[i] = struct{}{}
	}
	return results(out), nil
}
