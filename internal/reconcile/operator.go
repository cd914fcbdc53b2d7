package reconcile

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Holds tells whether this unit holds virtual IPs by the kernel's word.
func (d Desired) Holds(m Machine) bool { return d.Mode == Serving && len(d.held(m)) > 0 }

// Service is where the first virtual IP that this unit holds answers, or the first of
// all; invalid without one.
func (d Desired) Service(m Machine) netip.AddrPort {
	if d.Mode != Serving {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(append(d.held(m), d.addresses()...)[0], uint16(d.options.Port))
}

// Spread tells that each virtual IP returns to the unit whose turn it is.
func (d Desired) Spread() bool { return d.spread || len(d.routers) > 0 }

// Successor tells whether somebody healthy is there to take over what this unit
// gives up; the error says why not, as far as the others have told.
func (d Desired) Successor() error {
	var others []string
	for _, p := range d.peers {
		if p.Runs != nil && p.healthy != nil && *p.healthy {
			return nil
		}
		others = append(others, p.unit.String())
	}
	if len(others) == 0 {
		return errors.New("there is no other unit to take the virtual IPs over")
	}
	return fmt.Errorf("no other unit is healthy (%s)", strings.Join(others, ", "))
}
