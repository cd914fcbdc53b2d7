package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// SetConfig sets options of an application, as juju config does.
func (l *Lab) SetConfig(application string, options map[string]string) error {
	args := []string{"config", application}
	for _, name := range slices.Sorted(maps.Keys(options)) {
		args = append(args, name+"="+options[name])
	}
	return l.juju(args...)
}

// ResetConfig gives options their defaults again.
func (l *Lab) ResetConfig(application string, options ...string) error {
	return l.juju("config", application, "--reset", strings.Join(options, ","))
}

// Integrate relates two applications, each with its endpoint where it must be named.
func (l *Lab) Integrate(a, b string) error {
	return l.juju("integrate", a, b)
}

// RemoveRelation ends what Integrate began.
func (l *Lab) RemoveRelation(a, b string) error {
	return l.juju("remove-relation", a, b)
}

// RemoveApplication removes an application with its units.
func (l *Lab) RemoveApplication(application string) error {
	return l.juju("remove-application", "--no-prompt", application)
}

// DestroyUnit has a principal unit and its subordinates go, and waits for nothing.
func (l *Lab) DestroyUnit(unit string) error {
	return l.juju("remove-unit", "--no-prompt", unit)
}

// AddUnit adds a unit of a principal on a machine that is there.
func (l *Lab) AddUnit(application, machine string) error {
	return l.juju("add-unit", application, "--to", machine)
}

// SetAway takes the controller away from all agents, or brings it back.
func (l *Lab) SetAway(away bool) error {
	return l.Juju.SetAway(context.Background(), away)
}

func (l *Lab) juju(args ...string) error {
	_, err := l.Juju.Run(context.Background(), args...)
	return err
}

// UpdateStatus has every unit that can do what it does in update-status: Juju itself lets at
// least a minute pass between two.
func (l *Lab) UpdateStatus(ctx context.Context) error {
	var units []string
	for name, u := range l.Units() {
		l.mu.Lock()
		waits := l.upgraded[u.Machine] // it runs nothing until the upgrade is complete
		l.mu.Unlock()
		if m, err := l.Machine(u.Machine); err == nil && m.Running() && !waits && strings.HasPrefix(name, "keepalived/") {
			units = append(units, name)
		}
	}
	if len(units) == 0 {
		return nil
	}
	// Of several --unit the last one counts.
	text, err := l.Juju.Run(ctx, "exec", "--format", "json", "--unit", strings.Join(units, ","), "--", "JUJU_DISPATCH_PATH=hooks/update-status ./dispatch")
	if err != nil {
		return err
	}
	var tasks map[string]ActionResult
	if err := json.Unmarshal([]byte(text), &tasks); err != nil {
		return fmt.Errorf("cannot read juju exec: %w: %s", err, text)
	}
	for _, unit := range units {
		if r := tasks[unit]; r.Status != "completed" || fmt.Sprint(r.Results["return-code"]) != "0" {
			err = errors.Join(err, fmt.Errorf("cannot run update-status on %s: %s: %v", unit, r.Status, r.Results))
		}
	}
	return err
}

// ActionResult is what is known of an action that has ended.
type ActionResult struct {
	Status  string // completed or failed
	Message string // why it failed
	Results map[string]any
}

// RunAction runs an action, as juju run does.
func (l *Lab) RunAction(ctx context.Context, unit, action string, parameters map[string]any) (ActionResult, error) {
	args := []string{"run", unit, action, "--format", "json"}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		args = append(args, fmt.Sprintf("%s=%v", name, parameters[name]))
	}
	// An action that failed is told as such, and by the exit code; one that Juju refuses in
	// words alone.
	var said bytes.Buffer
	text, failed := l.Juju.run(ctx, &said, args)
	var tasks map[string]ActionResult
	switch err := json.Unmarshal([]byte(text), &tasks); {
	case err != nil && failed != nil:
		return ActionResult{}, fmt.Errorf("cannot run %s on %s: %w: %s", action, unit, failed, said.String())
	case err != nil:
		return ActionResult{Status: "failed", Message: strings.TrimSpace(text + said.String())}, nil
	}
	return tasks[unit], nil
}

// Event is what an agent told the controller, or that it came or went.
type Event struct {
	Time   time.Time
	Unit   string
	Kind   EventKind
	Name   string // the hook, "action NAME" or "commands"; the new status
	Detail string // message of a status
	// Duration is how long what ended had run.
	Duration time.Duration
}

// EventKind is what an Event tells of.
type EventKind string

// The kinds of events. A hook that an agent runs again at once begins once, and Juju tells of
// no update-status.
const (
	AgentConnected EventKind = "connected"
	AgentLost      EventKind = "lost"
	Begin          EventKind = "begin"
	End            EventKind = "end"
	StatusSet      EventKind = "status" // of the workload
)

// Events are all events, the oldest first.
func (l *Lab) Events() []Event {
	return l.Juju.events(l.fault)
}

