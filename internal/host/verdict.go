package host

import (
	"time"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/vrrp"
)

// check reads the health checker's verdict; one that has not been written for
// longer than a checker that runs would take is none.
func (h *Host) check(l layout.Layout) facts.CheckResult {
	const stale = 30 * time.Second
	s, err := checker.ReadStatus(h.path(l.StatusFile()))
	if err != nil || time.Since(s.Written).Abs() > stale {
		return facts.CheckResult{Silent: true}
	}
	result := facts.CheckResult{Reason: s.LastError, Since: s.Since, HeldBack: s.HeldBack, InARow: s.InARow, Metrics: s.Metrics}
	for _, heard := range s.Heard {
		result.Heard = append(result.Heard, facts.Heard{Instance: heard.Instance, Address: heard.Address,
			Priority: vrrp.Priority(heard.Priority), Last: heard.Last, Released: heard.Released,
			Foreign: heard.Foreign, Speaks: heard.Speaks})
	}
	if s.Verdict == "unknown" {
		return result
	}
	result.Known, result.Healthy = true, s.Verdict == "healthy"
	return result
}
