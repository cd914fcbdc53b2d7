// Package juju is Juju's vocabulary as the charm needs it: events, units,
// relation IDs, databags and statuses. It does no I/O.
package juju

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/plain"
)

// Unit is a unit's name, such as keepalived/0.
type Unit struct {
	Application string
	Number      int
}

// ParseUnit returns an error unless s is a unit name as Juju writes it (names/v5,
// ApplicationSnippet and NumberSnippet): words of small letters and digits, joined by
// hyphens, a letter in each and first of all; a slash and a number. Its agent's directory,
// unit-NAME-NUMBER, has at most 255 bytes (NAME_MAX).
func ParseUnit(s string) (Unit, error) {
	application, digits, _ := strings.Cut(s, "/")
	number, err := strconv.Atoi(digits)
	if err != nil || len("unit-"+s) > 255 || number < 0 || strconv.Itoa(number) != digits || !isApplication(application) {
		return Unit{}, fmt.Errorf("cannot use %q as a unit name", s)
	}
	return Unit{Application: application, Number: number}, nil
}

func isApplication(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyz"
	if s == "" || !strings.Contains(letters, s[:1]) {
		return false
	}
	for _, word := range strings.Split(s, "-") {
		if !plain.Of(word, len(word), letters+"0123456789") || !strings.ContainsAny(word, letters) {
			return false
		}
	}
	return true
}

// String returns the unit's name; empty for the zero Unit.
func (u Unit) String() string {
	if u.Application == "" {
		return ""
	}
	return fmt.Sprintf("%s/%d", u.Application, u.Number)
}

// RelationID names one relation of an endpoint, such as website:3.
type RelationID string

// Databag is what one unit (or application) publishes in one relation. Setting
// an empty value deletes the key (Juju, uniter facade).
type Databag map[string]string

// StatusLevel is a workload status that a charm may set.
type StatusLevel string

// The workload statuses that status-set takes.
const (
	Maintenance StatusLevel = "maintenance"
	Blocked     StatusLevel = "blocked"
	Waiting     StatusLevel = "waiting"
	Active      StatusLevel = "active"
)

// Status is a unit's workload status.
type Status struct {
	Level   StatusLevel
	Message string
}

// String returns the status as juju status shows it.
func (s Status) String() string { return string(s.Level) + ": " + s.Message }

// Kind tells hooks from actions.
type Kind int

// The kinds of event.
const (
	Hook Kind = iota
	Action
)

// Event is what Juju started the charm for.
type Event struct {
	Kind Kind
	// Name is the hook's or action's full name, e.g. website-relation-changed.
	Name string
	// Hook is the hook's kind without the endpoint, e.g. relation-changed; empty
	// for an action, and for a hook that this charm does not know.
	Hook hooks.Kind
	// Endpoint and Relation are set in relation hooks.
	Endpoint string
	Relation RelationID
	// Unit is the unit the charm runs in, Principal the unit whose machine it
	// shares; zero when Juju named none.
	Unit, Principal Unit
	// Version is Juju's version, such as 3.5.4.
	Version string
	// Model and ModelUUID name the model that the unit is in.
	Model, ModelUUID string
	// Departing is the unit that leaves, in relation-departed.
	Departing Unit
}

// ParseEvent finds out from the environment (a look-up function such as
// os.Getenv) and the program's name what Juju wants. With a dispatch file Juju
// says so in JUJU_DISPATCH_PATH; without, it starts hooks/NAME (Juju,
// worker/uniter/runner). With dispatch it runs the charm for every hook it has, those
// of later versions included, and leaves it to the charm which it knows.
func ParseEvent(argv0 string, getenv func(string) string, endpoints []string) (Event, error) {
	where := getenv("JUJU_DISPATCH_PATH")
	if where == "" {
		where = path.Join(path.Base(path.Dir(argv0)), path.Base(argv0))
	}
	dir, name := path.Split(path.Clean(where))
	ev := Event{Name: name, Relation: RelationID(getenv("JUJU_RELATION_ID")), Version: getenv("JUJU_VERSION"),
		Model: getenv("JUJU_MODEL_NAME"), ModelUUID: getenv("JUJU_MODEL_UUID")}
	switch path.Base(dir) {
	case "actions":
		ev.Kind = Action
	case "hooks":
		ev.parseHook(endpoints)
	default:
		return Event{}, fmt.Errorf("cannot tell a hook from %q: it is neither hooks/NAME nor actions/NAME", where)
	}
	for _, v := range []struct {
		variable string
		unit     *Unit
		needed   bool
	}{
		{"JUJU_UNIT_NAME", &ev.Unit, true},
		{"JUJU_PRINCIPAL_UNIT", &ev.Principal, false},
		{"JUJU_DEPARTING_UNIT", &ev.Departing, false},
	} {
		s := getenv(v.variable)
		if s == "" && !v.needed {
			continue
		}
		u, err := ParseUnit(s)
		if err != nil {
			return Event{}, fmt.Errorf("cannot read %s: %w", v.variable, err)
		}
		*v.unit = u
	}
	return ev, nil
}

// UnitHooks are the hooks without an endpoint that a subordinate on a machine
// can get, from Juju 2.9 on: those of charm/v12 and, since 3.0, the secret hooks.
func UnitHooks() []hooks.Kind {
	return append(hooks.UnitHooks(),
		hooks.SecretChanged, hooks.SecretRemove, hooks.SecretRotate, hooks.SecretExpired)
}

func (ev *Event) parseHook(endpoints []string) {
	if slices.Contains(UnitHooks(), hooks.Kind(ev.Name)) {
		ev.Hook = hooks.Kind(ev.Name)
		return
	}
	for _, endpoint := range endpoints {
		kind, found := strings.CutPrefix(ev.Name, endpoint+"-")
		if !found {
			continue
		}
		for _, k := range hooks.RelationHooks() {
			if string(k) == kind {
				ev.Hook, ev.Endpoint = k, endpoint
				return
			}
		}
	}
}
