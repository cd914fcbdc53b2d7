package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"keepalived-charm/tests/controller"
)

// Deploy adds an application, as juju deploy does, with units on new machines of
// their own; a principal's workload is installed and runs. A subordinate has no
// units of its own.
func (l *Lab) Deploy(ctx context.Context, charm, application string, units int, config map[string]string) error {
	if l.Juju != nil {
		return l.jujuDeploy(ctx, charm, application, units, config)
	}
	c, err := ReadCharm(l.charm)
	if err == nil && charm != c.Meta.Name {
		c, err = otherCharm(charm)
	}
	if err != nil {
		return err
	}
	if err := l.Model.AddApplication(controller.ApplicationSpec{Name: application, Charm: c, Config: config}); err != nil {
		return err
	}
	return l.AddUnits(ctx, application, units)
}

// principalBase is what principals are deployed for. Keepalived without a base is for a later
// one, as Juju chooses.
const principalBase = "ubuntu@22.04"

// jujuDeploy is Deploy with Juju's own client.
func (l *Lab) jujuDeploy(ctx context.Context, charm, application string, units int, config map[string]string) error {
	args := []string{"deploy", "./" + charm, application, "--base", principalBase}
	if charm == "keepalived" {
		args = []string{"deploy", "./keepalived.charm", application}
	}
	if units > 0 {
		args = append(args, "-n", strconv.Itoa(units))
	}
	if _, err := l.Juju.Run(ctx, append(args, configArgs(config)...)...); err != nil || units == 0 {
		return err
	}
	return l.Settled(ctx)
}

// configArgs are arguments of juju deploy.
func configArgs(config map[string]string) []string {
	var args []string
	for _, option := range slices.Sorted(maps.Keys(config)) {
		args = append(args, "--config", option+"="+config[option])
	}
	return args
}

