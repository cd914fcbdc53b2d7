package lab

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"keepalived-charm/tests/machine"
)

// defaultUnits is how many units an experiment has that names no number.
const defaultUnits = 3

// arrange brings the deployment to the options and the number of units that an
// experiment needs.
func (s *stage) arrange(ctx context.Context, e experiment) error {
	units := e.units
	if units == 0 {
		units = defaultUnits
	}
	options := maps.Clone(e.options)
	if options == nil {
		options = map[string]string{}
	}
	if options["virtual_ip"] == "" {
		options["virtual_ip"] = VIP.String()
	}
	if err := s.configure(ctx, options); err != nil {
		return err
	}
	list := addresses(options["virtual_ip"])
	s.vip = list[0]
	if slices.Contains(list, VIP) {
		s.vip = VIP
	}
	for have := len(s.members()); have > units; have-- {
		if err := s.dismiss(ctx); err != nil {
			return err
		}
	}
	if err := s.AddUnits(ctx, "haproxy", units-len(s.members())); err != nil {
		return err
	}
	return s.settle(ctx)
}

// configure sets options and takes back all others that the stage has set.
func (s *stage) configure(ctx context.Context, options map[string]string) error {
	var stale []string
	for name := range s.set {
		if _, stays := options[name]; !stays {
			stale = append(stale, name)
		}
	}
	if err := s.SetConfig("keepalived", options); err != nil {
		return err
	}
	slices.Sort(stale)
	if len(stale) > 0 {
		if err := s.ResetConfig("keepalived", stale...); err != nil {
			return err
		}
	}
	s.set = maps.Clone(options)
	return s.Settled(ctx)
}

// change sets options on top of those that the stage has set.
func (s *stage) change(ctx context.Context, options map[string]string) error {
	maps.Copy(s.set, options)
	if err := s.SetConfig("keepalived", options); err != nil {
		return err
	}
	return s.Settled(ctx)
}

// dismiss removes a unit that is not the holder and switches its machine off.
func (s *stage) dismiss(ctx context.Context) error {
	members := s.members()
	slices.Reverse(members)
	for _, m := range members {
		if idOf(m) == s.holder {
			continue
		}
		unit, _ := s.UnitOn("haproxy", idOf(m))
		return s.RemoveUnit(ctx, unit)
	}
	return fmt.Errorf("cannot remove a unit: there is none but the holder's")
}

// mendService takes back what an event did to the service, repair starts besides what it stopped.
const (
	mendService = `
rm -f /run/systemd/system/haproxy.service.d/bench.conf
systemctl daemon-reload
systemctl kill --signal=CONT haproxy 2>/dev/null || true
systemctl reset-failed haproxy 2>/dev/null || true`
	repair = mendService + "\nsystemctl start haproxy keepalived"
)

// settle brings the lab to the state that every run starts from: machines and
// services up, agents idle, units healthy, one holder.
func (s *stage) settle(ctx context.Context) error {
	if err := s.powerOn(ctx); err != nil {
		return err
	}
	// Hooks first: a unit that was just added has no keepalived yet.
	if err := s.Settled(ctx); err != nil {
		return err
	}
	for _, m := range s.members() {
		if _, err := m.Run(ctx, repair); err != nil {
			return err
		}
	}
	if err := s.awaitHealth(ctx); err != nil {
		return err
	}
	var err error
	s.holder, err = s.WaitHolder(ctx, s.vip)
	return err
}

// members are the machines that have a unit of the principal.
func (s *stage) members() []*machine.Machine {
	return slices.DeleteFunc(s.Net.Machines(), func(m *machine.Machine) bool {
		_, member := s.UnitOn("haproxy", idOf(m))
		return !member
	})
}

// idOf is Juju's ID of a machine.
func idOf(m *machine.Machine) string { return strings.TrimPrefix(m.Name, "juju-") }

// powerOn switches every member on that has no power.
func (s *stage) powerOn(ctx context.Context) error {
	for _, m := range s.members() {
		if !m.Running() {
			if err := s.Heal(ctx, idOf(m)); err != nil {
				return err
			}
		}
	}
	return nil
}

// healthLimit bounds how long services may take to count as healthy.
const healthLimit = 20 * time.Second

// awaitHealth waits until every unit's health checker says that all is well.
func (s *stage) awaitHealth(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, healthLimit)
	defer cancel()
	for _, m := range s.members() {
		for {
			text, err := m.ReadFile(ctx, "/run/keepalived-charm/keepalived/status.json")
			if err == nil && strings.Contains(string(text), `"verdict":"healthy"`) {
				break
			}
			if ctx.Err() != nil {
				return fmt.Errorf("cannot wait for %s to be healthy: %w: %.300s", m.Name, ctx.Err(), text)
			}
			pause(ctx, 50*time.Millisecond)
		}
	}
	return nil
}
