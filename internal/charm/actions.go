package charm

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/reconcile"
)

// actions is the table of actions.yaml: each derives its results from what was
// observed and changes nothing.
func actions() map[string]func(reconcile.Observed) map[string]string {
	return map[string]func(reconcile.Observed) map[string]string{
		"status":            showStatus,
		"get-configuration": showConfiguration,
	}
}

// Actions returns the names of all actions, sorted.
func Actions() []string {
	var names []string
	for name := range actions() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
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
	results := map[string]string{
		"summary":           status(obs).Message,
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
		if s.Name == (reconcile.Layout{Application: obs.Event.Unit.Application}).Instance() {
			results["role"] = strings.ToLower(s.State.String())
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
