package host

import (
	"time"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/reconcile"
	"keepalived-charm/internal/vrrp"
)

// check reads the health checker's verdict; one that has not been written for
// longer than a checker that runs would take is none.
func (h *Host) check(l reconcile.Layout) reconcile.CheckResult {
	const stale = 30 * time.Second
	s, err := checker.ReadStatus(h.path(l.StatusFile()))
	if err != nil || time.Since(s.Written) > stale {
		return reconcile.CheckResult{Silent: true}
	}
	result := reconcile.CheckResult{Reason: s.LastError, Since: s.Since, HeldBack: s.HeldBack, InARow: s.InARow}
	for _, heard := range s.Heard {
		result.Heard = append(result.Heard, reconcile.Heard{Instance: heard.Instance, Address: heard.Address,
			Priority: vrrp.Priority(heard.Priority), Last: heard.Last, Released: heard.Released,
			Foreign: heard.Foreign, Speaks: heard.Speaks})
	}
	if s.Verdict == "unknown" {
		return result
	}
	result.Known, result.Healthy = true, s.Verdict == "healthy"
	return result
}
