package charmtest

import (
	"errors"

	"keepalived-charm/internal/reconcile"
)

var (
	errFull   = errors.New("cannot write: no space left on device")
	errMasked = errors.New("cannot restart keepalived.service: Unit keepalived.service is masked")
)

// operate carries out an operator's step.
func (h *Host) operate(l reconcile.Layout, a reconcile.Action) error {
	switch a {
	case reconcile.Pause:
		if h.Full {
			return errFull
		}
		h.Files[l.Paused()] = ""
		h.yield()
	case reconcile.Resume:
		delete(h.Files, l.Paused())
	case reconcile.HandOver:
		if !h.yield() {
			return errors.New("cannot hand over: no other unit took the virtual IPs")
		}
	case reconcile.Restart:
		if h.Masked {
			return errMasked
		}
		h.Keepalived.Starts++
		h.Keepalived.Deaf = h.Watchless
	}
	return nil
}

// yield has another machine take over, if there is one and the daemon follows.
func (h *Host) yield() bool {
	if h.Alone || h.Keepalived.Deaf {
		return false
	}
	h.Holds, h.Roles = false, nil
	return true
}
