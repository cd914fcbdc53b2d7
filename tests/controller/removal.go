package controller

import "fmt"

// RemoveUnit starts the removal of a principal unit; its subordinate units go
// first. A model-only unit leaves its relations at once.
func (c *Controller) RemoveUnit(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.units[name]
	if !ok {
		return notFound("unit", name)
	}
	if u.principal != "" {
		return fmt.Errorf("cannot remove unit %s: it is a subordinate", name)
	}
	c.destroyUnitLocked(u)
	c.changedLocked()
	return nil
}

// ForceRemoveUnit takes a unit and its subordinates out of the model without
// waiting for any agent, as for a machine that is gone.
func (c *Controller) ForceRemoveUnit(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.units[name]
	if !ok {
		return notFound("unit", name)
	}
	for _, s := range c.subordinatesLocked(u) {
		c.removeUnitLocked(s)
	}
	if c.units[name] != nil {
		c.removeUnitLocked(u)
	}
	c.changedLocked()
	return nil
}

// RemoveApplication starts the removal of an application, its relations and units.
func (c *Controller) RemoveApplication(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	a, ok := c.apps[name]
	if !ok {
		return notFound("application", name)
	}
	if a.life == alive {
		a.life = dying
		a.version++
	}
	for _, id := range sortedKeys(c.relations) {
		r := c.relations[id]
		if r == nil {
			continue
		}
		if _, ok := r.endpointOf(name); ok && !r.peer() {
			c.destroyRelationLocked(r)
		}
	}
	for _, n := range sortedKeys(c.units) {
		if u := c.units[n]; u != nil && u.app == name {
			c.destroyUnitLocked(u)
		}
	}
	c.reapApplicationLocked(a)
	c.changedLocked()
	return nil
}

func (c *Controller) subordinatesLocked(u *unit) []*unit {
	var subs []*unit
	for _, name := range sortedKeys(c.units) {
		if s := c.units[name]; s.principal == u.name {
			subs = append(subs, s)
		}
	}
	return subs
}

// destroyUnitLocked makes a unit dying. Units whose agent never came up, and
// units without agent and subordinates, are removed at once.
func (c *Controller) destroyUnitLocked(u *unit) {
	if u.life == alive {
		u.life = dying
		u.version++
	}
	if u.hasAgent {
		if !u.started {
			c.removeUnitLocked(u)
		}
		return
	}
	for _, r := range c.relations {
		c.leaveLocked(r, u)
	}
	for _, s := range c.subordinatesLocked(u) {
		c.destroyUnitLocked(s)
	}
	if c.units[u.name] != nil && len(c.subordinatesLocked(u)) == 0 {
		c.removeUnitLocked(u)
	}
}

// removeUnitLocked takes a unit out of the model.
func (c *Controller) removeUnitLocked(u *unit) {
	for _, r := range c.relations {
		c.leaveLocked(r, u)
	}
	delete(c.units, u.name)
	u.life = dead
	c.recordLocked(Event{Unit: u.name, Kind: UnitRemoved, Name: u.machine})
	a := c.apps[u.app]
	a.lease.drop(u.name)
	if f := c.cfg.OnUnitRemoved; f != nil && u.hasAgent {
		c.callbackLocked(func() { f(u.name, u.machine) })
	}
	if p := c.units[u.principal]; p != nil {
		p.version++
		if p.life == dying && !p.hasAgent && len(c.subordinatesLocked(p)) == 0 {
			c.removeUnitLocked(p)
		}
	}
	c.reapApplicationLocked(a)
	c.changedLocked()
}

// reapApplicationLocked removes a dying application without units and relations.
func (c *Controller) reapApplicationLocked(a *application) {
	if a == nil || a.life != dying || c.apps[a.name] == nil {
		return
	}
	for _, u := range c.units {
		if u.app == a.name {
			return
		}
	}
	var peers []int
	for id, r := range c.relations {
		if _, ok := r.endpointOf(a.name); ok {
			if !r.peer() {
				return
			}
			peers = append(peers, id)
		}
	}
	for _, id := range peers {
		delete(c.relations, id)
	}
	delete(c.apps, a.name)
}
