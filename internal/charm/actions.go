package charm

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/reconcile"
)

// request is one run of an action.
type request struct {
	obs        reconcile.Observed
	j          Model
	m          Machine
	parameters map[string]any
}

// actions is the table of actions.yaml. An error fails the action with its text;
// nothing has changed then.
func actions() map[string]func(request) (map[string]string, error) {
	return map[string]func(request) (map[string]string, error){
		"status":            func(r request) (map[string]string, error) { return showStatus(r.obs), nil },
		"get-configuration": func(r request) (map[string]string, error) { return showConfiguration(r.obs), nil },
		"pause":             pause,
		"resume":            resume,
		"failover":          failover,
		"restart":           restart,
	}
}

// Actions returns the names of all actions, sorted.
func Actions() []string { return slices.Sorted(maps.Keys(actions())) }

// act carries out an action.
func act(ev juju.Event, j Model, m Machine) error {
	run, ok := actions()[ev.Name]
	if !ok {
		return fmt.Errorf("cannot run action %q: this charm has no such action", ev.Name)
	}
	r := request{j: j, m: m}
	var err error
	if r.parameters, err = j.ActionParameters(); err == nil {
		r.obs, err = observe(ev, j, m)
	}
	if err != nil {
		return errors.Join(err, j.FailAction(err.Error()))
	}
	results, err := run(r)
	if err != nil {
		return j.FailAction(err.Error())
	}
	return j.SetActionResults(results)
}

// status returns what the unit's status would be now.
func status(obs reconcile.Observed) juju.Status {
	want, err := reconcile.Desire(obs)
	if s, blocked := reconcile.StatusOf(err); blocked {
		return s
	}
	if err != nil {
		return juju.Status{Level: juju.Waiting, Message: err.Error()}
	}
	return want.Status(obs.Machine)
}

func showStatus(obs reconcile.Observed) map[string]string {
	m := obs.Machine
	l := reconcile.Layout{Application: obs.Event.Unit.Application}
	results := map[string]string{
		"summary":           status(obs).Message,
		"paused":            fmt.Sprint(m.Paused),
		"keepalived":        running(m.Active),
		"health-checker":    running(m.CheckerActive),
		"check":             "no verdict yet",
		"workload-version":  m.Version,
		"pending-follow-up": "none",
	}
	if m.Check.Known {
		results["check"] = "passes"
		if !m.Check.Healthy {
			results["check"] = "fails: " + m.Check.Reason
		}
	}
	if len(m.Owed) > 0 {
		results["pending-follow-up"] = strings.Trim(fmt.Sprint(m.Owed), "[]")
	}
	for _, s := range m.Instances {
		if s.Name == l.Instance() {
			results["role"] = strings.ToLower(s.State.String())
			results["since"] = time.Unix(int64(s.LastTransition), 0).UTC().Format(time.RFC3339)
			results["priority"] = fmt.Sprint(s.Effective)
			results["interface"] = s.Interface
			results["virtual-router-id"] = fmt.Sprint(s.VirtualRouterID)
		}
	}
	return results
}

func running(active bool) string {
	if active {
		return "running"
	}
	return "not running"
}

// password is what get-configuration hides.
var password = regexp.MustCompile(`(?m)^(\s*auth_pass ).*$`)

func showConfiguration(obs reconcile.Observed) map[string]string {
	l := reconcile.Layout{Application: obs.Event.Unit.Application}
	return map[string]string{
		"keepalived-conf": obs.Machine.Files[reconcile.MainFile],
		"fragment":        password.ReplaceAllString(obs.Machine.Files[l.Fragment()], "${1}********"),
		"checker":         obs.Machine.Files[l.CheckerConfig()],
	}
}
