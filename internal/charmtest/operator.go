package charmtest

import (
	"errors"

	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
)

var (
	errFull   = errors.New("cannot write: no space left on device")
	errMasked = errors.New("cannot restart keepalived.service: Unit keepalived.service is masked")
)

// operate carries out an operator's step.
func (h *Host) operate(l layout.Layout, a step.Action) error {
	switch a {
	case step.Pause:
		if h.Full {
			return errFull
		}
		h.Files[l.Paused()] = ""
		h.yield()
	case step.Resume:
		delete(h.Files, l.Paused())
	case step.HandOver:
		if !h.yield() {
			return errors.New("cannot hand over: no other unit took the virtual IPs")
		}
	case step.Restart:
		if h.Masked {
			return errMasked
		}
		h.Keepalived.Starts++
		h.follow()
	}
	return nil
}

// yield has another machine take over, if there is one and the daemon follows.
func (h *Host) yield() bool {
	if h.Alone || h.Keepalived.Unwatched {
		return false
	}
	h.Holds, h.Roles = false, nil
	return true
}
