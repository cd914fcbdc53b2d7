package reconcile

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/group"
	"keepalived-charm/internal/vrrp"
)

// Holds tells whether this unit holds virtual IPs by the kernel's word.
func (d Desired) Holds(m Machine) bool {
	return d.Mode == Serving && len(held(m, d.options.VirtualIPs)) > 0
}

// Service is where the first virtual IP that this unit holds answers, or the first of
// all; invalid without one.
func (d Desired) Service(m Machine) netip.AddrPort {
	if d.Mode != Serving {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(append(held(m, d.options.VirtualIPs), d.addresses()...)[0], uint16(d.options.Port))
}

// Successor tells whether another unit is there to take over what this unit gives up:
// one that takes part, is healthy as far as it told, and is not lost. The error says
// of each other unit why it is none.
func (d Desired) Successor() error {
	if len(d.peers) == 0 {
		return errors.New("there is no other unit to take the virtual IPs over")
	}
	for _, r := range d.routers {
		var reasons []string
		for _, p := range r.peers {
			if why := p.unfit(); why != "" {
				reasons = append(reasons, p.unit.String()+": "+why)
			}
		}
		if len(reasons) == len(r.peers) {
			return fmt.Errorf("no other unit can take the virtual IPs over (%s)", strings.Join(reasons, "; "))
		}
	}
	return nil
}

// Returns tells that what this unit hands over comes back at once: with preempt the
// healthy unit that ranks highest takes it.
func (d Desired) Returns(m Machine) bool {
	if !d.options.Policy.Preempt || d.routers[0].Mixed() || m.Check.Known && !m.Check.Healthy {
		return false
	}
	return !slices.ContainsFunc(d.peers, func(p peer) bool { return p.unfit() == "" && vrrp.Base(p.rank) >= d.base(d.routers[0]) })
}

// unfit says why a peer takes nothing over; empty for one that would.
func (p peer) unfit() string {
	switch {
	case !p.Serves:
		return "serves nothing"
	case p.Aside == group.Paused:
		return "paused"
	case p.Aside != "":
		return "stands aside"
	case p.lost:
		return "machine does not answer"
	case p.healthy == nil:
		return "no verdict"
	case !*p.healthy:
		return "check fails"
	}
	return ""
}
