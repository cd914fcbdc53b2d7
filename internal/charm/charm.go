// Package charm carries out one hook or action: read everything once, decide,
// apply the steps in order, publish, set the status last. Every hook takes the
// same way; a hook is a fresh process that trusts the machine and the databags.
package charm

import (
	"net/netip"
	"strings"
	"time"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/history"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/reconcile"
)

// Model is what a hook asks of Juju.
type Model interface {
	Options() (map[string]any, error)
	Relations(endpoint string) ([]juju.RelationID, error)
	RemoteUnits(juju.RelationID) ([]juju.Unit, error)
	Databag(juju.RelationID, juju.Unit) (juju.Databag, error)
	Network(endpoint string) (juju.Network, error)
	PlannedUnits(endpoint, application string) (int, error)
	Secret(uri string) (map[string]string, error)
	Publish(juju.RelationID, juju.Databag) error
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
	Observe(reconcile.Layout) (reconcile.Machine, error)
	Apply(reconcile.Layout, reconcile.Step) error
	// Rest waits a moment before the next Observe, less when something moves.
	Rest()
	// Watch looks at an address and port until the returned function is called,
	// which tells the longest time in which nobody answered, and whether somebody
	// does in the end.
	Watch(netip.AddrPort) func() (silent time.Duration, answers bool)
	// Check runs the check of the service once, as the health checker does.
	Check(reconcile.Layout) (checker.Once, error)
	// History returns the unit's journal, oldest entry first.
	History(reconcile.Layout) ([]history.Entry, error)
	// Unreachable returns those of the peers' addresses at which nothing answers.
	Unreachable([]netip.Addr) ([]netip.Addr, error)
	// Look listens and asks on the segments that the question names.
	Look(conflict.Question) (conflict.Look, error)
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
	if _, serves := obs.Machine.Files[(reconcile.Layout{Application: ev.Unit.Application}).Fragment()]; !serves {
		return nil
	}
	status, err := pass(obs, j, m)
	if err != nil {
		return err
	}
	if reconcile.Passing(status) {
		// Nobody would tell of what comes of it.
		if err := m.Apply(reconcile.Layout{Application: ev.Unit.Application}, reconcile.Step{Action: reconcile.Await}); err != nil {
			return err
		}
		if obs, err = observe(ev, j, m); err != nil {
			return err
		}
		if status, err = pass(obs, j, m); err != nil {
			return err
		}
	}
	return show(status, j)
}

// passAndShow sets the status last.
func passAndShow(obs reconcile.Observed, j Model, m Machine) error {
	status, err := pass(obs, j, m)
	if err != nil {
		return err
	}
	return show(status, j)
}

// show sets a status that is new: each is a write to the controller and a line in
// the history.
func show(status juju.Status, j Model) error {
	shown, err := j.Status()
	if err != nil || shown == status {
		return err
	}
	return j.SetStatus(status)
}

// tellsVersion picks the hooks that show keepalived's version: those after which it
// may be another one, and the regular one. Each hook tool costs.
func tellsVersion(h hooks.Kind) bool {
	switch h {
	case hooks.Install, hooks.Start, hooks.UpgradeCharm, hooks.UpdateStatus, hooks.PostSeriesUpgrade:
		return true
	}
	return false
}

// idle tells hooks that bring nothing to do.
func idle(h hooks.Kind) bool { return h == hooks.CollectMetrics || h == hooks.MeterStatusChanged }

// pass brings the unit from what was observed to what is wanted.
func pass(obs reconcile.Observed, j Model, m Machine) (juju.Status, error) {
	want, err := reconcile.Desire(obs)
	steps := reconcile.Settle(obs, err)
	if err == nil {
		steps = reconcile.Plan(want, obs)
	}
	if applyErr := apply(&obs, steps, j, m); applyErr != nil {
		err = applyErr
	}
	if status, blocked := reconcile.StatusOf(err); blocked {
		return status, nil
	}
	if err != nil {
		return juju.Status{}, err
	}
	want.TellVerdict(obs)
	for _, r := range obs.Relations {
		if changes := want.Publish[r.ID]; len(changes) > 0 {
			if err := j.Publish(r.ID, changes); err != nil {
				return juju.Status{}, err
			}
		}
	}
	if tellsVersion(obs.Event.Hook) && obs.Machine.Version != "" {
		if err := j.SetWorkloadVersion(obs.Machine.Version); err != nil {
			return juju.Status{}, err
		}
	}
	return want.Status(obs.Machine), nil
}

