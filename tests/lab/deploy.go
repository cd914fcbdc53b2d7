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
	c := l.charm
	var err error
	if charm != c.Meta.Name {
		if c, err = otherCharm(charm); err != nil {
			return err
		}
	}
	if err := l.Model.AddApplication(controller.ApplicationSpec{Name: application, Charm: c, Config: config}); err != nil {
		return err
	}
	return l.AddUnits(ctx, application, units)
}

// jujuDeploy is Deploy with Juju's own client.
func (l *Lab) jujuDeploy(ctx context.Context, charm, application string, units int, config map[string]string) error {
	args := []string{"deploy", "./" + charm, application}
	if charm == "keepalived" {
		args[1] += ".charm"
	}
	if units > 0 {
		args = append(args, "-n", strconv.Itoa(units))
	}
	for _, option := range slices.Sorted(maps.Keys(config)) {
		args = append(args, "--config", option+"="+config[option])
	}
	if _, err := l.Juju.Run(ctx, args...); err != nil || units == 0 {
		return err
	}
	return l.Settled(ctx)
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
	if l.Juju != nil {
		_, err = l.Juju.Run(ctx, "remove-unit", "--no-prompt", unit)
	} else {
		err = l.Model.RemoveUnit(unit)
	}
	if err != nil {
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
		_, err := l.Juju.Run(context.Background(), "deploy", "./"+charm, "--to", "0")
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

// jujuDatabags is Databags with Juju's own client. Relations are named as Juju shows them:
// the endpoint, and that of the other side.
func (l *Lab) jujuDatabags(application, a, b string) (map[string]map[string]string, error) {
	units, err := l.showUnits(application)
	if err != nil {
		return nil, err
	}
	_, ours, _ := strings.Cut(a, ":")
	_, theirs, _ := strings.Cut(b, ":")
	bags := map[string]map[string]string{}
	for name, u := range units {
		for _, r := range u.Relations {
			if r.Endpoint == ours && r.Related == theirs && r.Local.InScope {
				bags[name] = r.Local.Data
			}
		}
	}
	if len(bags) == 0 {
		return nil, fmt.Errorf("cannot find databags of %s between %s and %s", application, a, b)
	}
	return bags, nil
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
	units, err := l.showUnits(application)
	l.fault(err)
	for name, u := range units {
		for _, r := range u.Relations {
			if bags[r.ID] == nil {
				bags[r.ID] = map[string]map[string]string{}
			}
			bags[r.ID][name] = r.Local.Data
		}
	}
	return bags
}

// shownUnit is what juju show-unit says.
type shownUnit struct {
	Relations []struct {
		ID       int `json:"relation-id"`
		Endpoint string
		Related  string `json:"related-endpoint"`
		Local    struct {
			InScope bool `json:"in-scope"`
			Data    map[string]string
		} `json:"local-unit"`
	} `json:"relation-info"`
}

func (l *Lab) showUnits(application string) (map[string]shownUnit, error) {
	show := []string{"show-unit", "--format", "json"}
	for name := range l.Units() {
		if strings.HasPrefix(name, application+"/") {
			show = append(show, name)
		}
	}
	text, err := l.Juju.Run(context.Background(), show...)
	if err != nil {
		return nil, err
	}
	var units map[string]shownUnit
	if err := json.Unmarshal([]byte(text), &units); err != nil {
		return nil, fmt.Errorf("cannot read juju show-unit: %w", err)
	}
	return units, nil
}
