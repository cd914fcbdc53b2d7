package host

import (
	"io"
	"net"
	"net/netip"
	"time"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/layout"
)

// answering answers clients that ask who has addresses which are on the loopback
// device. Linux answers neighbour solicitations for addresses of the interface where
// they arrive, no others; ARP requests for any address of the machine, unless
// arp_ignore says otherwise. It ends with the hook, and leaves nothing to undo.
type answering []io.Closer

// answer answers for addresses from now on, and for no others any more.
func (h *Host) answer(l layout.Layout, addresses []netip.Addr) {
	before := h.answers
	h.answers = answerFor(h.applied(l).Addresses, addresses)
	for _, conn := range before {
		conn.Close()
	}
}

// answerFor begins to answer for addresses, on the interfaces where the unit has
// them. Where that is not possible, only clients that know the machine go on reaching it.
func answerFor(places map[netip.Addr]applied.Place, addresses []netip.Addr) answering {
	type segment struct {
		iface string
		six   bool
	}
	segments := map[segment][]netip.Addr{}
	for _, a := range addresses {
		if at, ok := places[a]; ok {
			s := segment{at.Interface, a.Is6()}
			segments[s] = append(segments[s], a)
		}
	}
	var conns answering
	for p, list := range segments {
		ifi, err := net.InterfaceByName(p.iface)
		if err != nil || len(ifi.HardwareAddr) == 0 {
			continue
		}
		begin := answerRequests
		if p.six {
			begin = answerSolicitations
		}
		if conn, err := begin(ifi, list); err == nil {
			conns = append(conns, conn)
		}
	}
	return conns
}

// mostAnswers bounds what a flood of questions costs: so many in a second are answered
// on an interface, at some 10 us each. Who got no answer asks again after a second.
const mostAnswers = 1000

// pace counts the answers of a second.
type pace struct {
	second  time.Time
	answers int
}

// keep waits for the next second where this one has had its answers.
func (p *pace) keep() {
	if time.Since(p.second) >= time.Second {
		p.second, p.answers = time.Now(), 0
	}
	if p.answers++; p.answers > mostAnswers {
		time.Sleep(time.Until(p.second.Add(time.Second)))
		p.second, p.answers = time.Now(), 1
	}
}
