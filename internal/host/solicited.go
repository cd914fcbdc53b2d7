package host

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/reconcile"
)

// answering answers neighbour solicitations (RFC 4861 section 7.2.4) for addresses that
// are on the loopback device: Linux answers ARP requests for any address of the
// machine, solicitations only for those of the interface where they arrive. It ends
// with the hook, and leaves nothing to undo.
type answering []*ndp.Conn

// answer answers for addresses from now on, and for no others any more.
func (h *Host) answer(l reconcile.Layout, addresses []netip.Addr) {
	fragment, _ := os.ReadFile(h.path(l.Fragment())) // the Python charm has no IPv6
	before := h.answers
	h.answers = answerFor(string(fragment), addresses)
	for _, conn := range before {
		conn.Close()
	}
}

// answerFor begins to answer for those addresses that are of IPv6, on the interfaces
// where a fragment has them. Where that is not possible, only clients that know the
// machine go on reaching it.
func answerFor(fragment string, addresses []netip.Addr) answering {
	places := map[string][]netip.Addr{}
	for _, a := range addresses {
		if name := keepalived.InterfaceOf(fragment, a); a.Is6() && name != "" {
			places[name] = append(places[name], a)
		}
	}
	var conns answering
	for name, list := range places {
		ifi, err := net.InterfaceByName(name)
		if err != nil || len(ifi.HardwareAddr) == 0 {
			continue
		}
		conn, err := solicited(ifi, list)
		if err != nil {
			continue
		}
		conns = append(conns, conn)
		go answerOn(conn, ifi, list)
	}
	return conns
}

// solicited gets neighbour solicitations for addresses on an interface.
func solicited(ifi *net.Interface, addresses []netip.Addr) (*ndp.Conn, error) {
	conn, _, err := ndp.Listen(ifi, ndp.Unspecified)
	if err != nil {
		return nil, err
	}
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeNeighborSolicitation)
	err = errors.Join(conn.SetICMPFilter(&only), conn.SetControlMessage(ipv6.FlagInterface, true))
	if err != nil {
		conn.Close()
		return nil, err
	}
	for _, a := range addresses {
		if group, err := ndp.SolicitedNodeMulticast(a); err == nil {
			// Several addresses share a group, and a kernel has room for some hundred.
			_ = conn.JoinGroup(group)
		}
	}
	return conn, nil
}

// answerOn answers until the connection is closed.
func answerOn(conn *ndp.Conn, ifi *net.Interface, addresses []netip.Addr) {
	for {
		m, control, from, err := conn.ReadFrom()
		if err != nil {
			return
		}
		question, ok := m.(*ndp.NeighborSolicitation)
		if !ok || control == nil || control.IfIndex != ifi.Index || !slices.Contains(addresses, question.TargetAddress) {
			continue
		}
		answer := &ndp.NeighborAdvertisement{Solicited: true, Override: true, TargetAddress: question.TargetAddress, Options: []ndp.Option{
			&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: ifi.HardwareAddr}}}
		// Who got no answer asks again.
		_ = conn.WriteTo(answer, nil, from)
	}
}
