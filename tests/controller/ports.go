package controller

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

type portRange struct {
	Endpoint string
	Protocol string
	From, To int
}

// String returns the range as opened-ports prints it.
func (p portRange) String() string {
	if p.Protocol == "icmp" {
		return "icmp"
	}
	if p.From == p.To {
		return fmt.Sprintf("%d/%s", p.From, p.Protocol)
	}
	return fmt.Sprintf("%d-%d/%s", p.From, p.To, p.Protocol)
}

func (p portRange) overlaps(q portRange) bool {
	return p.Protocol == q.Protocol && p.From <= q.To && q.From <= p.To
}

// conflictLocked finds the opened range on the unit's machine that forbids
// opening p: any overlap, except the unit's own identical range.
func (c *Controller) conflictLocked(u *unit, p portRange) error {
	for _, name := range sortedKeys(c.units) {
		other := c.units[name]
		if other.machine != u.machine {
			continue
		}
		for _, q := range other.ports {
			same := q.From == p.From && q.To == p.To
			if p.overlaps(q) && !(other == u && same) {
				return fmt.Errorf("port ranges %v (%q) and %v (%q) conflict", q, other.name, p, u.name)
			}
		}
	}
	return nil
}

// OpenPort opens a port for a unit, as in "443/tcp" or "8000-8010/udp", by Juju's
// rule that ranges of all units on one machine must not overlap.
func (c *Controller) OpenPort(unit, port string) error {
	p, err := parsePortRange(port)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	u, ok := c.units[unit]
	if !ok {
		return notFound("unit", unit)
	}
	if err := c.conflictLocked(u, p); err != nil {
		return fmt.Errorf("cannot open %s for %s: %w", port, unit, err)
	}
	u.open(p)
	c.changedLocked()
	return nil
}

func (u *unit) open(p portRange) {
	if !slices.Contains(u.ports, p) {
		u.ports = append(u.ports, p)
	}
}

func (u *unit) close(p portRange) {
	u.ports = slices.DeleteFunc(u.ports, func(q portRange) bool { return p == q })
}

func parsePortRange(s string) (portRange, error) {
	span, proto, ok := strings.Cut(s, "/")
	if !ok {
		proto = "tcp"
	}
	first, last, ok := strings.Cut(span, "-")
	if !ok {
		last = first
	}
	from, err := strconv.Atoi(first)
	if err != nil {
		return portRange{}, fmt.Errorf("invalid port range %q", s)
	}
	to, err := strconv.Atoi(last)
	if err != nil || from < 1 || to > 65535 || from > to || proto != "tcp" && proto != "udp" {
		return portRange{}, fmt.Errorf("invalid port range %q", s)
	}
	return portRange{Protocol: proto, From: from, To: to}, nil
}

func openedMachinePorts(r *call) (any, error) {
	return r.eachTag("machine", func(id string) (any, error) {
		units := map[string]any{}
		for _, u := range r.c.units {
			if u.machine != id || len(u.ports) == 0 {
				continue
			}
			byEndpoint := map[string][]any{}
			for _, p := range u.ports {
				byEndpoint[p.Endpoint] = append(byEndpoint[p.Endpoint], map[string]any{
					"from-port": p.From, "to-port": p.To, "protocol": p.Protocol,
				})
			}
			var groups []any
			for _, e := range sortedKeys(byEndpoint) {
				groups = append(groups, map[string]any{"endpoint": e, "port-ranges": byEndpoint[e]})
			}
			units[unitTag(u.name)] = groups
		}
		return map[string]any{"unit-port-ranges": units}, nil
	})
}
