package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Deploy adds an application, as juju deploy does, with units on new machines of
// their own; a principal's workload is installed and runs. A subordinate has no
// units of its own.
func (l *Lab) Deploy(ctx context.Context, charm, application string, units int, config map[string]string) error {
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

// principalBase is what principals are deployed for. Keepalived without a base is for a later
// one, as Juju chooses.
const principalBase = "ubuntu@22.04"

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
	if err := l.juju("add-unit", application, "-n", strconv.Itoa(count)); err != nil {
		return err
	}
	return l.Settled(ctx)
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
	return l.Kill(ctx, strings.TrimPrefix(m.Name, "juju-"))
}

// Consumer deploys an application with a single unit, on the first machine.
func (l *Lab) Consumer(charm string) error {
	return l.juju("deploy", "./"+charm, "--base", principalBase, "--to", "0")
}

// Databags returns what the units of an application publish in one relation, by
// unit.
func (l *Lab) Databags(application, a, b string) (map[string]map[string]string, error) {
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
