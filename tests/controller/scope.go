package controller

import (
	"fmt"
	"maps"
	"slices"
)

// principalOf returns the unit that a unit belongs to: itself for a principal.
func principalOf(u *unit) string {
	if u.principal != "" {
		return u.principal
	}
	return u.name
}

// visibleLocked says whether a relation of the unit's application concerns the
// unit: a subordinate does not take part in the container relations its
// application has with other principal applications.
func (c *Controller) visibleLocked(r *relation, u *unit) bool {
	if _, ok := r.endpointOf(u.app); !ok {
		return false
	}
	if r.scope == Global || u.principal == "" || r.peer() {
		return true
	}
	other := c.apps[r.other(u.app)]
	return other != nil && (other.name == applicationOf(u.principal) || other.charm.Meta.Subordinate)
}

// counterpartsLocked returns the units in scope that the unit sees.
func (c *Controller) counterpartsLocked(r *relation, u *unit) []string {
	var seen []string
	for name := range r.members {
		m := c.units[name]
		switch {
		case m == nil || name == u.name:
		case !r.peer() && m.app == u.app:
		case r.scope == Container && principalOf(m) != principalOf(u):
		default:
			seen = append(seen, name)
		}
	}
	slices.Sort(seen)
	return seen
}

// enterLocked puts a unit into a relation's scope with the addresses Juju writes
// into its databag. A principal that enters a container relation gets its
// subordinate unit.
func (c *Controller) enterLocked(r *relation, u *unit) error {
	if r.members[u.name] {
		return nil
	}
	if r.life != alive || u.life != alive {
		return &apiError{Message: "cannot enter scope: unit or relation is not alive", Code: codeCannotEnterScope}
	}
	if r.scope == Container && u.principal == "" {
		if err := c.ensureSubordinateLocked(r, u); err != nil {
			return err
		}
	}
	r.members[u.name] = true
	d := r.data[u.name]
	version := int64(1)
	if d != nil {
		version = d.version + 1
	}
	r.data[u.name] = &databag{values: map[string]string{}, version: version}
	c.publishAddressLocked(r, u)
	c.changedLocked()
	return nil
}

// publishAddressLocked writes the unit's address into its databag.
func (c *Controller) publishAddressLocked(r *relation, u *unit) {
	e, _ := r.endpointOf(u.app)
	addr := c.firstAddress(u, e.Name)
	if addr == "" {
		return
	}
	r.data[u.name].merge(map[string]string{
		"ingress-address": addr,
		"private-address": addr,
		"egress-subnets":  hostSubnet(addr),
	})
}

// ensureSubordinateLocked creates the subordinate unit for a principal that
// enters a container relation, if the other side is a subordinate application.
func (c *Controller) ensureSubordinateLocked(r *relation, principal *unit) error {
	sub := c.apps[r.other(principal.app)]
	if sub == nil || !sub.charm.Meta.Subordinate {
		return nil
	}
	for _, u := range c.units {
		if u.app == sub.name && u.principal == principal.name {
			if u.life != alive {
				return &apiError{
					Message: fmt.Sprintf("cannot enter scope yet: subordinate unit %q is not alive", u.name),
					Code:    codeCannotEnterScopeYet,
				}
			}
			return nil
		}
	}
	c.newUnitLocked(sub, principal.machine, principal.name)
	principal.version++
	return nil
}

// enterModelOnlyLocked lets every unit without agent join a relation.
func (c *Controller) enterModelOnlyLocked(r *relation) {
	for _, name := range sortedKeys(c.units) {
		u := c.units[name]
		if u == nil || u.hasAgent || !c.visibleLocked(r, u) {
			continue
		}
		// A unit that is being removed stays outside, which is what Juju does.
		_ = c.enterLocked(r, u)
	}
}

func (c *Controller) leaveLocked(r *relation, u *unit) {
	if r.members[u.name] {
		delete(r.members, u.name)
		c.changedLocked()
	}
	c.reapRelationLocked(r)
}

// anchoredLocked says whether a subordinate still has an alive container relation
// to the application of its principal.
func (c *Controller) anchoredLocked(u *unit) bool {
	for _, r := range c.relations {
		if _, ok := r.endpointOf(u.app); ok && r.scope == Container && r.life == alive && !r.peer() &&
			r.other(u.app) == applicationOf(u.principal) {
			return true
		}
	}
	return false
}

// merge sets values, deleting those set to "", and counts a version when the
// content changed.
func (d *databag) merge(values map[string]string) {
	before := maps.Clone(d.values)
	for k, v := range values {
		if v == "" {
			delete(d.values, k)
		} else {
			d.values[k] = v
		}
	}
	if !maps.Equal(before, d.values) {
		d.version++
	}
}

// UnitData returns a unit's databag in a relation, as the other side reads it.
func (c *Controller) UnitData(id int, name string) (map[string]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.relations[id]
	if !ok {
		return nil, notFound("relation", fmt.Sprint(id))
	}
	d, ok := r.data[name]
	if !ok {
		return nil, fmt.Errorf("unit %q never entered relation %q", name, r.key)
	}
	return maps.Clone(d.values), nil
}

// AppData returns an application's databag in a relation.
func (c *Controller) AppData(id int, name string) (map[string]string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.relations[id]
	if !ok {
		return nil, notFound("relation", fmt.Sprint(id))
	}
	d, ok := r.appData[name]
	if !ok {
		return nil, fmt.Errorf("application %q is not in relation %q", name, r.key)
	}
	return maps.Clone(d.values), nil
}

// SetUnitData writes keys of a unit's databag, "" deleting a key, as if the unit
// had called relation-set.
func (c *Controller) SetUnitData(id int, name string, values map[string]string) error {
	return c.writeData(id, name, values, func(r *relation) *databag { return r.data[name] })
}

// SetAppData writes keys of an application's databag, "" deleting a key.
func (c *Controller) SetAppData(id int, name string, values map[string]string) error {
	return c.writeData(id, name, values, func(r *relation) *databag { return r.appData[name] })
}

func (c *Controller) writeData(id int, whose string, values map[string]string, pick func(*relation) *databag) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.relations[id]
	if !ok {
		return notFound("relation", fmt.Sprint(id))
	}
	d := pick(r)
	if d == nil {
		return fmt.Errorf("%q has no databag in relation %q", whose, r.key)
	}
	d.merge(values)
	c.changedLocked()
	return nil
}

// RelationID returns the id of the relation between two ends, or of the peer
// relation when both are the same "application:endpoint".
func (c *Controller) RelationID(a, b string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a == b {
		if r := c.relationByKey(a); r != nil {
			return r.id, nil
		}
		return 0, notFound("relation", a)
	}
	r, err := c.findRelationLocked(a, b)
	if err != nil {
		return 0, err
	}
	return r.id, nil
}
