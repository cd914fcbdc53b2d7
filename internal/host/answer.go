package host

import (
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/reconcile"
)

// answering answers clients that ask who has addresses which are on the loopback
// device. Linux answers neighbour solicitations for addresses of the interface where
// they arrive, no others; ARP requests for any address of the machine, unless
// arp_ignore says otherwise. It ends with the hook, and leaves nothing to undo.
type answering []io.Closer

// answer answers for addresses from now on, and for no others any more.
func (h *Host) answer(l reconcile.Layout, addresses []netip.Addr) {
	fragment, _ := os.ReadFile(h.path(l.Fragment())) // nothing is pinned without one
	before := h.answers
	h.answers = answerFor(string(fragment), addresses)
	for _, conn := range before {
		conn.Close()
	}
}

// answerFor begins to answer for addresses, on the interfaces where a fragment has
// them. Where that is not possible, only clients that know the machine go on reaching it.
func answerFor(fragment string, addresses []netip.Addr) answering {
	type place struct {
		iface string
		six   bool
	}
	places := map[place][]netip.Addr{}
	for _, a := range addresses {
		if at, ok := keepalived.Placed(fragment, a); ok {
			p := place{at.Interface, a.Is6()}
			places[p] = append(places[p], a)
		}
	}
	var conns answering
	for p, list := range places {
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
