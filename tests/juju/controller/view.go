package controller

import (
	"slices"
	"sync"
	"time"

	"github.com/juju/names/v5"

	"github.com/juju/juju/core/multiwatcher"
	"github.com/juju/juju/core/presence"
	"github.com/juju/juju/core/status"
)

// view is the model as a multiwatcher tells it, moments after it changed.
type view struct {
	mu       sync.Mutex
	changed  time.Time
	entities map[multiwatcher.EntityID]multiwatcher.EntityInfo
}

// follow keeps the view up to date until Close.
func (c *Controller) follow() {
	c.view = &view{entities: map[multiwatcher.EntityID]multiwatcher.EntityInfo{}}
	w := c.watchers.WatchModel(c.modelUUID)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			deltas, err := w.Next()
			if err != nil {
				return // at Close; when the multiwatcher ends otherwise, that is reported
			}
			c.view.apply(deltas)
		}
	}()
	c.onClose(func() error {
		_ = w.Stop() // its end is no news
		<-ended
		return nil
	})
}

func (v *view) apply(deltas []multiwatcher.Delta) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.changed = time.Now()
	for _, d := range deltas {
		if id := d.Entity.EntityID(); d.Removed {
			delete(v.entities, id)
		} else {
			v.entities[id] = d.Entity
		}
	}
}

// last is when the model changed last.
func (v *view) last() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.changed
}

// unitLocked finds a unit.
func (v *view) unitLocked(name string) (*multiwatcher.UnitInfo, bool) {
	for _, entity := range v.entities {
		if u, ok := entity.(*multiwatcher.UnitInfo); ok && u.Name == name {
			return u, true
		}
	}
	return nil, false
}

// hasMachineLocked says whether Juju knows a machine.
func (v *view) hasMachineLocked(id string) bool {
	for _, entity := range v.entities {
		if m, ok := entity.(*multiwatcher.MachineInfo); ok && m.ID == id {
			return true
		}
	}
	return false
}

// remainsOnLocked says whether an application has units on some machines.
func (v *view) remainsOnLocked(application string, machines []string) bool {
	for _, entity := range v.entities {
		if u, ok := entity.(*multiwatcher.UnitInfo); ok && u.Application == application && slices.Contains(machines, u.MachineID) {
			return true
		}
	}
	return false
}

// Unit is what is known of a unit.
type Unit struct {
	Machine, Address string
	Life             string
	Workload, Agent  Said
	OpenPorts        []string
}

// Said is a status and its message.
type Said struct{ Current, Message string }

// Units are all units by name, with the statuses that juju status shows.
func (c *Controller) Units() map[string]Unit {
	connected := c.presence.Connections().ForModel(c.modelUUID)
	c.view.mu.Lock()
	defer c.view.mu.Unlock()
	units := map[string]Unit{}
	for _, entity := range c.view.entities {
		info, ok := entity.(*multiwatcher.UnitInfo)
		if !ok {
			continue
		}
		u := Unit{
			Machine: info.MachineID, Address: info.PublicAddress, Life: string(info.Life),
			Workload: Said{string(info.WorkloadStatus.Current), info.WorkloadStatus.Message},
			Agent:    Said{string(info.AgentStatus.Current), info.AgentStatus.Message},
		}
		if s, err := connected.AgentStatus(names.NewUnitTag(info.Name).String()); u.Agent.Current != string(status.Allocating) &&
			(err != nil || s != presence.Alive) {
			u.Agent = Said{string(status.Lost), "agent is not communicating with the server"}
		}
		for _, r := range info.OpenPortRangesByEndpoint.UniquePortRanges() {
			u.OpenPorts = append(u.OpenPorts, r.String())
		}
		units[info.Name] = u
	}
	return units
}
