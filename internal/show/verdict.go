package show

import (
	"fmt"

	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/status"
)

// failing tells of a failing check; empty without one.
func failing(d decide.Desired, c facts.CheckResult) string {
	switch {
	case c.Silent:
		return status.Say(status.CheckerSilent, "SERVICE", d.Layout.CheckerService()).Message
	case !c.Known || c.Healthy:
		return ""
	case everywhere(d):
		return status.Say(status.CheckFailsEverywhere, "WHAT", suspect(d), "REASON", c.Reason).Message
	}
	return status.Say(status.CheckFails, "UNIT", d.Unit.String(), "REASON", c.Reason).Message
}

// everywhere tells whether the check fails on every peer that serves, if any.
func everywhere(d decide.Desired) bool {
	failing := 0
	for _, p := range d.Peers {
		if !p.Serves {
			continue
		}
		if p.Healthy == nil || *p.Healthy {
			return false
		}
		failing++
	}
	return failing > 0
}

// suspect names the option that a check goes by.
func suspect(d decide.Desired) string {
	c := d.Options.Check
	if c.Type != healthcheck.Unit && c.Target == fmt.Sprintf("localhost:%d", d.Options.Port) {
		return fmt.Sprintf("port %d", d.Options.Port)
	}
	return "healthcheck_target " + c.Target
}
