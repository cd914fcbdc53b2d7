package controller

import (
	"fmt"
	"slices"
)

// Address is an address of a machine as Juju's machine agent would list it.
type Address struct {
	Value     string // without prefix length
	CIDR      string // the subnet, as in 10.0.0.0/24
	Interface string
	MAC       string
	Space     string // network space; empty is the default space
}

type machine struct {
	id        string
	addresses []Address
	down      bool
	upgrade   *upgrade // of its base; nil when there is none
}

// AddMachine adds a machine with the given id and addresses; the first address is
// the one that relations and unit-get use.
func (c *Controller) AddMachine(id string, addresses ...Address) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.machines[id]; ok {
		return fmt.Errorf("machine %q already exists", id)
	}
	c.machines[id] = &machine{id: id, addresses: slices.Clone(addresses)}
	c.changedLocked()
	return nil
}

// SetAddresses replaces the addresses that Juju knows of a machine, which makes
// its units run config-changed if they differ from before.
func (c *Controller) SetAddresses(id string, addresses ...Address) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.machines[id]
	if !ok {
		return notFound("machine", id)
	}
	m.addresses = slices.Clone(addresses)
	c.changedLocked()
	return nil
}

// SetMachineDown tells the model that the test stopped (or started) a machine:
// the units of a stopped machine are not waited for by [Controller.Settled].
func (c *Controller) SetMachineDown(id string, down bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	m, ok := c.machines[id]
	if !ok {
		return notFound("machine", id)
	}
	m.down = down
	c.changedLocked()
	return nil
}

// addressesOf returns the addresses of the unit's machine that are in the space
// the endpoint is bound to; all of them when the space has none or is not set.
func (c *Controller) addressesOf(u *unit, endpoint string) []Address {
	m := c.machines[u.machine]
	if m == nil {
		return nil
	}
	bindings := c.apps[u.app].bindings
	space, ok := bindings[endpoint]
	if !ok {
		space = bindings[""]
	}
	if space == "" {
		return m.addresses
	}
	var in []Address
	for _, a := range m.addresses {
		if a.Space == space {
			in = append(in, a)
		}
	}
	return in
}

// firstAddress returns the address Juju would publish for the unit, or "".
func (c *Controller) firstAddress(u *unit, endpoint string) string {
	if as := c.addressesOf(u, endpoint); len(as) > 0 {
		return as[0].Value
	}
	return ""
}
