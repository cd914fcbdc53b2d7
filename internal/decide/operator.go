package decide

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/group"
	"keepalived-charm/internal/vrrp"
)

// Holds tells whether this unit holds virtual IPs by the kernel's word.
func (d self) Holds(m facts.Machine) bool {
	return d.Mode == Serving && len(Held(m, d.Options.VirtualIPs)) > 0
}

// Service is where the first virtual IP that this unit holds answers, or the first of
// all; invalid without one.
func (d self) Service(m facts.Machine) netip.AddrPort {
	if d.Mode != Serving {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(append(Held(m, d.Options.VirtualIPs), d.Addresses()...)[0], uint16(d.Options.Port))
}

// Successor tells whether another unit is there to take over what this unit gives up:
// one that takes part, is healthy as far as it told, and is not lost. The error says
// of each other unit why it is none.
func (d agreement) Successor() error {
	if len(d.Peers) == 0 {
		return errors.New("there is no other unit to take the virtual IPs over")
	}
	for _, r := range d.Routers {
		var reasons []string
		for _, p := range r.Peers {
			if why := p.unfit(); why != "" {
				reasons = append(reasons, p.Unit.String()+": "+why)
			}
		}
		if len(reasons) == len(r.Peers) {
			return fmt.Errorf("no other unit can take the virtual IPs over (%s)", strings.Join(reasons, "; "))
		}
	}
	return nil
}

// Returns tells that what this unit hands over comes back at once: with preempt the
// healthy unit that ranks highest takes it.
func (d agreement) Returns(m facts.Machine) bool {
	if !d.Options.Policy.Preempt || d.Routers[0].Mixed() || m.Check.Known && !m.Check.Healthy {
		return false
	}
	return !slices.ContainsFunc(d.Peers, func(p Peer) bool { return p.unfit() == "" && vrrp.Base(p.Rank) >= d.base(d.Routers[0]) })
}

// unfit says why a peer takes nothing over; empty for one that would.
func (p Peer) unfit() string {
	switch {
	case !p.Serves:
		return "serves nothing"
	case p.Aside == group.Paused:
		return "paused"
	case p.Aside != group.TakesPart:
		return "stands aside"
	case p.lost:
		return "machine does not answer"
	case p.Healthy == nil:
		return "no verdict"
	case !*p.Healthy:
		return "check fails"
	}
	return ""
}
