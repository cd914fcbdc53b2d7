// Package charm carries out one hook or action: read everything once, decide,
// apply the steps in order, publish, set the status last. Every hook takes the
// same way; a hook is a fresh process that trusts the machine and the databags.
package charm

import (
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/history"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/plan"
	"keepalived-charm/internal/render"
	"keepalived-charm/internal/show"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/step"
)

// Model is what a hook asks of Juju.
type Model interface {
	Options() (map[string]any, error)
	Relations(endpoint string) ([]juju.RelationID, error)
	RemoteUnits(juju.RelationID) ([]juju.Unit, error)
	Databag(juju.RelationID, juju.Unit) (juju.Databag, error)
	Network(endpoint string) (juju.Network, error)
	PlannedUnits(endpoints []string, application string) (int, error)
	Secret(uri string) (map[string]string, error)
	// Leader tells whether this unit leads its application; only the leader reads and writes
	// what that publishes.
	Leader() (bool, error)
	RemoteApplication(juju.RelationID) (string, error)
	ApplicationDatabag(id juju.RelationID, application string) (juju.Databag, error)
	Publish(juju.RelationID, juju.Databag) error
	PublishForApplication(juju.RelationID, juju.Databag) error
	Status() (juju.Status, error)
	SetStatus(juju.Status) error
	SetWorkloadVersion(string) error
	Log(line string)
	ActionParameters() (map[string]any, error)
	SetActionResults(map[string]string) error
	FailAction(reason string) error
}

// Machine is the machine that a hook looks at and changes.
type Machine interface {
	Observe(layout.Layout) (facts.Machine, error)
	Apply(layout.Layout, step.Step) error
	// Tell has Apply say for which program a step waits, whenever that changes; empty: for
	// none any more.
	Tell(waits func(holder string))
	// Rest waits a moment before the next Observe, less when something moves.
	Rest()
	// Now is the time on the machine; one in memory has its own.
	Now() time.Time
	// Watch looks at an address and port until the returned function is called,
	// which tells the longest time in which nobody answered, and whether somebody
	// does in the end.
	Watch(netip.AddrPort) func() (silent time.Duration, answers bool)
	// Check runs the check of the service once, as the health checker does.
	Check(layout.Layout) (checker.Once, error)
	// History returns the unit's journal, oldest entry first.
	History(layout.Layout) ([]history.Entry, error)
	// Unreachable returns those of the peers' addresses at which nothing answers but a
	// proxy, which has none of the link-layer addresses told for them.
	Unreachable(addresses []netip.Addr, macs map[netip.Addr][]string) ([]netip.Addr, error)
	// CharmOf returns the name of the charm that a unit on this machine has; empty where that
	// cannot be told.
	CharmOf(juju.Unit) string
	// Look listens and asks on the segments that the question names.
	Look(conflict.Question) (conflict.Look, error)
	// Remind leaves word that Juju is to run Refresh once the hook has ended.
	Remind(layout.Layout)
	// NoteVersion notes the version that Juju was told for Observe to return, if it can.
	NoteVersion(l layout.Layout, version string)
	// Taken returns those of some ports of the loopback device that others have: who listens
	// there, or another application of this charm on the machine.
	Taken(l layout.Layout, ports []int) []int
	// Report tells the health checker what a hook found, for the metrics, if it can.
	Report(layout.Layout, metrics.Hook)
}

// Run carries out one event. An error is a fault, which Juju shows and retries;
// what the operator must mend is a status instead.
func Run(ev juju.Event, j Model, m Machine) error {
	if ev.Kind == juju.Action {
		return act(ev, j, m)
	}
	if idle(ev.Hook) {
		return nil
	}
	obs, err := observe(ev, j, m)
	if err != nil {
		return err
	}
	return passAndShow(obs, j, m)
}

// Refresh does between hooks, when the virtual IP moved, what a hook does; ev says
// for which unit. A unit that serves nothing, because it has not begun to or has
// ended, stays as it is.
func Refresh(ev juju.Event, j Model, m Machine) error {
	obs, err := observe(ev, j, m)
	if err != nil {
		return err
	}
	if _, serves := obs.Machine.Files[(layout.Layout{Application: ev.Unit.Application}).Fragment()]; !serves {
		return nil
	}
	end, err := pass(obs, j, m)
	if err != nil {
		return err
	}
	if status.Passing(end.does) {
		// Nobody would tell of what comes of it.
		if err := m.Apply(layout.Layout{Application: ev.Unit.Application}, step.Step{Action: step.Await}); err != nil {
			return err
		}
		if obs, err = observe(ev, j, m); err != nil {
			return err
		}
		if end, err = pass(obs, j, m); err != nil {
			return err
		}
	}
	return end.show(ev, j, m)
}

