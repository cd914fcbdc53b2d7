package segment

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/vrrp"
)

// largest is more than the largest advertisement: 255 IPv6 addresses and headers.
const largest = 8192

// frame is what the fields of an IP header say.
type frame struct {
	sender  netip.Addr
	payload []byte
}

// listen4 hears advertisements twice: as they arrive at the interface, and as the
// machine's packet filter lets them through to programs.
func (l *look) listen4(ifi *net.Interface, begin func()) error {
	plain, err := net.ListenPacket("ip4:112", "0.0.0.0")
	if err != nil {
		return err
	}
	conn := ipv4.NewPacketConn(plain)
	defer conn.Close()
	// Without a member the interface may filter the group.
	if err := conn.JoinGroup(ifi, &net.IPAddr{IP: net.IPv4(224, 0, 0, 18)}); err != nil {
		return err
	}
	if err := conn.SetControlMessage(ipv4.FlagInterface, true); err != nil {
		return err
	}
	wire, err := capture(ifi, unix.ETH_P_IP, bpf.LoadAbsolute{Off: 9, Size: 1})
	if err != nil {
		return err
	}
	defer wire.Close()
	begin()
	return l.listen(ifi, wire, conn, func(b []byte) (frame, bool) {
		h, err := ipv4.ParseHeader(b)
		if err != nil || h.Len > len(b) || h.TotalLen > len(b) || h.TotalLen < h.Len {
			return frame{}, false
		}
		sender, ok := netip.AddrFromSlice(h.Src.To4())
		return frame{sender, b[h.Len:h.TotalLen]}, ok
	}, func(b []byte) (int, net.Addr, error) {
		for {
			n, control, from, err := conn.ReadFrom(b)
			if err != nil || control == nil || control.IfIndex == ifi.Index {
				return n, from, err
			}
		}
	})
}

// listen6 is listen4 over IPv6.
func (l *look) listen6(ifi *net.Interface, begin func()) error {
	plain, err := net.ListenPacket("ip6:112", "::")
	if errors.Is(err, unix.EAFNOSUPPORT) {
		return nil // a machine without IPv6
	}
	if err != nil {
		return err
	}
	conn := ipv6.NewPacketConn(plain)
	defer conn.Close()
	if err := conn.JoinGroup(ifi, &net.IPAddr{IP: net.ParseIP("ff02::12")}); err != nil {
		return nil // IPv6 is off on this interface
	}
	if err := conn.SetControlMessage(ipv6.FlagInterface, true); err != nil {
		return err
	}
	wire, err := capture(ifi, unix.ETH_P_IPV6, bpf.LoadAbsolute{Off: 6, Size: 1})
	if err != nil {
		return err
	}
	defer wire.Close()
	begin()
	return l.listen(ifi, wire, conn, func(b []byte) (frame, bool) {
		h, err := ipv6.ParseHeader(b)
		if err != nil || ipv6.HeaderLen+h.PayloadLen > len(b) {
			return frame{}, false
		}
		sender, ok := netip.AddrFromSlice(h.Src)
		return frame{sender, b[ipv6.HeaderLen : ipv6.HeaderLen+h.PayloadLen]}, ok
	}, func(b []byte) (int, net.Addr, error) {
		for {
			n, control, from, err := conn.ReadFrom(b)
			if err != nil || control == nil || control.IfIndex == ifi.Index {
				return n, from, err
			}
		}
	})
}

// capture gets the packets whose field of the protocol says VRRP, before any packet
// filter of the machine does. It begins after the group was joined: what it gets,
// programs could get too.
func capture(ifi *net.Interface, family int, field bpf.LoadAbsolute) (*packet.Conn, error) {
	program, err := bpf.Assemble([]bpf.Instruction{
		field,
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: vrrp.Protocol, SkipFalse: 1},
		bpf.RetConstant{Val: largest},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return nil, err
	}
	return packet.Listen(ifi, packet.Datagram, family, &packet.Config{Filter: program})
}

// late is how much later than at the interface a packet may reach a program.
const late = 50 * time.Millisecond

// listen reads both until the end of the look.
func (l *look) listen(ifi *net.Interface, wire *packet.Conn, conn interface{ SetReadDeadline(time.Time) error },
	open func([]byte) (frame, bool), receive func([]byte) (int, net.Addr, error)) error {
	if err := wire.SetDeadline(l.end); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(l.end.Add(2 * late)); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, largest)
		for {
			n, from, err := receive(b)
			if err != nil {
				return // the deadline, at the latest
			}
			l.delivered(ifi.Name, from, b[:n])
		}
	}()
	defer func() { <-ended }()
	b := make([]byte, largest)
	for drained := false; ; {
		n, from, err := wire.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) && !drained {
			// A process that did not get to run for a moment finds what came meanwhile.
			drained = true
			if err := wire.SetDeadline(time.Now().Add(late)); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		f, ok := open(b[:n])
		sender, known := from.(*packet.Addr)
		if !ok || !known || l.own[sender.HardwareAddr.String()] {
			continue
		}
		a, err := vrrp.ParseAdvertisement(f.payload, f.sender.Is6())
		if err != nil {
			continue // somebody's ill-made packet
		}
		l.hear(conflict.Heard{Advertisement: a, Interface: ifi.Name,
			Sender: conflict.Host{Address: f.sender, MAC: sender.HardwareAddr.String()}})
	}
}

func (l *look) hear(h conflict.Heard) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heard == nil {
		l.heard = map[key]conflict.Heard{}
	}
	k := key{h.Interface, h.Sender.Address, int(h.VirtualRouterID)}
	if _, known := l.heard[k]; known || l.room(conflict.Crowd{Interface: h.Interface, RouterID: h.VirtualRouterID}) {
		l.heard[k] = h
	}
}

// mostPassed is room for the senders of all virtual router IDs.
const mostPassed = 255 * conflict.Most

// delivered notes what reached a program.
func (l *look) delivered(iface string, from net.Addr, payload []byte) {
	host, ok := from.(*net.IPAddr)
	if !ok {
		return
	}
	sender, ok := netip.AddrFromSlice(host.IP)
	if !ok {
		return
	}
	sender = sender.Unmap()
	a, err := vrrp.ParseAdvertisement(payload, sender.Is6())
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.passed == nil {
		l.passed = map[key]bool{}
	}
	k := key{iface, sender, int(a.VirtualRouterID)}
	// It may come here before it is heard at the interface.
	if _, known := l.heard[k]; known || len(l.passed) < mostPassed {
		l.passed[k] = true
	}
}
