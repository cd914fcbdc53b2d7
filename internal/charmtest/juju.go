package charmtest

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"keepalived-charm/internal/docstest"
	"keepalived-charm/internal/juju"
)

// Juju is the model as one unit sees it.
type Juju struct {
	Unit, Principal juju.Unit
	// Options are the options that have a value or a default (config-get).
	Options map[string]any
	// Relations holds every databag: endpoint, relation, unit.
	Relations map[string]map[juju.RelationID]map[juju.Unit]juju.Databag
	// Left is what units told on the peer relation that are listed no more.
	Left map[juju.Unit]juju.Databag
	// Leads tells that the unit leads its application. Consumers are the application databags of
	// relations on lb-consumers, of the application on the other side and of this one.
	Leads     bool
	Consumers map[juju.RelationID]Consumer
	// Ingress and Bind are what network-get lists; none where the network space that the
	// endpoint is bound to has no address on this machine.
	Ingress, Bind []string
	// Interface is the interface that network-get names; empty for eth0.
	Interface string
	// Secrets are the user secrets that this application may read, by URI.
	Secrets map[string]map[string]string
	// Planned is how many units the principal's application has; at least those of
	// the peer relation.
	Planned int
	Status  juju.Status
	// Fixed tells that Juju lets nobody set a status, as Juju 4 may in an action.
	Fixed bool
	// Statuses are all statuses that were set, the last one last.
	Statuses []juju.Status
	Version  string
	Lines    []string
	// Away tells that no relation can be asked about.
	Away bool
	// Parameters are those of the next action.
	Parameters map[string]any
	// Results and Failure are what the last action said.
	Results map[string]string
	Failure string
}

// Consumer is an application that asks for a load balancer.
type Consumer struct {
	Application string
	Asks, Told  juju.Databag
}

// NewJuju returns a model with no relation and the defaults of config.yaml.
func NewJuju(unit, principal juju.Unit, address string) Juju {
	return Juju{
		Unit: unit, Principal: principal,
		Options:   map[string]any{"virtual_ip": "", "vip_hostname": "", "network_interface": "", "port": 443, "router_id": 23},
		Consumers: map[juju.RelationID]Consumer{},
		Relations: map[string]map[juju.RelationID]map[juju.Unit]juju.Databag{},
		Ingress:   []string{address}, Bind: []string{address},
	}
}

// Relate adds a relation with remote units that have published nothing. As Juju
// does, it puts the unit's address into its own databag.
func (j *Juju) Relate(endpoint string, id juju.RelationID, remote ...juju.Unit) {
	if j.Relations[endpoint] == nil {
		j.Relations[endpoint] = map[juju.RelationID]map[juju.Unit]juju.Databag{}
	}
	bags := map[juju.Unit]juju.Databag{j.Unit: {
		"ingress-address": j.Ingress[0], "private-address": j.Ingress[0], "egress-subnets": j.Ingress[0] + "/32",
	}}
	for _, u := range remote {
		bags[u] = juju.Databag{}
	}
	j.Relations[endpoint][id] = bags
}

// Own is the unit's databag in a relation.
func (j Juju) Own(id juju.RelationID) juju.Databag { return j.bags(id)[j.Unit] }

func (j Juju) bags(id juju.RelationID) map[juju.Unit]juju.Databag {
	endpoint, _, _ := strings.Cut(string(id), ":")
	return j.Relations[endpoint][id]
}

func (j Juju) ids(endpoint string) []juju.RelationID {
	return slices.Sorted(maps.Keys(j.Relations[endpoint]))
}

func (j Juju) clone() Juju {
	c := j
	c.Consumers = map[juju.RelationID]Consumer{}
	for id, one := range j.Consumers {
		c.Consumers[id] = Consumer{one.Application, maps.Clone(one.Asks), maps.Clone(one.Told)}
	}
	c.Options, c.Results, c.Left = maps.Clone(j.Options), maps.Clone(j.Results), maps.Clone(j.Left)
	c.Ingress, c.Bind = slices.Clone(j.Ingress), slices.Clone(j.Bind)
	c.Statuses, c.Lines = slices.Clone(j.Statuses), slices.Clone(j.Lines)
	c.Relations = map[string]map[juju.RelationID]map[juju.Unit]juju.Databag{}
	for endpoint, relations := range j.Relations {
		c.Relations[endpoint] = map[juju.RelationID]map[juju.Unit]juju.Databag{}
		for id, bags := range relations {
			c.Relations[endpoint][id] = map[juju.Unit]juju.Databag{}
			for u, bag := range bags {
				c.Relations[endpoint][id][u] = maps.Clone(bag)
			}
		}
	}
	return c
}

