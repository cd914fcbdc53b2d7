package controller

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/juju/names/v5"

	"github.com/juju/juju/apiserver/observer"
	"github.com/juju/juju/core/life"
	coremultiwatcher "github.com/juju/juju/core/multiwatcher"
	"github.com/juju/juju/core/presence"
	"github.com/juju/juju/core/status"
	"github.com/juju/juju/rpc"
	"github.com/juju/juju/state"
)

// Settled waits until nothing of the model is on its way: nothing is about to be assigned or
// removed, no action is pending, and every unit's agent is connected and idle, or in hook
// error, but for those on machines that are down. That counts once it was so for a while in
// which nothing changed in the model and no agent asked anything: an agent that is told of a
// change says so only when it begins its hook.
func (c *Controller) Settled(ctx context.Context, quiet time.Duration, down []string) error {
	m := &modelView{down: down, entities: map[coremultiwatcher.EntityID]coremultiwatcher.EntityInfo{}}
	w := c.watchers.WatchModel(c.modelUUID)
	changes := make(chan []coremultiwatcher.Delta)
	ended := make(chan error, 1)
	stop := make(chan struct{})
	var reading sync.WaitGroup
	defer reading.Wait()
	defer func() { _ = w.Stop() }() // its end is no news
	defer close(stop)
	reading.Go(func() {
		for {
			deltas, err := w.Next()
			if err != nil {
				ended <- err
				return
			}
			select {
			case changes <- deltas:
			case <-stop:
				return
			}
		}
	})
	const pace = 50 * time.Millisecond
	tick := time.NewTicker(pace)
	defer tick.Stop()
	var changed time.Time
	var why string
	for {
		select {
		case deltas := <-changes:
			m.apply(deltas)
			changed = time.Now()
		case err := <-ended:
			return fmt.Errorf("cannot watch the model: %w", err)
		case <-tick.C:
			if changed.IsZero() {
				continue // the model as it is has yet to come
			}
			var err error
			if why, err = c.unsettled(m); err != nil {
				return fmt.Errorf("cannot look at the model: %w", err)
			}
			if why != "" {
				changed = time.Now()
				continue
			}
			if since := max(changed.UnixNano(), c.activity.last()); time.Since(time.Unix(0, since)) >= quiet {
				return nil
			}
			why = "agents ask or change something again and again"
		case <-ctx.Done():
			return fmt.Errorf("the model is not settled: %s: %w", why, context.Cause(ctx))
		}
	}
}

// modelView is the model as a multiwatcher tells it.
type modelView struct {
	down     []string
	entities map[coremultiwatcher.EntityID]coremultiwatcher.EntityInfo
}

func (m *modelView) apply(deltas []coremultiwatcher.Delta) {
	for _, d := range deltas {
		if id := d.Entity.EntityID(); d.Removed {
			delete(m.entities, id)
		} else {
			m.entities[id] = d.Entity
		}
	}
}

// unsettled says what is on its way; nothing of it is "".
func (c *Controller) unsettled(m *modelView) (string, error) {
	connected := c.presence.Connections().ForModel(c.modelUUID)
	var why []string
	for id, entity := range m.entities {
		var is string
		switch e := entity.(type) {
		case *coremultiwatcher.UnitInfo:
			is = unitUnsettled(e, m.down, connected)
		case *coremultiwatcher.ActionInfo:
			if e.Status == string(state.ActionPending) || e.Status == string(state.ActionRunning) ||
				e.Status == string(state.ActionAborting) {
				if unit, ok := m.unit(e.Receiver); !ok || !slices.Contains(m.down, unit.MachineID) {
					is = e.Status
				}
			}
		case *coremultiwatcher.ApplicationInfo:
			if e.Life != life.Alive && !m.remainsOnDown(e.Name) {
				is = string(e.Life)
			}
		case *coremultiwatcher.MachineInfo:
			if !slices.Contains(m.down, e.ID) && (e.Life != life.Alive || e.InstanceID == "") {
				is = string(e.Life) + " " + string(e.AgentStatus.Current)
			}
		}
		if is != "" {
			why = append(why, fmt.Sprintf("%s %s is %s", id.Kind, id.ID, strings.TrimSpace(is)))
		}
	}
	if len(m.down) == 0 {
		cleaning, err := c.model.NeedsCleanup()
		if err != nil {
			return "", err
		}
		if cleaning {
			why = append(why, "something is cleaned up")
		}
	}
	slices.Sort(why)
	return strings.Join(why, ", "), nil
}

