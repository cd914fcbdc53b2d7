package charm

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/juju/charm/v12/hooks"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/hacluster"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/loadbalancer"
	"keepalived-charm/internal/status"
)

// observe reads everything a decision may depend on, once.
func observe(ev juju.Event, j Model, m Machine) (facts.Observed, error) {
	obs := facts.Observed{Event: ev}
	var err error
	if obs.Machine, err = m.Observe(layout.Layout{Application: ev.Unit.Application}); err != nil {
		return obs, err
	}
	if !decide.NeedsModel(obs) {
		if ev.Hook == hooks.PreSeriesUpgrade && !obs.Stopped() {
			obs.Relations = observeTold(ev, j)
		}
		return obs, nil
	}
	options, err := j.Options()
	if err != nil {
		return obs, err
	}
	obs.Options = config.Read(options)
	network, err := j.Network(endpoint.Cluster)
	if err != nil {
		return obs, err
	}
	obs.Ingress, obs.Bound = network.Addresses(), network.Interfaces()
	for _, name := range []string{endpoint.Website, endpoint.LoadBalancer, endpoint.CosAgent, endpoint.Cluster, endpoint.HA, endpoint.LBConsumers} {
		relations, err := observeEndpoint(ev, j, m, name, obs.Machine.Applied.Left)
		if err != nil {
			return obs, err
		}
		obs.Relations = append(obs.Relations, relations...)
	}
	if obs.LeavesPrincipal() {
		if obs.Attached, err = attached(ev, j); err != nil {
			return obs, err
		}
	}
	obs = decide.Asked(obs)
	return obs, complete(&obs, j, m)
}

// complete reads what depends on the options.
func complete(obs *facts.Observed, j Model, m Machine) error {
	if uri := decide.NeedsSecret(*obs); uri != "" {
		var err error
		if obs.Secret, err = j.Secret(uri); err != nil {
			// Not granted, removed, misspelt: the operator's to mend, not a fault.
			obs.Secret = map[string]string{}
			j.Log(err.Error())
		}
	}
	var err error
	if decide.NeedsPlanned(*obs) {
		if obs.Planned, err = j.PlannedUnits(endpoint.Principal(), obs.Event.Principal.Application); err != nil {
			return err
		}
	}
	obs.Machine.Unreachable = nil
	if waitedFor := decide.Probe(*obs); len(waitedFor) > 0 {
		if obs.Machine.Unreachable, err = m.Unreachable(waitedFor, decide.MACs(*obs)); err != nil {
			return err
		}
	}
	obs.Machine.Taken = nil
	if ports := decide.Ports(*obs); len(ports) > 0 {
		obs.Machine.Taken = m.Taken(layout.Layout{Application: obs.Event.Unit.Application}, ports)
	}
	ask := decide.Ask(*obs)
	if ask == nil {
		return nil
	}
	if glance := decide.Glance(*obs, *ask); glance != nil {
		if err := look(obs, *glance, j, m); err != nil || decide.Premature(*obs) {
			return err
		}
	}
	return look(obs, *ask, j, m)
}

// usable returns what was observed, with the options that the unit used last in the
// place of those that cannot be used.
func usable(obs facts.Observed, j Model, m Machine) (facts.Observed, error) {
	_, err := decide.Decide(obs)
	if _, refused := status.Of(err); !refused {
		return obs, nil // a fault shows again
	}
	before, found, err := retreat(obs, err, j, m)
	if !found {
		return obs, err
	}
	return before, nil
}

// retreat goes back to the options that the unit took last; false when it took none,
// or cannot use them any more.
func retreat(obs facts.Observed, refusal error, j Model, m Machine) (facts.Observed, bool, error) {
	for _, before := range obs.Before(refusal) {
		if err := complete(&before, j, m); err != nil {
			return obs, false, err
		}
		if _, err := decide.Decide(before); err == nil {
			return before, true, nil
		}
	}
	return obs, false, nil
}

// observeTold reads what this unit tells its peers and its principal unit, for one that takes it
// back. Where Juju cannot be asked the virtual IPs are handed over all the same.
func observeTold(ev juju.Event, j Model) []facts.Relation {
	var relations []facts.Relation
	for _, name := range []string{endpoint.Cluster, endpoint.HA} {
		ids, err := j.Relations(name)
		for n := 0; n < len(ids) && err == nil; n++ {
			var r facts.Relation
			if r, err = observeOwn(ev, j, name, ids[n]); err == nil {
				relations = append(relations, r)
			}
		}
		if err != nil {
			j.Log(err.Error())
		}
	}
	return relations
}

// observeOwn reads what this unit publishes on a relation.
func observeOwn(ev juju.Event, j Model, name string, id juju.RelationID) (facts.Relation, error) {
	r := facts.Relation{ID: id, Endpoint: name}
	var err error
	if r.Own, err = j.Databag(id, ev.Unit); err == nil && name == endpoint.Cluster {
		r.Told = facts.ReadMember(r.Own).Member
	}
	return r, err
}

