package checker

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/segment"
)

// asker asks the network who has an address, by ARP probes (RFC 5227) and neighbour
// solicitations (RFC 4861). The kernel's own table would not do: an entry goes on for
// half a minute after its machine died. Like a listener it has raw sockets that take a
// privilege to open, none to use, and are read when somebody comes round.
type asker struct {
	links []string
	near  func(link int) bool
	// arp and icmp are file descriptors, less than 0 where there is none.
	arp, icmp int

	mu sync.Mutex
	// answered is when a host, by its MAC, last said that it has an address that was
	// asked for.
	answered map[netip.Addr]map[string]time.Time
	// controls are asked for beside an address: who answers for them is a proxy, and
	// may do so long after the address's owner died.
	controls map[netip.Addr][]netip.Addr
	closed   bool
}

// mostAnswerers bounds how many hosts are told apart that say they have an address.
const mostAnswerers = 64

// openAsker returns an asker on some interfaces; the error tells what it cannot ask by.
func openAsker(links []string) (*asker, error) {
	a := &asker{links: links, near: nearby(links), icmp: -1, answered: map[netip.Addr]map[string]time.Time{}, controls: map[netip.Addr][]netip.Addr{}}
	const flags = unix.SOCK_NONBLOCK | unix.SOCK_CLOEXEC
	var err, failed error
	if a.arp, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|flags, int(bigEndian(unix.ETH_P_ARP))); err != nil {
		a.arp, failed = -1, err
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_RAW|flags, unix.IPPROTO_ICMPV6)
	if err != nil {
		if err == unix.EAFNOSUPPORT {
			err = failed // a machine without IPv6
		}
		return a, err
	}
	const advertisement = 136
	var only unix.ICMPv6Filter
	for n := range only.Data {
		only.Data[n] = 0xffffffff // to Linux a bit that is set blocks
	}
	only.Data[advertisement/32] &^= 1 << (advertisement % 32)
	// A solicitation that came through a router is none.
	err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MULTICAST_HOPS, 255)
	// Nor is an advertisement (RFC 4861 section 7.1.2).
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
	if err == nil {
		err = unix.SetsockoptICMPv6Filter(fd, unix.IPPROTO_ICMPV6, unix.ICMPV6_FILTER, &only)
	}
	if err != nil {
		unix.Close(fd)
		return a, err
	}
	a.icmp = fd
	return a, failed
}

// bigEndian is a number that has the bytes in the order in which they travel.
func bigEndian(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

func (a *asker) close() {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, fd := range []int{a.arp, a.icmp} {
		if fd >= 0 && !a.closed {
			unix.Close(fd)
		}
	}
	a.closed = true
}

// can tells that it can ask for an address.
func (a *asker) can(address netip.Addr) bool {
	return a != nil && (address.Is4() && a.arp >= 0 || address.Is6() && a.icmp >= 0)
}

// ask asks once, on every interface.
func (a *asker) ask(address netip.Addr) {
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return
	}
	for _, name := range a.links {
		ifi, err := net.InterfaceByName(name)
		if err != nil || len(ifi.HardwareAddr) != len(ethernet.Broadcast) {
			continue
		}
		if a.controls[address] == nil {
			a.controls[address] = segment.Controls(ifi, []netip.Addr{address})
		}
		for _, asked := range append([]netip.Addr{address}, a.controls[address]...) {
			if a.answered[asked] == nil {
				a.answered[asked] = map[string]time.Time{} // from now on answers count
			}
			if asked.Is4() {
				a.probe(ifi, asked)
			} else {
				a.solicit(ifi, asked)
			}
		}
	}
}

// probe sends a request without a sender's address, which leaves no trace in anybody's
// table. One that is not sent gets no answer.
func (a *asker) probe(ifi *net.Interface, address netip.Addr) {
	p, err := arp.NewPacket(arp.OperationRequest, ifi.HardwareAddr, netip.IPv4Unspecified(), make(net.HardwareAddr, len(ifi.HardwareAddr)), address)
	if err != nil || a.arp < 0 {
		return
	}
	if text, err := p.MarshalBinary(); err == nil {
		to := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ARP), Ifindex: ifi.Index, Halen: uint8(len(ethernet.Broadcast))}
		copy(to.Addr[:], ethernet.Broadcast)
		_ = unix.Sendto(a.arp, text, 0, to)
	}
}

func (a *asker) solicit(ifi *net.Interface, address netip.Addr) {
	group, err := ndp.SolicitedNodeMulticast(address)
	if err != nil || a.icmp < 0 {
		return
	}
	text, err := ndp.MarshalMessage(&ndp.NeighborSolicitation{TargetAddress: address, Options: []ndp.Option{
		&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: ifi.HardwareAddr}}})
	if err == nil {
		_ = unix.Sendto(a.icmp, text, 0, &unix.SockaddrInet6{Addr: group.As16(), ZoneId: uint32(ifi.Index)})
	}
}

// lastAnswer is when somebody last said that he has an address, and is no proxy; zero if
// nobody did.
func (a *asker) lastAnswer(address netip.Addr) time.Time {
	if a == nil {
		return time.Time{}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.take(a.arp, func(b []byte) (netip.Addr, net.HardwareAddr) {
			// Who names an address as its own has it, whether it answers or asks.
			var p arp.Packet
			if p.UnmarshalBinary(b) != nil {
				return netip.Addr{}, nil
			}
			return p.SenderIP, p.SenderHardwareAddr
		})
		a.take(a.icmp, func(b []byte) (netip.Addr, net.HardwareAddr) {
			m, err := ndp.ParseMessage(b)
			answer, ok := m.(*ndp.NeighborAdvertisement)
			if err != nil || !ok {
				return netip.Addr{}, nil
			}
			for _, o := range answer.Options {
				if link, ok := o.(*ndp.LinkLayerAddress); ok && link.Direction == ndp.Target {
					return answer.TargetAddress, link.Addr
				}
			}
			return answer.TargetAddress, nil
		})
	}
	var last time.Time
	for mac, at := range a.answered[address] {
		if at.After(last) && !a.proxies(mac, address) {
			last = at
		}
	}
	return last
}

// proxies tells that a host answers for addresses that nobody has.
func (a *asker) proxies(mac string, address netip.Addr) bool {
	answers := 0
	for _, c := range a.controls[address] {
		if !a.answered[c][mac].IsZero() {
			answers++
		}
	}
	return conflict.Proxied(answers)
}

// take takes in what waits in a socket.
func (a *asker) take(fd int, owner func([]byte) (netip.Addr, net.HardwareAddr)) {
	b, control := make([]byte, 1500), make([]byte, 128)
	for range mostHeard {
		n, oobn, _, from, err := unix.Recvmsg(fd, b, control, 0)
		if err != nil {
			return
		}
		came := told(control[:oobn])
		if link, ok := from.(*unix.SockaddrLinklayer); ok {
			came.link = link.Ifindex
		}
		if came.hops < 255 || !a.near(came.link) {
			continue
		}
		address, mac := owner(b[:n])
		hosts := a.answered[address]
		if _, known := hosts[mac.String()]; hosts != nil && (known || len(hosts) < mostAnswerers) {
			hosts[mac.String()] = time.Now()
		}
	}
}