// AddUnits adds units of a principal, each on a new machine.
func (l *Lab) AddUnits(ctx context.Context, application string, count int) error {
	if count == 0 {
		return nil
	}
	if l.Juju != nil {
		if _, err := l.Juju.Run(ctx, "add-unit", application, "-n", strconv.Itoa(count)); err != nil {
			return err
		}
		return l.Settled(ctx)
	}
	defer l.Toil(ctx)()
	l.say("booting %d machine(s) for %s", count, application)
	ids, err := l.AddMachines(ctx, count)
	if err != nil {
		return err
	}
	l.say("starting haproxy on machine(s) %v", ids)
	errs := make([]error, count)
	var group sync.WaitGroup
	for i, id := range ids {
		group.Go(func() {
			m, err := l.Machine(id)
			if err == nil {
				err = m.StartHAProxy(ctx)
			}
			errs[i] = err
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, id := range ids {
		if _, err := l.Model.AddUnit(application, id); err != nil {
			return err
		}
	}
	return nil
}

// RemoveUnit removes a principal unit and switches its machine off once nothing of
// the unit is left.
func (l *Lab) RemoveUnit(ctx context.Context, unit string) error {
	m, err := l.MachineOf(unit)
	if err != nil {
		return err
	}
	if err := l.DestroyUnit(unit); err != nil {
		return err
	}
	if err := l.Settled(ctx); err != nil {
		return err
	}
	l.agents.Wait() // what is still tidied up on the machine
	return l.Kill(ctx, strings.TrimPrefix(m.Name, "juju-"))
}

// Consumer deploys an application whose single unit exists in the model only, with Juju's own
// controller on the first machine.
func (l *Lab) Consumer(charm string) error {
	if l.Juju != nil {
		_, err := l.Juju.Run(context.Background(), "deploy", "./"+charm, "--base", principalBase, "--to", "0")
		return err
	}
	c, err := otherCharm(charm)
	if err != nil {
		return err
	}
	if err := l.Model.AddApplication(controller.ApplicationSpec{Charm: c}); err != nil {
		return err
	}
	id := "model-" + charm
	if err := l.Model.AddMachine(id, controller.Address{Value: "10.10.75.2", CIDR: "10.10.75.0/24", Interface: "eth0"}); err != nil {
		return err
	}
	_, err = l.Model.AddUnit(charm, id)
	return err
}

// Databags returns what the units of an application publish in one relation, by
// unit.
func (l *Lab) Databags(application, a, b string) (map[string]map[string]string, error) {
	if l.Juju != nil {
		return l.jujuDatabags(application, a, b)
	}
	id, err := l.Model.RelationID(a, b)
	if err != nil {
		return nil, err
	}
	bags := map[string]map[string]string{}
	for _, r := range l.Model.Status().Relations {
		if r.ID != id {
			continue
		}
		for _, u := range l.Model.Status().Units {
			if bag, ok := r.UnitData[u.Name]; ok && u.Application == application {
				bags[u.Name] = bag
			}
		}
	}
	if len(bags) == 0 {
		return nil, fmt.Errorf("cannot find databags of %s between %s and %s", application, a, b)
	}
	return bags, nil
}

// jujuDatabags is Databags with Juju's own client.
func (l *Lab) jujuDatabags(application, a, b string) (map[string]map[string]string, error) {
	relations, err := l.shownRelations(application)
	if err != nil {
		return nil, err
	}
	ends := [2]string{a[strings.Index(a, ":")+1:], b[strings.Index(b, ":")+1:]}
	for _, r := range relations {
		if r.ends == ends {
			return r.bags, nil
		}
	}
	return nil, fmt.Errorf("cannot find databags of %s between %s and %s", application, a, b)
}

// AllDatabags are what the units of an application publish, by relation and unit.
func (l *Lab) AllDatabags(application string) map[int]map[string]map[string]string {
	bags := map[int]map[string]map[string]string{}
	if l.Juju == nil {
		for _, r := range l.Model.Status().Relations {
			bags[r.ID] = maps.Clone(r.UnitData)
		}
		return bags
	}
	relations, err := l.shownRelations(application)
	l.fault(err)
	for id, r := range relations {
		bags[id] = r.bags
	}
	return bags
}

// shownRelation is a relation of an application's.
type shownRelation struct {
	ends [2]string // the application's endpoint, and that of the other side
	bags map[string]map[string]string
}

// shownRelations are the relations in which units of an application publish anything, by ID.
// Juju shows what a unit publishes to those that it is related to, and what units of the same
// application tell each other.
func (l *Lab) shownRelations(application string) (map[int]shownRelation, error) {
	show := []string{"show-unit", "--format", "json"}
	for name := range l.Units() {
		show = append(show, name)
	}
	text, err := l.Juju.Run(context.Background(), show...)
	if err != nil {
		return nil, err
	}
	type bag struct {
		InScope bool `json:"in-scope"`
		Data    map[string]string
	}
	var units map[string]struct {
		Relations []struct {
			ID       int `json:"relation-id"`
			Endpoint string
			Related  string         `json:"related-endpoint"`
			Local    bag            `json:"local-unit"`
			Units    map[string]bag `json:"related-units"`
		} `json:"relation-info"`
	}
	if err := json.Unmarshal([]byte(text), &units); err != nil {
		return nil, fmt.Errorf("cannot read juju show-unit: %w", err)
	}
	relations := map[int]shownRelation{}
	for name, u := range units {
		for _, r := range u.Relations {
			bags := maps.Clone(r.Units)
			if r.Local.InScope {
				bags = map[string]bag{name: r.Local}
			}
			for name, b := range bags {
				if !strings.HasPrefix(name, application+"/") || !b.InScope {
					continue
				}
				if _, ok := relations[r.ID]; !ok {
					relations[r.ID] = shownRelation{[2]string{r.Related, r.Endpoint}, map[string]map[string]string{}}
				}
				relations[r.ID].bags[name] = b.Data
			}
		}
	}
	return relations, nil
}