// Databags prints what the unit publishes.
func (j Juju) Databags() string {
	var b strings.Builder
	for _, endpoint := range slices.Sorted(maps.Keys(j.Relations)) {
		for _, id := range j.ids(endpoint) {
			fmt.Fprintf(&b, "%s\n", id)
			bag := j.Own(id)
			for _, key := range slices.Sorted(maps.Keys(bag)) {
				fmt.Fprintf(&b, "  %s: %s\n", key, bag[key])
			}
		}
	}
	return b.String()
}

// String prints what the unit says to the outside: status, version, databags.
func (j Juju) String() string {
	return fmt.Sprintf("unit %s, %s, version %q\n%s", j.Unit, j.Status, j.Version, j.Databags())
}

// model lets one hook call the state's hook tools (charm.Model).
type model struct {
	t     testing.TB
	state *Juju
	life  *life
	// pending is what the hook published; Juju keeps it back until the hook ended
	// well.
	pending map[juju.RelationID]juju.Databag
}

// flush is what Juju does after a hook that ended well. At the end of
// config-changed it puts the unit's address back into every databag; it works
// that out, as it does the hook's own changes, from the databag as it was.
func (m *model) flush(hook string) {
	for endpoint := range m.state.Relations {
		for _, id := range m.state.ids(endpoint) {
			bag := m.state.Own(id)
			changes := juju.Databag{}
			for _, key := range []string{"private-address", "ingress-address"} {
				if hook == "config-changed" && bag[key] != "" && len(m.state.Ingress) > 0 {
					changes[key] = m.state.Ingress[0]
				}
			}
			for key, value := range m.pending[id] {
				if bag[key] != value {
					changes[key] = value
				}
			}
			for key, value := range changes {
				if value == "" {
					delete(bag, key)
				} else {
					bag[key] = value
				}
			}
		}
	}
}

func (m *model) Options() (options map[string]any, err error) {
	err = m.life.call(func() error {
		text, err := json.Marshal(m.state.Options)
		if err != nil {
			return err
		}
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		return d.Decode(&options)
	})
	return options, err
}

func (m *model) Relations(endpoint string) (ids []juju.RelationID, err error) {
	err = m.life.call(func() error {
		if m.state.Away {
			return errors.New("cannot list relations: connection is shut down")
		}
		ids = m.state.ids(endpoint)
		return nil
	})
	return ids, err
}

func (m *model) RemoteUnits(id juju.RelationID) (units []juju.Unit, err error) {
	err = m.life.call(func() error {
		if m.state.bags(id) == nil {
			return fmt.Errorf("invalid value %q for option -r: relation not found", id)
		}
		for u := range m.state.bags(id) {
			if u != m.state.Unit {
				units = append(units, u)
			}
		}
		slices.SortFunc(units, func(a, b juju.Unit) int { return strings.Compare(a.String(), b.String()) })
		return nil
	})
	return units, err
}

func (m *model) Databag(id juju.RelationID, unit juju.Unit) (bag juju.Databag, err error) {
	err = m.life.call(func() error {
		have, ok := m.state.bags(id)[unit]
		if left, told := m.state.Left[unit]; !ok && told {
			have, ok = left, true
		}
		if !ok {
			return fmt.Errorf("cannot read settings for unit %q in relation %q: settings not found", unit, id)
		}
		if bag = maps.Clone(have); unit == m.state.Unit {
			maps.Copy(bag, m.pending[id])
		}
		return nil
	})
	return bag, err
}

func (m *model) Network(endpoint string) (n juju.Network, err error) {
	err = m.life.call(func() error {
		if len(m.state.Ingress)+len(m.state.Bind) == 0 {
			return nil // as the hook tool's answer is read
		}
		text, err := json.Marshal(map[string]any{
			"bind-addresses":    []any{map[string]any{"interface-name": cmp.Or(m.state.Interface, "eth0"), "addresses": values(m.state.Bind)}},
			"ingress-addresses": m.state.Ingress,
		})
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &n)
	})
	return n, err
}

func values(addresses []string) []map[string]string {
	var list []map[string]string
	for _, a := range addresses {
		list = append(list, map[string]string{"value": a})
	}
	return list
}

func (m *model) PlannedUnits([]string, string) (n int, err error) {
	err = m.life.call(func() error {
		n = m.state.Planned
		for _, bags := range m.state.Relations["cluster"] {
			n = max(n, len(bags))
		}
		return nil
	})
	return n, err
}