func observeEndpoint(ev juju.Event, j Model, m Machine, name string, left map[int]int64) ([]facts.Relation, error) {
	ids, err := j.Relations(name)
	if err != nil {
		return nil, err
	}
	if name == endpoint.LBConsumers && len(ids) > 0 {
		if leads, err := j.Leader(); err != nil || !leads {
			return nil, err
		}
	}
	var relations []facts.Relation
	for _, id := range ids {
		if ev.Hook == hooks.RelationBroken && ev.Relation == id {
			continue // Juju 2.9 still lists it
		}
		r := facts.Relation{ID: id, Endpoint: name}
		if name != endpoint.LBConsumers { // units tell nothing there
			if r, err = observeOwn(ev, j, name, id); err != nil {
				return nil, err
			}
		}
		switch name {
		case endpoint.Cluster:
			r.Members, err = observeUnits(ev, j, id, lefts(ev, id, left, m.Now()))
		case endpoint.LBConsumers:
			r.Consumer, err = observeConsumer(ev, j, id)
		case endpoint.HA:
			r.Request, err = observeRequest(ev, j, m, id)
		default:
			r.Service = facts.ReadService(r.Own)
		}
		if err != nil {
			return nil, err
		}
		relations = append(relations, r)
	}
	return relations, nil
}

// lingerMost bounds how long a unit that is no peer any more counts as one. Who removes a unit
// by force may leave its machine as it is, and no word of it ever comes.
const lingerMost = time.Hour

// lefts are the units, by number, that Juju lists no more, with when it took them off the list,
// in seconds since 1970. It does so when a unit is to be removed, and that one's own hooks may
// wait, for its agent or for another charm's hook on its machine.
func lefts(ev juju.Event, id juju.RelationID, before map[int]int64, now time.Time) map[int]int64 {
	left := maps.Clone(before)
	maps.DeleteFunc(left, func(_ int, since int64) bool { return now.Sub(time.Unix(since, 0)).Abs() > lingerMost })
	if ev.Hook != hooks.RelationDeparted || ev.Relation != id || ev.Departing == ev.Unit || ev.Departing.Application != ev.Unit.Application {
		return left
	}
	if left == nil {
		left = map[int]int64{}
	}
	left[ev.Departing.Number] = cmp.Or(left[ev.Departing.Number], now.Unix())
	return left
}

// observeRequest reads what the principal unit asks for: nothing before it has joined. The
// result is nil once it leaves.
func observeRequest(ev juju.Event, j Model, m Machine, id juju.RelationID) (*hacluster.Request, error) {
	if ev.Hook == hooks.RelationDeparted && ev.Relation == id {
		return nil, nil
	}
	units, err := j.RemoteUnits(id)
	if err != nil || !slices.Contains(units, ev.Principal) {
		return &hacluster.Request{}, err
	}
	bag, err := j.Databag(id, ev.Principal)
	if err != nil {
		return nil, err
	}
	r := hacluster.ReadFrom(m.CharmOf(ev.Principal), bag)
	return &r, nil
}

// observeConsumer reads what an application asks for, and what it was told.
func observeConsumer(ev juju.Event, j Model, id juju.RelationID) (*facts.Consumer, error) {
	application, err := j.RemoteApplication(id)
	if err != nil {
		return nil, err
	}
	asks, err := j.ApplicationDatabag(id, application)
	if err != nil {
		return nil, err
	}
	told, err := j.ApplicationDatabag(id, ev.Unit.Application)
	return &facts.Consumer{Application: application, Requests: loadbalancer.Read(asks), Told: told}, err
}

// attached tells whether the unit has another relation to its principal unit than the one that
// a hook takes away.
func attached(ev juju.Event, j Model) (bool, error) {
	for _, name := range endpoint.Principal() {
		ids, err := j.Relations(name)
		if err != nil {
			return false, err
		}
		for _, id := range ids {
			if id == ev.Relation {
				continue
			}
			units, err := j.RemoteUnits(id)
			if err != nil || slices.Contains(units, ev.Principal) {
				return err == nil, err
			}
		}
	}
	return false, nil
}

// observeUnits reads what the other units told. Of those that have left it takes who may take part
// still: what they told can be read for as long as there is the relation (Juju 3.5.4,
// state/relationunit.go, ReadSettings), and where it cannot they are gone.
func observeUnits(ev juju.Event, j Model, id juju.RelationID, left map[int]int64) (map[juju.Unit]facts.Member, error) {
	units, err := j.RemoteUnits(id)
	if err != nil {
		return nil, err
	}
	members := map[juju.Unit]facts.Member{}
	units = slices.DeleteFunc(units, func(u juju.Unit) bool { return u == ev.Departing })
	listed := len(units)
	for number := range left {
		if u := (juju.Unit{Application: ev.Unit.Application, Number: number}); !slices.Contains(units, u) {
			units = append(units, u)
		}
	}
	for n, u := range units {
		since := int64(0)
		if n >= listed {
			since = left[u.Number]
		}
		bag, err := j.Databag(id, u)
		switch {
		case err == nil:
		case since != 0:
			j.Log(err.Error())
			continue
		default:
			return nil, err
		}
		if m := facts.ReadMember(bag); since == 0 || m.Lingers() {
			m.Left = since
			members[u] = m
		}
	}
	return members, nil
}