func (m *modelView) unit(name string) (*coremultiwatcher.UnitInfo, bool) {
	for _, entity := range m.entities {
		if u, ok := entity.(*coremultiwatcher.UnitInfo); ok && u.Name == name {
			return u, true
		}
	}
	return nil, false
}

// remainsOnDown says whether an application waits for units that cannot go.
func (m *modelView) remainsOnDown(application string) bool {
	for _, entity := range m.entities {
		if u, ok := entity.(*coremultiwatcher.UnitInfo); ok && u.Application == application && slices.Contains(m.down, u.MachineID) {
			return true
		}
	}
	return false
}

func unitUnsettled(u *coremultiwatcher.UnitInfo, down []string, connected presence.Connections) string {
	if u.MachineID != "" && slices.Contains(down, u.MachineID) {
		return ""
	}
	if u.AgentStatus.Current == status.Error || u.WorkloadStatus.Current == status.Error {
		return ""
	}
	if u.Life != life.Alive {
		return string(u.Life)
	}
	if u.AgentStatus.Current != status.Idle {
		return string(u.AgentStatus.Current)
	}
	if s, err := connected.AgentStatus(names.NewUnitTag(u.Name).String()); err != nil || s != presence.Alive {
		return "not connected"
	}
	return ""
}

// activity remembers when agents asked the controller something, or were told.
type activity struct {
	mu    sync.Mutex
	at    time.Time
	calls map[string]int
}

// last is when, in nanoseconds since 1970.
func (a *activity) last() int64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at.IsZero() {
		return 0
	}
	return a.at.UnixNano()
}

// note counts a call, unless by is "", and remembers when it was.
func (a *activity) note(call string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = time.Now()
	if call != "" {
		a.calls[call]++
	}
}

// Calls is how often each unit's agent called what: "unit-keepalived-0 Uniter.Life" and so
// on; what is asked again and again by the clock is not in it.
func (c *Controller) Calls() map[string]int {
	c.activity.mu.Lock()
	defer c.activity.mu.Unlock()
	calls := make(map[string]int, len(c.activity.calls))
	for call, count := range c.activity.calls {
		calls[call] = count
	}
	return calls
}

// connectionObserver notes what one connection carries.
type connectionObserver struct {
	activity *activity
	unit     string // "" until a unit's agent has logged in
}

func (a *activity) newObserver() observer.Observer { return &connectionObserver{activity: a} }

// Join is part of observer.Observer.
func (*connectionObserver) Join(*http.Request, uint64) {}

// Leave is part of observer.Observer.
func (*connectionObserver) Leave() {}

// Login is part of observer.Observer.
func (o *connectionObserver) Login(entity names.Tag, _ names.ModelTag, _ bool, _ string) {
	if entity != nil && entity.Kind() == names.UnitTagKind {
		o.unit = entity.String()
	}
}

// RPCObserver is part of rpc.ObserverFactory.
func (o *connectionObserver) RPCObserver() rpc.Observer { return callObserver{o} }

type callObserver struct{ *connectionObserver }

// regular says whether a call is made by the clock.
func regular(r rpc.Request) bool { return r.Type == "Pinger" || r.Action == "ClaimLeadership" }

// ServerRequest is part of rpc.Observer. That an agent waits for changes is no activity.
func (o callObserver) ServerRequest(header *rpc.Header, _ any) {
	if r := header.Request; o.unit != "" && !regular(r) && r.Action != "Next" {
		o.activity.note(o.unit + " " + r.Type + "." + r.Action)
	}
}

// ServerReply is part of rpc.Observer.
func (o callObserver) ServerReply(r rpc.Request, _ *rpc.Header, _ any) {
	if o.unit != "" && !regular(r) {
		o.activity.note("")
	}
}
