package controller

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// watcher tells an agent of changes. It remembers the last state it reported, as
// a flat map, and reports the difference from the present one.
type watcher struct {
	snapshot func() map[string]string
	encode   func(old, now map[string]string) any // the answer to Next; nil answers nothing
	last     map[string]string
	stopped  bool
	// waiting tells that the agent waits for the next change: it has taken in the last
	// one. fresh tells that it has not asked for any yet.
	waiting, fresh bool
}

// add registers a watcher with the calling agent's session and returns its id.
func (r *call) add(w *watcher) string {
	w.last, w.fresh = w.snapshot(), true
	r.c.nextWatcher++
	id := strconv.Itoa(r.c.nextWatcher)
	r.session.watchers[id] = w
	return id
}

func (w *watcher) pending() bool { return !maps.Equal(w.last, w.snapshot()) }

// takingIn tells that the agent was told of a change and has not asked for another one
// yet: it is busy, or does not get to run.
func (w *watcher) takingIn() bool { return !w.waiting && !w.fresh }

// nextChange serves Next of every kind of watcher: it blocks until there is
// something to report.
func nextChange(r *call) (any, error) {
	w := r.session.watchers[r.id]
	if w == nil {
		return nil, notFound("watcher", r.id)
	}
	w.waiting, w.fresh = true, false
	defer func() { w.waiting = false }()
	for {
		if w.stopped {
			return nil, &apiError{Message: "watcher was stopped", Code: codeStopped}
		}
		if now := w.snapshot(); !maps.Equal(w.last, now) {
			old := w.last
			w.last = now
			r.c.touchLocked()
			if w.encode == nil {
				return struct{}{}, nil
			}
			return w.encode(old, now), nil
		}
		if err := r.wait(0); err != nil {
			return nil, err
		}
	}
}

func stopWatcher(r *call) (any, error) {
	w := r.session.watchers[r.id]
	if w == nil {
		return nil, notFound("watcher", r.id)
	}
	w.stopped = true
	delete(r.session.watchers, r.id)
	r.c.broadcastLocked()
	return struct{}{}, nil
}

// notify makes a watcher that only says "look again" when the value changes.
func (r *call) notify(value func() string) map[string]any {
	id := r.add(&watcher{snapshot: func() map[string]string { return map[string]string{"": value()} }})
	return map[string]any{"NotifyWatcherId": id}
}

// hashes makes a strings watcher whose single string is the value itself.
func (r *call) hashes(value func() string) map[string]any {
	w := &watcher{
		snapshot: func() map[string]string { return map[string]string{"": value()} },
		encode: func(_, now map[string]string) any {
			return map[string]any{"changes": []string{now[""]}}
		},
	}
	id := r.add(w)
	return map[string]any{"watcher-id": id, "changes": []string{w.last[""]}}
}

// strings makes a strings watcher that reports the keys that came, went or
// changed their value.
func (r *call) strings(snapshot func() map[string]string) map[string]any {
	w := &watcher{
		snapshot: snapshot,
		encode: func(old, now map[string]string) any {
			return map[string]any{"changes": changedKeys(old, now)}
		},
	}
	id := r.add(w)
	return map[string]any{"watcher-id": id, "changes": sortedKeys(w.last)}
}

func changedKeys(old, now map[string]string) []string {
	var keys []string
	for k, v := range now {
		if o, ok := old[k]; !ok || o != v {
			keys = append(keys, k)
		}
	}
	for k := range old {
		if _, ok := now[k]; !ok {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, byNumber)
	return keys
}

// byNumber orders ids that are numbers by value (9 before 10).
func byNumber(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

// silent makes a watcher that never has anything to report, for parts of Juju
// that the model does not have.
func (r *call) silent() map[string]any {
	return r.strings(func() map[string]string { return nil })
}

// relationUnits makes the watcher of a relation as one unit sees it: keys are
// "u" and a unit's name or "a" and an application's, values databag versions.
func (r *call) relationUnits(rel *relation) map[string]any {
	u := r.unit
	encode := func(old, now map[string]string) any {
		units, apps := map[string]any{}, map[string]int64{}
		var departed []string
		for _, k := range changedKeys(old, now) {
			v, present := now[k]
			version, _ := strconv.ParseInt(v, 10, 64)
			name := k[1:]
			switch {
			case strings.HasPrefix(k, "a") && present:
				apps[name] = version
			case strings.HasPrefix(k, "u") && present:
				units[name] = map[string]any{"version": version}
			case strings.HasPrefix(k, "u"):
				departed = append(departed, name)
			}
		}
		return map[string]any{"changed": units, "app-changed": apps, "departed": departed}
	}
	w := &watcher{
		snapshot: func() map[string]string {
			s := map[string]string{}
			for _, name := range r.c.counterpartsLocked(rel, u) {
				s["u"+name] = strconv.FormatInt(rel.data[name].version, 10)
			}
			other := rel.other(u.app)
			s["a"+other] = strconv.FormatInt(rel.appData[other].version, 10)
			return s
		},
		encode: func(old, now map[string]string) any {
			return map[string]any{"changes": encode(old, now)}
		},
	}
	id := r.add(w)
	return map[string]any{"watcher-id": id, "changes": encode(nil, w.last)}
}