func (m *model) Secret(uri string) (content map[string]string, err error) {
	err = m.life.call(func() error {
		found, ok := m.state.Secrets[uri]
		if !ok {
			return fmt.Errorf("cannot read secret %s: permission denied", uri)
		}
		content = maps.Clone(found)
		return nil
	})
	return content, err
}

func (m *model) Publish(id juju.RelationID, changes juju.Databag) error {
	return m.life.call(func() error {
		if m.state.bags(id) == nil {
			return fmt.Errorf("invalid value %q for option -r: relation not found", id)
		}
		m.publishes(id, changes)
		if m.pending == nil {
			m.pending = map[juju.RelationID]juju.Databag{}
		}
		if m.pending[id] == nil {
			m.pending[id] = juju.Databag{}
		}
		maps.Copy(m.pending[id], changes)
		return nil
	})
}

// undocumented tells why the manual does not have a key, which is given as endpoint and key with a
// space between; it is empty for one that it has.
var undocumented = remembered(func(name string) string {
	endpoint, key, _ := strings.Cut(name, " ")
	switch keys, err := docstest.Published(); {
	case err != nil:
		return err.Error()
	case !slices.ContainsFunc(keys, func(k docstest.Key) bool { return k.Means(endpoint, key) }):
		return fmt.Sprintf("the manual has no key %s of endpoint %s", key, endpoint)
	}
	return ""
})

// publishes fails the test for a key that the manual does not have.
func (m *model) publishes(id juju.RelationID, bag juju.Databag) {
	endpoint, _, _ := strings.Cut(string(id), ":")
	for key := range bag {
		if why := undocumented(endpoint + " " + key); why != "" {
			m.t.Error(why)
		}
	}
}

func (m *model) Leader() (leads bool, err error) {
	err = m.life.call(func() error {
		leads = m.state.Leads
		return nil
	})
	return leads, err
}

func (m *model) RemoteApplication(id juju.RelationID) (name string, err error) {
	err = m.life.call(func() error {
		name = m.state.Consumers[id].Application
		return nil
	})
	return name, err
}

func (m *model) ApplicationDatabag(id juju.RelationID, application string) (bag juju.Databag, err error) {
	err = m.life.call(func() error {
		one := m.state.Consumers[id]
		switch {
		case application == one.Application:
			bag = maps.Clone(one.Asks)
		case application != m.state.Unit.Application || !m.state.Leads:
			return fmt.Errorf("cannot read the databag of %s: permission denied", application)
		default:
			bag = maps.Clone(one.Told)
		}
		return nil
	})
	return bag, err
}

// PublishForApplication publishes at once what Juju keeps back until the hook has ended well:
// nothing comes after it.
func (m *model) PublishForApplication(id juju.RelationID, changes juju.Databag) error {
	return m.life.call(func() error {
		one, related := m.state.Consumers[id]
		if !related || !m.state.Leads {
			return fmt.Errorf("cannot write the databag of the application in relation %s: permission denied", id)
		}
		m.publishes(id, changes)
		if one.Told == nil {
			one.Told = juju.Databag{}
		}
		for key, value := range changes {
			if one.Told[key] = value; value == "" {
				delete(one.Told, key)
			}
		}
		m.state.Consumers[id] = one
		return nil
	})
}

func (m *model) Status() (s juju.Status, err error) {
	err = m.life.call(func() error {
		s = m.state.Status
		return nil
	})
	return s, err
}

func (m *model) SetStatus(s juju.Status) error {
	return m.life.call(func() error {
		if strings.ContainsAny(s.Message, "\n\r") {
			m.t.Errorf("status of more than one line: %q", s.Message)
		}
		if m.state.Fixed {
			return errors.New("cannot set status: unknown command")
		}
		m.state.Status = s
		m.state.Statuses = append(m.state.Statuses, s)
		return nil
	})
}

func (m *model) SetWorkloadVersion(version string) error {
	return m.life.call(func() error {
		m.state.Version = version
		return nil
	})
}

func (m *model) Log(line string) {
	_ = m.life.call(func() error { // a hook that dies here ends at its next call
		m.state.Lines = append(m.state.Lines, line)
		return nil
	})
}

func (m *model) ActionParameters() (p map[string]any, err error) {
	err = m.life.call(func() error {
		p = maps.Clone(m.state.Parameters)
		return nil
	})
	return p, err
}

func (m *model) SetActionResults(results map[string]string) error {
	return m.life.call(func() error {
		m.state.Results = results
		return nil
	})
}

func (m *model) FailAction(reason string) error {
	return m.life.call(func() error {
		m.state.Failure = reason
		return nil
	})
}
