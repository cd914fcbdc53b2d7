// Package charmtest runs hooks of the charm in memory: state in, hook, state out.
// Juju and the machine are states, not mocks: what a hook leaves behind can be
// printed and compared. A hook can be made to die at any point.
package charmtest

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"keepalived-charm/internal/charm"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
)

// State is all that one unit's hooks see and change.
type State struct {
	Juju Juju
	Host Host
}

// NewState returns a unit right before its install hook: subordinate keepalived/N
// of haproxy/N, related to it and to nothing else, on a machine that has the
// address 10.10.74.(11+N)/24 on eth0 and no keepalived.
func NewState(number int) State {
	unit := juju.Unit{Application: "keepalived", Number: number}
	own := fmt.Sprintf("10.10.74.%d", 11+number)
	s := State{
		Juju: NewJuju(unit, juju.Unit{Application: "haproxy", Number: number}, own),
		Host: NewHost(own + "/24"),
	}
	s.Juju.Relate(endpoint.JujuInfo, "juju-info:0", juju.Unit{Application: "haproxy", Number: number})
	s.Juju.Relate(endpoint.Cluster, "cluster:1")
	return s
}

// Clone returns a copy that shares nothing.
func (s State) Clone() State { return State{Juju: s.Juju.clone(), Host: s.Host.clone()} }

// String prints the whole state.
func (s State) String() string { return s.Juju.String() + s.Host.String() }

// Layout is the unit's layout of files.
func (s State) Layout() layout.Layout {
	return layout.Layout{Application: s.Juju.Unit.Application}
}

// Stale lists where what runs differs from the unit's files; see Host.Stale.
func (s State) Stale() []string { return s.Host.Stale(s.Juju.Unit.Application) }

// Hook is one hook or action to run.
type Hook struct {
	// Name is hooks/NAME's name; actions/NAME runs an action, Refresh what the notifier
	// has Juju run.
	Name string
	// Relation is a relation hook's relation, the endpoint's first by default.
	Relation juju.RelationID
	// Departing is who leaves, in relation-departed.
	Departing juju.Unit
	// Death ends the hook early.
	Death Death
	// Between, when set, is called before every step and before the hook publishes,
	// with the state as it is by then; the hook is killed when it returns false.
	Between func(*State) bool
}

// Refresh is the name of what runs between hooks.
const Refresh = "refresh"

// Out is what a hook left behind.
type Out struct {
	State
	// Err is the fault with which the hook ended; nothing is published then.
	Err error
	// Steps are the steps that were carried out.
	Steps []step.Step
	// Looks counts the looks at the network.
	Looks int
	// Listened is how long they took together.
	Listened time.Duration
	// Calls counts the hook tools that the real model would have started.
	Calls int
}

// Run runs a hook to its end and fails the test on a fault.
func Run(t testing.TB, name string, in State) Out {
	t.Helper()
	out := RunHook(t, Hook{Name: name}, in)
	if out.Err != nil {
		t.Fatalf("hook %s ended with a fault: %v\n%s", name, out.Err, out)
	}
	return out
}

// RunHook runs a hook on a copy of the state.
func RunHook(t testing.TB, h Hook, in State) Out {
	t.Helper()
	out := Out{State: in.Clone()}
	path, do := h.Name, charm.Run
	if path == Refresh {
		path, do = "hooks/update-status", charm.Refresh
	}
	if !strings.Contains(path, "/") {
		path = "hooks/" + path
	}
	environment := map[string]string{
		"JUJU_DISPATCH_PATH":  path,
		"JUJU_UNIT_NAME":      in.Juju.Unit.String(),
		"JUJU_PRINCIPAL_UNIT": in.Juju.Principal.String(),
		"JUJU_DEPARTING_UNIT": h.Departing.String(),
		"JUJU_RELATION_ID":    string(h.relation(in.Juju)),
		"JUJU_MODEL_NAME":     "prod",
		"JUJU_MODEL_UUID":     "1a2b3c4d-0000-4000-8000-000000000000",
	}
	ev, err := juju.ParseEvent("dispatch", func(name string) string { return environment[name] }, endpoint.All())
	if err != nil || ev.Kind == juju.Hook && ev.Hook == "" {
		t.Fatalf("Juju would not run %s: %v", path, err)
	}
	life := &life{death: h.Death}
	if h.Between != nil {
		life.between = func() bool { return h.Between(&out.State) }
	}
	model := &model{t: t, state: &out.Juju, life: life}
	machine := &machine{t: t, host: &out.Host, life: life, steps: &out.Steps, looks: &out.Looks, listened: &out.Listened}
	out.Juju.Results, out.Juju.Failure = nil, ""
	out.Err = do(ev, model, machine)
	if out.Err == nil && !life.goesOn() {
		out.Err = errDied
	}
	out.Calls = life.calls
	if life.dead && !errors.Is(out.Err, errDied) {
		t.Fatalf("hook %s died, yet ended with %v", h.Name, out.Err)
	}
	if out.Err == nil {
		model.flush(h.Name)
	}
	return out
}

func (h Hook) relation(j Juju) juju.RelationID {
	if h.Relation != "" {
		return h.Relation
	}
	for _, name := range endpoint.All() {
		if strings.HasPrefix(h.Name, name+"-relation-") {
			for _, id := range j.ids(name) {
				return id
			}
		}
	}
	return ""
}
