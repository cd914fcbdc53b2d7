package reconcile

import (
	"fmt"
	"net/netip"

	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
)

// roles is the unit's part in the elections. What is wrong in one comes first.
func (d Desired) roles(m Machine) juju.Status {
	if !d.Spread {
		return d.role(m, d.routers[0])
	}
	var own, lost []netip.Addr
	others, units := map[string][]netip.Addr{}, []string{}
	for _, r := range d.routers {
		if len(r.virtualIPs) == 0 {
			continue
		}
		if s := d.role(m, r); s.Level != juju.Active {
			return s
		}
		state, _ := d.state(m, r)
		switch unit, known := r.holder(m, state); {
		case state.State == keepalived.Master:
			own = append(own, r.addresses()...)
		case !known:
			lost = append(lost, r.addresses()...)
		default:
			holder := unit.String()
			if others[holder] == nil {
				units = append(units, holder)
			}
			others[holder] = append(others[holder], r.addresses()...)
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