// passAndShow sets the status last.
func passAndShow(obs facts.Observed, j Model, m Machine) error {
	end, err := pass(obs, j, m)
	if err != nil {
		return err
	}
	end.again = end.again || decide.Overwrites(obs)
	return end.show(obs.Event, j, m)
}

// show sets the status, and has Juju run Refresh where the unit has to look again.
func (o outcome) show(ev juju.Event, j Model, m Machine) error {
	if o.again {
		m.Remind(layout.Layout{Application: ev.Unit.Application})
	}
	if o.found.Version != 0 {
		m.Report(layout.Layout{Application: ev.Unit.Application}, o.found)
	}
	return setStatus(o.shown, j)
}

// setStatus sets a status that is new: each is a write to the controller and a line in
// the history.
func setStatus(status juju.Status, j Model) error {
	shown, err := j.Status()
	if err != nil || shown == status {
		return err
	}
	return j.SetStatus(status)
}

// tellsVersion picks the hooks that show keepalived's version: those after which it
// may be another one, and the regular one where it is. Each hook tool costs.
func tellsVersion(h hooks.Kind, another bool) bool {
	switch h {
	case hooks.Install, hooks.Start, hooks.UpgradeCharm, hooks.PostSeriesUpgrade:
		return true
	}
	return h == hooks.UpdateStatus && another
}

// tellVersion notes what it told, which no hook tool tells.
func tellVersion(obs facts.Observed, j Model, m Machine) error {
	version := obs.Machine.Version
	if version == "" || !tellsVersion(obs.Event.Hook, version != obs.Machine.VersionTold) {
		return nil
	}
	if err := j.SetWorkloadVersion(version); err != nil {
		return err
	}
	if version != obs.Machine.VersionTold {
		m.NoteVersion(layout.Layout{Application: obs.Event.Unit.Application}, version)
	}
	return nil
}

// idle tells hooks that bring nothing to do: some of Juju's, and all that are not known.
func idle(h hooks.Kind) bool {
	return h == hooks.CollectMetrics || h == hooks.MeterStatusChanged || h == ""
}

// pass brings the unit from what was observed to what is wanted. Options that cannot
// be used change nothing: the unit goes on by those that it used last.
func pass(obs facts.Observed, j Model, m Machine) (outcome, error) {
	obs, err := usable(obs, j, m)
	if err != nil {
		return outcome{}, err
	}
	end, err := reach(obs, j, m)
	if _, refused := status.Of(err); refused {
		// keepalived may refuse what this charm takes for good.
		before, found, fault := retreat(obs, err, j, m)
		if fault != nil {
			return outcome{}, fault
		}
		if found {
			obs = before
			end, err = reach(before, j, m)
		}
	}
	if refusal, refused := status.Of(err); refused {
		if err := keep(&obs, err, j, m); err != nil {
			return outcome{}, err
		}
		for _, tell := range []map[juju.RelationID]juju.Databag{decide.Tell(obs), decide.Acknowledge(obs)} {
			if err := publish(tell, obs, j); err != nil {
				return outcome{}, err
			}
		}
		if err := answer(decide.Answered(obs), obs, j); err != nil {
			return outcome{}, err
		}
		return outcome{shown: refusal, does: refusal, found: show.Refused(obs)}, nil
	}
	return end, err
}

// keep does for a unit that could decide, but not have what it decided, all that needs no
// other files of keepalived's.
func keep(obs *facts.Observed, refusal error, j Model, m Machine) error {
	want, err := render.Desire(*obs)
	if err != nil {
		return nil // it has settled
	}
	if obs.Machine, err = m.Observe(want.Layout); err != nil || obs.Machine.Version == "" && !obs.Machine.Active {
		return err // without keepalived there is nothing to keep
	}
	return apply(obs, plan.Keep(want, *obs, refusal), j, m)
}

