package host

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

// answerSolicitations answers neighbour solicitations for IPv6 addresses on an
// interface (RFC 4861 section 7.2.4) until it is closed.
func answerSolicitations(ifi *net.Interface, addresses []netip.Addr) (io.Closer, error) {
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
	go advertise(conn, ifi, addresses)
	return conn, nil
}

// advertise answers until the connection is closed.
func advertise(conn *ndp.Conn, ifi *net.Interface, addresses []netip.Addr) {
	var pace pace
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
		pace.keep()
		// Who got no answer asks again.
		_ = conn.WriteTo(answer, nil, from)
	}
}
