package reconcile

import (
	"fmt"
	"net/netip"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
)

// roles is the unit's part in the elections. What is wrong in one comes first.
func (d Desired) roles(m Machine) juju.Status {
	parts := d.parts()
	if len(parts) == 1 && !d.Spread() {
		return d.role(m)
	}
	var own, lost []netip.Addr
	others, units := map[string][]netip.Addr{}, []string{}
	for _, p := range parts {
		if len(p.addresses()) == 0 {
			continue
		}
		p.found, p.free = d.found, d.free
		if s := p.role(m); s.Level != juju.Active {
			return s
		}
		state, _ := p.instanceOf(m)
		switch holder := p.holder(m, state); {
		case state.State == keepalived.Master:
			own = append(own, p.addresses()...)
		case holder == "":
			lost = append(lost, p.addresses()...)
		default:
			if others[holder] == nil {
				units = append(units, holder)
			}
			others[holder] = append(others[holder], p.addresses()...)
		}
	}
	all := fmt.Sprint(len(d.addresses()))
	s := say(sharesNone, "ALL", all)
	if len(own) > 0 {
		s = say(sharesIn, "COUNT", fmt.Sprint(len(own)), "ALL", all, "ADDRESSES", list(own))
	}
	for _, u := range units {
		s.Message += say(shareOf, "UNIT", u, "ADDRESSES", list(others[u])).Message
	}
	if len(lost) > 0 {
		s.Message += say(shareOfNobody, "ADDRESSES", list(lost)).Message
	}
	return s
}
