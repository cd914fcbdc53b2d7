package checker

import (
	"errors"
	"net/netip"
	"time"

	"keepalived-charm/internal/healthcheck"
)

// hintInterval is how often the kernel is asked whether the target is listened on. A question
// costs some 10 microseconds, to wake up for it ten times that.
const hintInterval = 125*time.Millisecond - company

// listenHint notices early that a service on this machine went or came. It is
// only a reason to check now: the check decides.
type listenHint struct {
	*aim
	listening bool
	// waiting tells that connections waited to be accepted at the last look, stuck
	// that they did at the one before as well.
	waiting, stuck bool
	suspected      time.Time
	// at is the listener of the last look.
	at     netip.AddrPort
	family uint8
}

// mostHinted bounds how many virtual IPs are asked about in a look: what becomes of a
// listener on one of the others is seen in the next check.
const mostHinted = 32

// newListenHint returns nil where there is nothing to ask: no network target, or
// a kernel that does not answer.
func newListenHint(c healthcheck.Config) *listenHint {
	if c.Check.Type != healthcheck.TCP && c.Check.Type != healthcheck.HTTP && c.Check.Type != healthcheck.HTTPS {
		return nil
	}
	aim, err := newAim(c.Check, c.VirtualIPs())
	if err != nil || aim.diag == nil {
		return nil
	}
	aim.fallback = aim.fallback[:min(len(aim.fallback), mostHinted)]
	return &listenHint{aim: aim, listening: true}
}

// applies tells whether the target is on this machine; of another's sockets the
// kernel knows nothing. A virtual IP is checked here wherever it is.
func (h *listenHint) applies(k kernelAddresses) bool {
	if h == nil {
		return false
	}
	for _, at := range h.endpoints {
		if !h.virtual[at.Addr()] && !k.has(at.Addr()) {
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
	listening, waiting, ok := h.look(h.endpoints)
	for n := 0; ok && !listening && n < len(h.fallback); n++ {
		listening, waiting, ok = h.look(h.fallback[n : n+1])
	}
	if !ok {
		return false
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

// look tells whether a process listens at one of the places, and whether connections
// wait at the first such, which a check asks.
func (h *listenHint) look(places []netip.AddrPort) (listening, waiting, ok bool) {
	for _, at := range places {
		s, err := h.diag.listener(at)
		if err != nil && !errors.Is(err, errNoSocket) {
			return false, false, false
		}
		if err == nil {
			h.at, h.family = at, s.family
			return true, s.queued > 0, true
		}
	}
	return false, false, true
}

// taken lists the connections that were taken from the listener of the last look while others
// wait there; nil where none wait, or it cannot be told.
func (h *listenHint) taken() connections {
	if s, err := h.diag.listener(h.at); err != nil || s.queued == 0 {
		return nil
	}
	t, err := h.diag.taken(h.family, h.at.Port())
	if err != nil {
		return nil
	}
	return t
}

func (h *listenHint) close() {
	if h != nil {
		h.diag.close()
	}
}
