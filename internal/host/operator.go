package host

import (
	"fmt"
	"os"
	"slices"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/layout"
)

// pausedText makes the mark of a paused unit need room: an empty file finds a place
// on a full disk.
const pausedText = "The action pause keeps this unit out of the election until resume.\n"

// pause marks the unit as paused and yields what it holds; the pass that follows keeps
// it out. The mark comes first, so a disk that does not take it keeps everything as it
// is, and a hook after this one was killed goes on. A unit that cannot yield releases.
func (h *Host) pause(l layout.Layout) error {
	if err := h.write(l.Paused(), pausedText, 0o600); err != nil {
		return err
	}
	if err := h.yield(l.CheckerConfig()); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	return nil
}

// handOver yields what this unit holds. What it cannot yield the health checker
// releases, which a healthy standby makes short. Where it could and nobody came, a
// release would be an outage.
func (h *Host) handOver(l layout.Layout) error {
	r, err := h.reign(l.CheckerConfig())
	if err != nil {
		return err
	}
	if err := h.awaitSuccessor(r.yields, r.limit); err != nil {
		return err
	}
	if slices.ContainsFunc(r.yields, func(y yielded) bool { return holds(y.Instance) }) {
		return fmt.Errorf("cannot hand over: no other unit took the virtual IPs within %v, this one holds them still", r.limit)
	}
	if !slices.ContainsFunc(r.stays, func(i healthcheck.Instance) bool { return holds(i) }) {
		return nil
	}
	return checker.Ask(h.path(l.Orders()), checker.HandOver)
}
