package controller

import (
	"slices"
	"strconv"
)

// charmURL answers for an application the charm it should run, with the force
// flag, and for a unit the charm it has installed.
func charmURL(r *call) (any, error) {
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
		case kind == "application" && a != nil && r.unit.held != nil && r.unit.app == id:
			out[i] = map[string]any{"result": r.unit.held.charm.url, "ok": false}
		case kind == "application" && a != nil:
			out[i] = map[string]any{"result": a.charm.url, "ok": a.forceCharm}
		case kind == "unit" && u != nil && u.charm != nil:
			out[i] = map[string]any{"result": u.charm.url, "ok": true}
		case kind == "unit" && u != nil:
			out[i] = map[string]any{"result": "", "ok": false}
		default:
			out[i] = failure(notFound(kind, id))
		}
	}
	return results(out), nil
}

func setCharmURL(r *call) (any, error) {
	var in struct {
		Entities []struct {
			Tag string `json:"tag"`
			URL string `json:"charm-url"`
		} `json:"entities"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.Entities))
	for i, e := range in.Entities {
		rev := r.c.revisionLocked(e.URL)
		switch {
		case e.Tag != unitTag(r.unit.name):
			out[i] = failure(errPermission)
		case rev == nil:
			out[i] = failure(notFound("charm", e.URL))
		default:
			r.unit.charm = rev
			r.c.changedLocked()
			out[i] = struct{}{}
		}
	}
	return results(out), nil
}

func charmModifiedVersion(r *call) (any, error) {
	return r.eachApplication(func(a *application) (any, error) {
		if r.unit.held != nil && r.unit.app == a.name {
			return map[string]any{"result": r.unit.held.modified}, nil
		}
		return map[string]any{"result": a.charmModified}, nil
	})
}

// eachCharm runs f for every charm URL in the arguments.
func (r *call) eachCharm(f func(*revision) any) (any, error) {
	var in struct {
		URLs []struct {
			URL string `json:"url"`
		} `json:"urls"`
	}
	if err := r.decode(&in); err != nil {
		return nil, err
	}
	out := make([]any, len(in.URLs))
	for i, u := range in.URLs {
		if rev := r.c.revisionLocked(u.URL); rev != nil {
			out[i] = f(rev)
		} else {
			out[i] = failure(notFound("charm", u.URL))
		}
	}
	return results(out), nil
}

func charmSHA256(r *call) (any, error) {
	return r.eachCharm(func(rev *revision) any { return map[string]any{"result": rev.sha256} })
}

func noLXDProfileOfCharm(r *call) (any, error) {
	return r.eachCharm(func(*revision) any { return map[string]any{"result": false} })
}

// revisionOf returns the charm whose options a unit sees: the one it runs.
func (r *call) revisionOf(u *unit) *revision {
	if u.charm != nil {
		return u.charm
	}
	return r.c.apps[u.app].charm
}

func configSettings(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		return map[string]any{"settings": r.c.apps[u.app].settings(r.revisionOf(u))}, nil
	})
}

func watchConfig(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		a := r.c.apps[u.app]
		return r.hashes(func() string {
			rev := r.revisionOf(u)
			return hash(rev.url, a.settings(rev))
		}), nil
	})
}

func watchTrust(r *call) (any, error) {
	return r.eachOwn(func(*unit) (any, error) {
		return r.hashes(func() string { return hash("trust", false) }), nil
	})
}

// watchAddresses hashes what makes Juju run config-changed for an address: the
// machine's addresses and the application's bindings.
func watchAddresses(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		a, m := r.c.apps[u.app], r.c.machines[u.machine]
		return r.hashes(func() string { return hash(m.addresses, a.bindings) }), nil
	})
}

// watchActions reports actions when they are enqueued and when a running one is
// to be aborted; their end is no news to the agent.
func watchActions(r *call) (any, error) {
	return r.eachOwn(func(u *unit) (any, error) {
		watch := r.strings(func() map[string]string {
			s := map[string]string{}
			for id, a := range r.c.actions {
				if a.Unit == u.name {
					s[id] = strconv.Itoa(a.version)
				}
			}
			return s
		})
		open := []string{}
		for _, id := range sortedKeys(r.c.actions) {
			if a := r.c.actions[id]; a.Unit == u.name && !a.Done() {
				open = append(open, id)
			}
		}
		slices.SortFunc(open, byNumber)
		watch["changes"] = open
		return watch, nil
	})
}

func watchLeaderData(r *call) (any, error) {
	return r.eachApplication(func(a *application) (any, error) {
		return r.notify(func() string { return strconv.Itoa(a.leaderVersion) }), nil
	})
}
