package reconcile

import (
	"fmt"
	"maps"

	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
)

// TellVerdict adds to what the peers are told what this unit's health checker
// says, now that the machine is as wanted. Hooks of the peer relation tell nothing:
// units whose services come and go would answer each other for ever.
func (d *Desired) TellVerdict(o Observed) {
	if o.Event.Endpoint == endpoint.Cluster {
		return
	}
	var healthy *bool
	if d.Mode == Serving && o.Machine.Check.Known {
		healthy = &o.Machine.Check.Healthy
	}
	for _, r := range o.Relations {
		if r.Endpoint != endpoint.Cluster {
			continue
		}
		if changes := endpoint.Changes(endpoint.Verdict(healthy), r.Own); len(changes) > 0 {
			if d.Publish[r.ID] == nil {
				d.Publish[r.ID] = juju.Databag{}
			}
			maps.Copy(d.Publish[r.ID], changes)
		}
	}
}

// failing tells of a failing check; empty without one.
func (d Desired) failing(c CheckResult) string {
	switch {
	case c.Silent:
		return say(checkerSilent, "SERVICE", d.Layout.CheckerService()).Message
	case !c.Known || c.Healthy:
		return ""
	case d.everywhere():
		return say(checkFailsEverywhere, "WHAT", d.suspect(), "REASON", c.Reason).Message
	}
	return say(checkFails, "UNIT", d.unit.String(), "REASON", c.Reason).Message
}

// everywhere tells whether the check fails on every peer that serves, if any.
func (d Desired) everywhere() bool {
	failing := 0
	for _, p := range d.peers {
		if !p.Serves {
			continue
		}
		if p.healthy == nil || *p.healthy {
			return false
		}
		failing++
	}
	return failing > 0
}

// suspect names the option that a check goes by.
func (d Desired) suspect() string {
	c := d.options.Check
	if c.Type != healthcheck.Unit && c.Target == fmt.Sprintf("localhost:%d", d.options.Port) {
		return fmt.Sprintf("port %d", d.options.Port)
	}
	return "healthcheck_target " + c.Target
}