// WaitEvent waits for an event that came since an instant.
func (l *Lab) WaitEvent(ctx context.Context, since time.Time, match func(Event) bool) error {
	for {
		for _, e := range l.Events() {
			if !e.Time.Before(since) && match(e) {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot wait for an event: %w", context.Cause(ctx))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Hooks are the names of the hooks that a unit ran since an instant, also of those that failed.
func (l *Lab) Hooks(unit string, since time.Time) []string {
	m, err := l.MachineOf(unit)
	l.fault(err)
	if err != nil {
		return nil
	}
	text, err := m.ReadFile(context.Background(), hooksLog)
	l.fault(err)
	var hooks []string
	for line := range strings.Lines(string(text)) {
		if field := strings.Fields(line); len(field) == 3 && field[1] == unit {
			if at, err := time.Parse(time.RFC3339Nano, field[0]); err == nil && !at.Before(since) {
				hooks = append(hooks, field[2])
			}
		}
	}
	return hooks
}

// hooksLog is where a machine's agents note what ran and what it logged, see
// tests/juju/cmd/jujud.
const hooksLog = "/var/log/juju/hooks.log"

// Logged is when units on a machine logged a text since an instant.
func (l *Lab) Logged(ctx context.Context, id string, since time.Time, text string) ([]time.Time, error) {
	m, err := l.Machine(id)
	if err != nil {
		return nil, err
	}
	out, err := m.Run(ctx, "cat "+hooksLog)
	if err != nil {
		return nil, err
	}
	var times []time.Time
	for line := range strings.Lines(out) {
		if !strings.Contains(line, text) {
			continue
		}
		word, _, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, word)
		if err == nil && !at.Before(since) {
			times = append(times, at)
		}
	}
	return times, nil
}

// WaitUnits waits until units are as wanted.
func (l *Lab) WaitUnits(ctx context.Context, what string, wanted func(map[string]Unit) bool) error {
	for !wanted(l.Units()) {
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot wait for %s: %w\n%s", what, context.Cause(ctx), l.Status())
		case <-time.After(200 * time.Millisecond):
		}
	}
	return nil
}

// SetLeader makes a unit the leader of its application.
func (l *Lab) SetLeader(ctx context.Context, unit string) error {
	if _, err := l.Juju.ask(ctx, question{Leader: unit}); err != nil {
		return err
	}
	application, _, _ := strings.Cut(unit, "/")
	for {
		if leader, err := l.Leader(ctx, application); err != nil || leader == unit {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot wait for %s to lead: %w", unit, context.Cause(ctx))
		case <-time.After(time.Second):
		}
	}
}

// Leader is the unit that leads an application.
func (l *Lab) Leader(ctx context.Context, application string) (string, error) {
	s, err := l.Juju.Status(ctx)
	if err != nil {
		return "", err
	}
	for _, a := range s.Applications {
		for name, u := range a.Units {
			all := maps.Clone(u.Subordinates)
			if all == nil {
				all = map[string]Unit{}
			}
			all[name] = u
			for name, u := range all {
				if u.Leader && strings.HasPrefix(name, application+"/") {
					return name, nil
				}
			}
		}
	}
	return "", nil
}

// AddSecret keeps a secret of the operator's, and returns its URI.
func (l *Lab) AddSecret(name string, content map[string]string) (string, error) {
	return l.Juju.Run(context.Background(), append([]string{"add-secret", name}, secretArgs(content)...)...)
}

// UpdateSecret makes a revision of a secret.
func (l *Lab) UpdateSecret(uri string, content map[string]string) error {
	return l.juju(append([]string{"update-secret", uri}, secretArgs(content)...)...)
}

// GrantSecret lets an application read a secret.
func (l *Lab) GrantSecret(uri, application string) error {
	return l.juju("grant-secret", uri, application)
}

func secretArgs(content map[string]string) []string {
	var args []string
	for _, key := range slices.Sorted(maps.Keys(content)) {
		args = append(args, key+"="+content[key])
	}
	return args
}

// HoldAgent keeps a unit from following its application to another charm: its agent runs
// hooks of the one that it has, until it is let go.
func (l *Lab) HoldAgent(ctx context.Context, unit string, hold bool) error {
	m, err := l.MachineOf(unit)
	if err != nil {
		return err
	}
	script := "touch " + callsFile(unit, "held")
	if !hold {
		script = "rm " + callsFile(unit, "held") + "; systemctl restart " + jujudName(strings.TrimPrefix(m.Name, "juju-"))
	}
	_, err = m.Run(ctx, script)
	return err
}

// UpgradeMachine is juju upgrade-machine: with a base prepare, without complete.
func (l *Lab) UpgradeMachine(ctx context.Context, id, base string) error {
	l.mu.Lock()
	l.upgraded[id] = base != ""
	l.mu.Unlock()
	if base == "" {
		err := l.juju("upgrade-machine", id, "complete")
		// With the upgrade the controller stops the watcher of its messages (machinemanager,
		// GetUpgradeSeriesMessages), and the client does not take every error of that for the end.
		if err != nil && strings.HasSuffix(strings.TrimSpace(err.Error()), " post-series-upgrade completed\nERROR not found") {
			return nil
		}
		return err
	}
	return l.juju("upgrade-machine", id, "prepare", base, "--yes")
}

// Calls count the API calls of each unit's agent by method.
func (l *Lab) Calls() map[string]map[string]int {
	all, err := l.Juju.Calls(context.Background())
	l.fault(err)
	calls := map[string]map[string]int{}
	for call, count := range all {
		unit, method, _ := strings.Cut(call, " ")
		if calls[unit] == nil {
			calls[unit] = map[string]int{}
		}
		calls[unit][method] = count
	}
	return calls
}
