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

// changed tells whether a listener went or came since the last call. Only the
// change counts: a target that is translated to somewhere else never has a
// listener here.
func (h *listenHint) changed() bool {
	now := false
	for _, at := range h.endpoints {
		_, err := h.diag.listener(at)
		if err != nil && !errors.Is(err, errNoSocket) {
			return false
		}
		now = now || err == nil
	}
	before := h.listening
	h.listening = now
	return now != before
}

func (h *listenHint) close() {
	if h != nil {
		h.diag.close()
	}
}