// outcome is what a pass comes to: what juju status shows, and what the unit does. They
// differ while options cannot be used.
type outcome struct {
	shown, does juju.Status
	// again tells that the unit has to look again soon: what it saw may be over at any
	// time, and nobody would tell.
	again bool
	// found is what is told for the metrics; without a version: nothing.
	found metrics.Hook
}

// reach plans, applies and publishes.
func reach(obs facts.Observed, j Model, m Machine) (outcome, error) {
	want, err := render.Desire(obs)
	steps := plan.Settle(obs, err)
	if err == nil {
		steps = plan.Steps(want, obs)
	}
	// Installing comes last where the daemon runs without its program. It may be refused; what
	// was done before is told.
	last := steps[len(steps):]
	if n := len(steps) - 1; n >= 0 && obs.Machine.Active && steps[n].Action == step.InstallPackage {
		steps, last = steps[:n], steps[n:]
	}
	if applyErr := apply(&obs, steps, j, m); applyErr != nil {
		err = applyErr
	}
	if err != nil {
		return outcome{}, err
	}
	if obs.Unfinished() {
		// As if the hook had been killed: the next one goes on. Clients and units that begin need
		// not wait for it.
		want.TellClustered(obs)
		if err := publish(want.Meanwhile(obs), obs, j); err != nil {
			return outcome{}, err
		}
		return outcome{shown: show.Shown(want, obs), does: show.Status(want, obs.Machine), again: obs.Machine.NotifierActive, found: show.Found(want, obs)}, nil
	}
	want.TellVerdict(obs)
	want.TellClustered(obs)
	if err := publish(want.Publish, obs, j); err != nil {
		return outcome{}, err
	}
	if err := answer(want.Answers(obs), obs, j); err != nil {
		return outcome{}, err
	}
	if err := apply(&obs, last, j, m); err != nil {
		return outcome{}, err
	}
	if err := tellVersion(obs, j, m); err != nil {
		return outcome{}, err
	}
	return outcome{shown: show.Shown(want, obs), does: show.Status(want, obs.Machine), again: want.LooksAgain(obs.Machine) && obs.Machine.NotifierActive, found: show.Found(want, obs)}, nil
}

// publish writes what changes on the relations for this unit.
func publish(changes map[juju.RelationID]juju.Databag, obs facts.Observed, j Model) error {
	return write(changes, obs, j.Publish)
}

// answer writes what changes on them for the application.
func answer(changes map[juju.RelationID]juju.Databag, obs facts.Observed, j Model) error {
	return write(changes, obs, j.PublishForApplication)
}

// write goes by the order of the relations.
func write(changes map[juju.RelationID]juju.Databag, obs facts.Observed, publish func(juju.RelationID, juju.Databag) error) error {
	for _, r := range obs.Relations {
		if len(changes[r.ID]) == 0 {
			continue
		}
		if err := publish(r.ID, changes[r.ID]); err != nil {
			return err
		}
	}
	return nil
}

// told returns the error of a step. A fault of apt is told as well: of a hook that fails
// juju status knows the name alone, juju show-status-log has both.
func told(s step.Step, err error, j Model) error {
	if _, shows := status.Of(err); s.Action != step.InstallPackage || shows {
		return err
	}
	return errors.Join(err, j.SetStatus(status.InstallFails(err)))
}

// apply carries out the plan; the first fault ends it. It reads the machine again
// when it changed something.
func apply(obs *facts.Observed, steps []step.Step, j Model, m Machine) error {
	layout := layout.Layout{Application: obs.Event.Unit.Application}
	if len(steps) == 0 {
		return nil
	}
	var said []string
	for _, s := range steps {
		said = append(said, s.String())
	}
	j.Log("changing this machine: " + strings.Join(said, "; "))
	for _, s := range steps {
		if s.Action == step.InstallPackage {
			if err := j.SetStatus(status.Installing(s.Action, "")); err != nil {
				return err
			}
		}
		m.Tell(func(holder string) {
			if err := j.SetStatus(status.Installing(s.Action, holder)); err != nil {
				j.Log(err.Error()) // the step goes on
			}
		})
		if err := m.Apply(layout, s); err != nil {
			return told(s, err, j)
		}
	}
	var err error
	obs.Machine, err = m.Observe(layout)
	return err
}
