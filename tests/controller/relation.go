package controller

import (
	"fmt"
	"maps"
	"slices"
)

type relationEnd struct {
	app string
	Endpoint
}

type databag struct {
	values  map[string]string
	version int64
}

type relation struct {
	id      int
	key     string // "app:endpoint app:endpoint", requirer first
	ends    []relationEnd
	scope   Scope
	life    life
	version int
	members map[string]bool     // units in scope
	data    map[string]*databag // unit databags, kept after a unit left
	appData map[string]*databag
}

func newRelation(id int, scope Scope, ends ...relationEnd) *relation {
	r := &relation{
		id: id, ends: ends, scope: scope, life: alive,
		members: map[string]bool{}, data: map[string]*databag{}, appData: map[string]*databag{},
	}
	for i, e := range ends {
		if i > 0 {
			r.key += " "
		}
		r.key += e.app + ":" + e.Name
		r.appData[e.app] = &databag{values: map[string]string{}}
	}
	return r
}

func (r *relation) peer() bool { return len(r.ends) == 1 }

// endpointOf returns the end of the relation that belongs to an application.
func (r *relation) endpointOf(app string) (relationEnd, bool) {
	i := slices.IndexFunc(r.ends, func(e relationEnd) bool { return e.app == app })
	if i < 0 {
		return relationEnd{}, false
	}
	return r.ends[i], true
}

// other returns the application at the other end; for peers, the application.
func (r *relation) other(app string) string {
	for _, e := range r.ends {
		if e.app != app {
			return e.app
		}
	}
	return app
}

// addPeersLocked creates the peer relations an application does not have yet.
func (c *Controller) addPeersLocked(a *application) {
	for _, e := range a.charm.Meta.Endpoints {
		key := a.name + ":" + e.Name
		if e.Role != Peer || c.relationByKey(key) != nil {
			continue
		}
		if e.Scope == "" {
			e.Scope = Global
		}
		r := newRelation(c.nextRelation, e.Scope, relationEnd{a.name, e})
		c.nextRelation++
		c.relations[r.id] = r
		c.enterModelOnlyLocked(r)
	}
}

// dropPeersLocked removes the peer relations that a new charm no longer has.
func (c *Controller) dropPeersLocked(a *application) {
	for id, r := range c.relations {
		if e, ok := r.endpointOf(a.name); ok && r.peer() {
			if now, ok := a.charm.Meta.endpoint(e.Name); !ok || now.Role != Peer {
				delete(c.relations, id)
			}
		}
	}
}

// relationByKey finds a relation by its key; the ends may stand in any order.
func (c *Controller) relationByKey(key string) *relation {
	for _, r := range c.relations {
		if r.key == key {
			return r
		}
	}
	return nil
}

// Integrate relates two endpoints given as "application:endpoint" (or just the
// application where only one pair fits) and returns the relation's id. A
// container relation to a subordinate application creates a subordinate unit for
// every unit of the principal application.
func (c *Controller) Integrate(a, b string) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	req, prov, err := c.matchLocked(a, b)
	if err != nil {
		return 0, fmt.Errorf("cannot integrate %s with %s: %w", a, b, err)
	}
	scope := Global
	if req.Scope == Container || prov.Scope == Container {
		scope = Container
		if !c.apps[req.app].charm.Meta.Subordinate && !c.apps[prov.app].charm.Meta.Subordinate {
			return 0, fmt.Errorf("cannot integrate %s with %s: container scoped relation requires at least one subordinate application", a, b)
		}
	}
	req.Scope, prov.Scope = scope, scope
	r := newRelation(c.nextRelation, scope, req, prov)
	if c.relationByKey(r.key) != nil {
		return 0, fmt.Errorf("cannot integrate %s with %s: relation already exists", a, b)
	}
	c.nextRelation++
	c.relations[r.id] = r
	c.enterModelOnlyLocked(r)
	c.changedLocked()
	return r.id, nil
}

// matchLocked finds the one pair of endpoints that fits, requirer first.
func (c *Controller) matchLocked(a, b string) (req, prov relationEnd, err error) {
	appA, nameA, err := c.findEndpoint(a)
	if err != nil {
		return req, prov, err
	}
	appB, nameB, err := c.findEndpoint(b)
	if err != nil {
		return req, prov, err
	}
	if appA.life != alive || appB.life != alive {
		return req, prov, fmt.Errorf("an application is being removed")
	}
	var found [][2]relationEnd
	for _, ea := range candidates(appA, nameA) {
		for _, eb := range candidates(appB, nameB) {
			switch {
			case ea.Interface != eb.Interface:
			case ea.Role == Requirer && eb.Role == Provider:
				found = append(found, [2]relationEnd{ea, eb})
			case ea.Role == Provider && eb.Role == Requirer:
				found = append(found, [2]relationEnd{eb, ea})
			}
		}
	}
	if len(found) == 0 {
		return req, prov, fmt.Errorf("no relations found")
	}
	if len(found) > 1 {
		return req, prov, fmt.Errorf("ambiguous: %d pairs of endpoints fit", len(found))
	}
	return found[0][0], found[0][1], nil
}

// candidates returns the named endpoint, or all, the implicit one included.
func candidates(a *application, name string) []relationEnd {
	var ends []relationEnd
	names := []string{name}
	if name == "" {
		names = []string{jujuInfo}
		for _, e := range a.charm.Meta.Endpoints {
			if e.Name != jujuInfo {
				names = append(names, e.Name)
			}
		}
	}
	for _, n := range names {
		if e, ok := a.charm.Meta.endpoint(n); ok {
			ends = append(ends, relationEnd{a.name, e})
		}
	}
	return ends
}

// findRelationLocked finds a relation by its two ends in any order.
func (c *Controller) findRelationLocked(a, b string) (*relation, error) {
	var found *relation
	for _, r := range c.relations {
		if r.peer() || !(matches(r.ends[0], a) && matches(r.ends[1], b) || matches(r.ends[0], b) && matches(r.ends[1], a)) {
			continue
		}
		if found != nil {
			return nil, fmt.Errorf("more than one relation between %s and %s", a, b)
		}
		found = r
	}
	if found == nil {
		return nil, notFound("relation", a+" "+b)
	}
	return found, nil
}

func matches(e relationEnd, ref string) bool {
	return ref == e.app || ref == e.app+":"+e.Name
}

// RemoveRelation starts the removal of the relation between two ends; agents run
// departed and broken hooks before it is gone. Subordinate units that lose their
// last container relation to the principal application go with it.
func (c *Controller) RemoveRelation(a, b string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := c.findRelationLocked(a, b)
	if err != nil {
		return err
	}
	c.destroyRelationLocked(r)
	c.changedLocked()
	return nil
}

func (c *Controller) destroyRelationLocked(r *relation) {
	if r.life == alive {
		r.life = dying
		r.version++
	}
	for name := range maps.Clone(r.members) {
		if u := c.units[name]; u != nil && !u.hasAgent {
			c.leaveLocked(r, u)
		}
	}
	c.reapRelationLocked(r)
	for _, u := range c.units {
		if u.principal != "" && !u.hasAgent && u.life == alive && !c.anchoredLocked(u) {
			c.destroyUnitLocked(u)
		}
	}
}

// reapRelationLocked removes a dying relation that nobody is in.
func (c *Controller) reapRelationLocked(r *relation) {
	if r.life == dying && len(r.members) == 0 {
		delete(c.relations, r.id)
		for _, e := range r.ends {
			c.reapApplicationLocked(c.apps[e.app])
		}
	}
}
