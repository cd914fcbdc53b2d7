package segment

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// inRounds asks again and again, meanwhile reads until the end of the look. round
// is the number of the one that was asked last.
func (l *look) inRounds(ask func() error, read func(round func() int) error) error {
	var round atomic.Int64
	result := make(chan error, 1)
	go func() {
		for n := range rounds {
			round.Store(int64(n + 1))
			if err := ask(); err != nil {
				result <- err
				return
			}
			time.Sleep(min(l.pace, time.Until(l.end)))
		}
		result <- nil
	}()
	var err error
	for err == nil {
		err = read(func() int { return int(round.Load()) })
	}
	if failed := <-result; failed != nil {
		return failed
	}
	return err
}

// ask4 sends ARP probes: requests without a sender's address, which leave no trace
// in anybody's table (RFC 5227 section 2.1.1); requests in this machine's name where the
// question says so.
func (l *look) ask4(ifi *net.Interface, addresses []netip.Addr, begin func()) error {
	if len(addresses) == 0 || len(ifi.HardwareAddr) != len(ethernet.Broadcast) {
		return nil
	}
	conn, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_ARP, nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	begin()
	if err := conn.SetDeadline(l.end); err != nil {
		return err
	}
	nobody := make(net.HardwareAddr, len(ifi.HardwareAddr))
	b := make([]byte, 1500)
	return l.inRounds(func() error {
		for _, a := range addresses {
			p, err := arp.NewPacket(arp.OperationRequest, ifi.HardwareAddr, l.sender(ifi, a), nobody, a)
			if err != nil {
				return err
			}
			text, err := p.MarshalBinary()
			if err != nil {
				return err
			}
			if _, err := conn.WriteTo(text, &packet.Addr{HardwareAddr: ethernet.Broadcast}); err != nil {
				return err
			}
		}
		return nil
	}, func(round func() int) error {
		n, _, err := conn.ReadFrom(b)
		if err != nil {
			return err
		}
		// Who names an address as its own has it, whether it answers or asks.
		var p arp.Packet
		if p.UnmarshalBinary(b[:n]) == nil && slices.Contains(addresses, p.SenderIP) {
			l.answered(ifi.Name, p.SenderIP, p.SenderHardwareAddr, round())
		}
		return nil
	})
}

// ask6 sends neighbour solicitations from the interface's link-local address.
func (l *look) ask6(ifi *net.Interface, addresses []netip.Addr, begin func()) error {
	if len(addresses) == 0 {
		return nil
	}
	conn, _, err := ndp.Listen(ifi, ndp.LinkLocal)
	if err != nil {
		return err
	}
	defer conn.Close()
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeNeighborAdvertisement)
	if err := conn.SetICMPFilter(&only); err != nil {
		return err
	}
	begin()
	if err := conn.SetDeadline(l.end); err != nil {
		return err
	}
	return l.inRounds(func() error {
		for _, a := range addresses {
			group, err := ndp.SolicitedNodeMulticast(a)
			if err != nil {
				return err
			}
			question := &ndp.NeighborSolicitation{TargetAddress: a, Options: []ndp.Option{
				&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: ifi.HardwareAddr}}}
			if err := conn.WriteTo(question, nil, group); err != nil {
				return err
			}
		}
		return nil
	}, func(round func() int) error {
		m, _, _, err := conn.ReadFrom()
		if err != nil {
			return err
		}
		reply, ok := m.(*ndp.NeighborAdvertisement)
		if !ok || !slices.Contains(addresses, reply.TargetAddress) {
			return nil
		}
		for _, o := range reply.Options {
			if link, ok := o.(*ndp.LinkLayerAddress); ok && link.Direction == ndp.Target {
				l.answered(ifi.Name, reply.TargetAddress, link.Addr, round())
			}
		}
		return nil
	})
}