// apply carries out the plan; the first fault ends it. It reads the machine again
// when it changed something.
func apply(obs *reconcile.Observed, steps []reconcile.Step, j Model, m Machine) error {
	layout := reconcile.Layout{Application: obs.Event.Unit.Application}
	if len(steps) == 0 {
		return nil
	}
	var said []string
	for _, s := range steps {
		said = append(said, s.String())
	}
	j.Log("changing this machine: " + strings.Join(said, "; "))
	for _, s := range steps {
		if s.Action == reconcile.InstallPackage {
			if err := j.SetStatus(juju.Status{Level: juju.Maintenance, Message: "installing keepalived"}); err != nil {
				return err
			}
		}
		if err := m.Apply(layout, s); err != nil {
			return err
		}
	}
	var err error
	obs.Machine, err = m.Observe(layout)
	return err
}

// observe reads everything a decision may depend on, once.
func observe(ev juju.Event, j Model, m Machine) (reconcile.Observed, error) {
	obs := reconcile.Observed{Event: ev}
	var err error
	if obs.Machine, err = m.Observe(reconcile.Layout{Application: ev.Unit.Application}); err != nil {
		return obs, err
	}
	if !reconcile.NeedsModel(ev.Hook) {
		return obs, nil
	}
	if obs.Options, err = j.Options(); err != nil {
		return obs, err
	}
	if uri := reconcile.NeedsSecret(obs); uri != "" {
		// Not granted, removed, misspelt: the operator's to mend, not a fault.
		if obs.Secret, err = j.Secret(uri); err != nil {
			obs.Secret = map[string]string{}
			j.Log(err.Error())
		}
	}
	network, err := j.Network(endpoint.Cluster)
	if err != nil {
		return obs, err
	}
	obs.Ingress, obs.Bound = network.Addresses(), network.Interfaces()
	for _, name := range []string{endpoint.Website, endpoint.LoadBalancer, endpoint.Cluster} {
		relations, err := observeEndpoint(ev, j, name)
		if err != nil {
			return obs, err
		}
		obs.Relations = append(obs.Relations, relations...)
	}
	ask := reconcile.Ask(obs)
	if reconcile.NeedsPlanned(obs) {
		if obs.Planned, err = j.PlannedUnits(endpoint.JujuInfo, ev.Principal.Application); err != nil {
			return obs, err
		}
	}
	if waitedFor := reconcile.Probe(obs); len(waitedFor) > 0 {
		if obs.Machine.Unreachable, err = m.Unreachable(waitedFor); err != nil {
			return obs, err
		}
	}
	if ask != nil {
		err = look(&obs, *ask, j, m)
	}
	return obs, err
}

func observeEndpoint(ev juju.Event, j Model, name string) ([]reconcile.Relation, error) {
	ids, err := j.Relations(name)
	if err != nil {
		return nil, err
	}
	var relations []reconcile.Relation
	for _, id := range ids {
		if ev.Hook == hooks.RelationBroken && ev.Relation == id {
			continue // Juju 2.9 still lists it
		}
		r := reconcile.Relation{ID: id, Endpoint: name}
		if r.Own, err = j.Databag(id, ev.Unit); err != nil {
			return nil, err
		}
		if name == endpoint.Cluster {
			if r.Units, err = observeUnits(ev, j, id); err != nil {
				return nil, err
			}
		}
		relations = append(relations, r)
	}
	return relations, nil
}

func observeUnits(ev juju.Event, j Model, id juju.RelationID) (map[juju.Unit]juju.Databag, error) {
	units, err := j.RemoteUnits(id)
	if err != nil {
		return nil, err
	}
	bags := map[juju.Unit]juju.Databag{}
	for _, u := range units {
		if u == ev.Departing {
			continue
		}
		if bags[u], err = j.Databag(id, u); err != nil {
			return nil, err
		}
	}
	return bags, nil
}
