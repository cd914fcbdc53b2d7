package controller

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/juju/names/v5"

	"github.com/juju/juju/apiserver/observer"
	"github.com/juju/juju/core/status"
	"github.com/juju/juju/rpc"
	"github.com/juju/juju/rpc/params"
)

// Event is what an agent told the controller, or that it came or went.
type Event struct {
	Time time.Time
	Unit string
	// Kind is connected, lost, begin, end or status.
	Kind string
	// Name is the hook that begins or ends, such as config-changed, "action NAME" or
	// "commands"; the new status. A hook that the agent runs again at once begins once, and
	// Juju tells of no update-status.
	Name string
	// Detail is a status' message.
	Detail string
	// Duration is how long what ended had run.
	Duration time.Duration `json:",omitempty"`
}

// activity remembers what agents asked the controller, and when they did or were told.
type activity struct {
	mu      sync.Mutex
	at      time.Time
	calls   map[string]int
	events  []Event
	running map[string]Event // what each unit's agent runs
}

// last is when that was.
func (a *activity) last() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at
}

// note counts a call, unless it is "", and remembers when it was.
func (a *activity) note(call string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = time.Now()
	if call != "" {
		a.calls[call]++
	}
}

func (a *activity) happened(e Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.recordLocked(e)
}

func (a *activity) recordLocked(e Event) {
	e.Time = time.Now()
	a.events = append(a.events, e)
}

// ran is how agents tell what they run.
var ran = regexp.MustCompile(`^running (commands|action [a-z-]+|[a-z-]+ hook)`)

// agentStatus follows what a unit's agent runs.
func (a *activity) agentStatus(unit, current, message string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if was, ok := a.running[unit]; ok {
		a.recordLocked(Event{Unit: unit, Kind: "end", Name: was.Name, Duration: time.Since(was.Time)})
	}
	delete(a.running, unit)
	if found := ran.FindStringSubmatch(message); found != nil && current == string(status.Executing) {
		name := strings.TrimSuffix(found[1], " hook")
		a.recordLocked(Event{Unit: unit, Kind: "begin", Name: name})
		a.running[unit] = a.events[len(a.events)-1]
	}
}

// Calls is how often each unit's agent called what: "unit-keepalived-0 Uniter.Life" and so
// on; what is asked again and again by the clock is not in it.
func (c *Controller) Calls() map[string]int {
	c.activity.mu.Lock()
	defer c.activity.mu.Unlock()
	return maps.Clone(c.activity.calls)
}

// Events are what happened after the first so many events.
func (c *Controller) Events(after int) []Event {
	c.activity.mu.Lock()
	defer c.activity.mu.Unlock()
	return slices.Clone(c.activity.events[min(after, len(c.activity.events)):])
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
func (o *connectionObserver) Leave() {
	if o.unit != "" {
		o.activity.happened(Event{Unit: o.unit, Kind: "lost"})
	}
}

// Login is part of observer.Observer.
func (o *connectionObserver) Login(entity names.Tag, _ names.ModelTag, _ bool, _ string) {
	if entity != nil && entity.Kind() == names.UnitTagKind {
		o.unit = entity.Id()
		o.activity.happened(Event{Unit: o.unit, Kind: "connected"})
	}
}

// RPCObserver is part of rpc.ObserverFactory.
func (o *connectionObserver) RPCObserver() rpc.Observer { return callObserver{o} }

type callObserver struct{ *connectionObserver }

// regular says whether a call is made by the clock.
func regular(r rpc.Request) bool { return r.Type == "Pinger" || r.Action == "ClaimLeadership" }

// ServerRequest is part of rpc.Observer. That an agent waits for changes is no activity.
func (o callObserver) ServerRequest(header *rpc.Header, body any) {
	r := header.Request
	if o.unit == "" || regular(r) || r.Action == "Next" {
		return
	}
	o.activity.note(names.NewUnitTag(o.unit).String() + " " + r.Type + "." + r.Action)
	set, ok := body.(params.SetStatus)
	if !ok || r.Type != "Uniter" {
		return
	}
	for _, e := range set.Entities {
		switch r.Action {
		case "SetAgentStatus":
			o.activity.agentStatus(o.unit, e.Status, e.Info)
		case "SetUnitStatus":
			o.activity.happened(Event{Unit: o.unit, Kind: "status", Name: e.Status, Detail: e.Info})
		}
	}
}

// ServerReply is part of rpc.Observer.
func (o callObserver) ServerReply(r rpc.Request, _ *rpc.Header, _ any) {
	if o.unit != "" && !regular(r) {
		o.activity.note("")
	}
}
