package checker

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/vrrp"
)

// advert is an advertisement of another machine.
type advert struct {
	from     netip.Addr
	id       vrrp.VirtualRouterID
	priority vrrp.Priority
	// version is that of VRRP, auth the fingerprint of the password (vrrp.Fingerprint).
	version int
	auth    string
	// interval is what the sender says it keeps between two of them.
	interval time.Duration
	// addresses are what it advertises; link is the index of the interface that it came
	// by, zero where the kernel does not tell.
	addresses []netip.Addr
	link      int
	// routed tells that a router passed it on.
	routed bool
}

// parseAdvert reads a VRRP packet (RFC 9568 section 5.1; RFC 3768 section 5.1 for
// version 2); six tells that it came over IPv6. False for anything else.
func parseAdvert(packet []byte, six bool) (advert, bool) {
	if len(packet) < 8 || packet[0]&0x0f != 1 || packet[1] == 0 {
		return advert{}, false
	}
	a := advert{id: vrrp.VirtualRouterID(packet[1]), priority: vrrp.Priority(packet[2]), version: int(packet[0] >> 4)}
	switch a.version {
	case 2:
		a.interval = time.Duration(packet[5]) * time.Second
	case 3:
		a.interval = time.Duration(int(packet[4]&0x0f)<<8|int(packet[5])) * 10 * time.Millisecond
	default:
		return advert{}, false
	}
	size := 4
	if six {
		size = 16
	}
	for rest := packet[8:]; len(a.addresses) < int(packet[3]) && len(rest) >= size; rest = rest[size:] {
		address, _ := netip.AddrFromSlice(rest[:size])
		a.addresses = append(a.addresses, address)
	}
	if a.version == 2 {
		a.auth = authentication(packet)
	}
	return a, true
}

// otherAuth is no password's fingerprint.
const otherAuth = "other"

// authentication is what stands for the password of a packet of version 2 (RFC 2338 sections
// 5.3.6 and 5.3.10); empty for a packet without.
func authentication(packet []byte) string {
	const none, password, size = 0, 1, 8
	data := packet[min(len(packet), 8+4*int(packet[3])):]
	switch {
	case packet[4] == none:
		return ""
	case packet[4] == password && len(data) >= size:
		return vrrp.Fingerprint(strings.TrimRight(string(data[:size]), "\x00"))
	}
	return otherAuth
}

// listener receives VRRP advertisements beside keepalived. It is a raw socket that
// nobody waits for: the kernel keeps what comes, with its time, until the loop
// comes round, so listening wakes nobody up. Opening it takes a privilege, reading
// does not.
type listener struct {
	fd  int
	six bool
	// packet and control are reused.
	packet  [1500]byte
	control [128]byte
	from    unix.RawSockaddrAny
}

// listenFor opens a listener for one family, which gets the advertisements of some virtual
// routers: others fill no queue.
func listenFor(six bool, ids []vrrp.VirtualRouterID) (*listener, error) {
	family := unix.AF_INET
	if six {
		family = unix.AF_INET6
	}
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, vrrp.Protocol)
	if err != nil {
		return nil, err
	}
	// Without it all of them come, and are left out when they are read.
	_ = only(fd, six, ids)
	// Without it the time of reading counts, a tenth of a second later at most.
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	// Without it every interface counts.
	if six {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVPKTINFO, 1)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_RECVHOPLIMIT, 1)
	} else {
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_PKTINFO, 1)
	}
	return &listener{fd: fd, six: six}, nil
}

// only has a socket get packets of some virtual routers alone.
func only(fd int, six bool, ids []vrrp.VirtualRouterID) error {
	field := []bpf.Instruction{bpf.LoadMemShift{Off: 0}, bpf.LoadIndirect{Off: 1, Size: 1}} // behind the IP header
	if six {
		field = []bpf.Instruction{bpf.LoadAbsolute{Off: 1, Size: 1}}
	}
	for _, id := range ids {
		field = append(field, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(id), SkipTrue: 1}, bpf.RetConstant{Val: 1 << 16})
	}
	raw, err := bpf.Assemble(append(field, bpf.RetConstant{Val: 0}))
	if err != nil {
		return err
	}
	var filter []unix.SockFilter
	for _, r := range raw {
		filter = append(filter, unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K})
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]})
}

func (l *listener) close() { unix.Close(l.fd) }

// find is what comes of the next packet that waits.
type find int

const (
	nothing find = iota // none waits
	spoilt              // it is no advertisement, or was spoilt
	whole
)

// next returns the next packet that waits and when the kernel got it.
func (l *listener) next() (a advert, at time.Time, came find) {
	for {
		n, oobn, errno := quickReceive(l.fd, l.packet[:], l.control[:], &l.from)
		if errno == unix.EINTR {
			continue
		}
		if errno != 0 {
			return advert{}, time.Time{}, nothing
		}
		packet, how := l.packet[:n], told(l.control[:oobn])
		var sender netip.Addr
		switch l.from.Addr.Family {
		case unix.AF_INET:
			sender = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&l.from)).Addr)
			// A raw IPv4 socket brings the IP header along (raw(7)).
			if n < 20 || n < int(packet[0]&0x0f)*4 {
				return advert{}, time.Time{}, spoilt
			}
			how.hops, how.to = int(packet[8]), netip.AddrFrom4([4]byte(packet[16:20]))
			packet = packet[int(packet[0]&0x0f)*4:]
		case unix.AF_INET6:
			sender = netip.AddrFrom16((*unix.RawSockaddrInet6)(unsafe.Pointer(&l.from)).Addr)
		}
		a, ok := parseAdvert(packet, l.six)
		if !ok || !vrrp.Intact(packet, sender, how.to) {
			return advert{}, time.Time{}, spoilt
		}
		a.from, a.link, a.routed = sender, how.link, how.hops < vrrp.HopLimit
		return a, how.at, whole
	}
}

// arrival is what the kernel tells of a packet beside its text; zero where it does not, but
// for the hops.
type arrival struct {
	at   time.Time
	link int // the index of the interface
	// hops are the TTL or the hop limit that were left, vrrp.HopLimit where that is not told.
	hops int
	to   netip.Addr
}

func told(control []byte) arrival {
	came := arrival{hops: vrrp.HopLimit}
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return came
	}
	for _, m := range messages {
		switch {
		case m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})):
			came.at = time.Unix((*unix.Timespec)(unsafe.Pointer(&m.Data[0])).Unix())
		case m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_PKTINFO && len(m.Data) >= unix.SizeofInet4Pktinfo:
			came.link = int((*unix.Inet4Pktinfo)(unsafe.Pointer(&m.Data[0])).Ifindex)
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_PKTINFO && len(m.Data) >= unix.SizeofInet6Pktinfo:
			info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&m.Data[0]))
			came.link, came.to = int(info.Ifindex), netip.AddrFrom16(info.Addr)
		case m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_HOPLIMIT && len(m.Data) >= 4:
			came.hops = int(binary.NativeEndian.Uint32(m.Data))
		}
	}
	return came
}
