package checker

import (
	"errors"
	"net/netip"
	"time"

	"keepalived-charm/internal/healthcheck"
)

// hintInterval is how often the kernel is asked whether the target is listened
// on; one question costs some 10 microseconds.
const hintInterval = 100 * time.Millisecond

// listenHint notices early that a service on this machine went or came. It is
// only a reason to check now: the check decides.
type listenHint struct {
	endpoints []netip.AddrPort
	diag      *sockDiag
	listening bool
	// waiting tells that connections waited to be accepted at the last look, stuck
	// that they did at the one before as well.
	waiting, stuck bool
	suspected      time.Time
}

// newListenHint returns nil where there is nothing to ask: no network target, or
// a kernel that does not answer.
func newListenHint(c healthcheck.Check) *listenHint {
	if c.Type != healthcheck.TCP && c.Type != healthcheck.HTTP && c.Type != healthcheck.HTTPS {
		return nil
	}
	endpoints, err := c.Endpoints()
	if err != nil {
		return nil
	}
	diag, err := newSockDiag()
	if err != nil {
		return nil
	}
	return &listenHint{endpoints: endpoints, diag: diag, listening: true}
}

// applies tells whether the target is on this machine; of another's sockets the
// kernel knows nothing.
func (h *listenHint) applies(k kernelAddresses) bool {
	if h == nil {
		return false
	}
	for _, at := range h.endpoints {
		if !k.has(at.Addr()) {
			return false
		}
	}
	return true
}

// news tells whether there is a reason to check now: a listener went or came
// since the last call, or connections wait there for a process to accept them, as
// they do when it hangs (at most one such reason in each interval). Only changes
// count: a target that is translated to somewhere else never has a listener here.
func (h *listenHint) news(now time.Time, interval time.Duration) bool {
	listening, waiting := false, false
	for _, at := range h.endpoints {
		s, err := h.diag.listener(at)
		if err != nil && !errors.Is(err, errNoSocket) {
			return false
		}
		listening = listening || err == nil
		waiting = waiting || err == nil && s.queued > 0
	}
	came := listening != h.listening
	stuck := waiting && h.waiting && !h.stuck
	h.listening, h.stuck, h.waiting = listening, waiting && h.waiting, waiting
	if stuck && now.Sub(h.suspected) >= interval {
		h.suspected = now
		return true
	}
	return came
}

func (h *listenHint) close() {
	if h != nil {
		h.diag.close()
	}
}
