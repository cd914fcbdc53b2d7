package checker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// tcpState is a socket's state as sock_diag(7) reports it (tcp_states.h).
type tcpState uint8

const (
	tcpEstablished tcpState = 1
	tcpSynRecv     tcpState = 3
	tcpFinWait1    tcpState = 4
	tcpFinWait2    tcpState = 5
	tcpCloseWait   tcpState = 8
	tcpLastAck     tcpState = 9
	tcpListen      tcpState = 10
	tcpClosing     tcpState = 11
)

// errNoSocket says that the kernel has no such socket.
var errNoSocket = errors.New("no such socket")

// tcpSocket is what the kernel tells about a TCP socket.
type tcpSocket struct {
	family uint8
	state  tcpState
	// inode is 0 while no process has the socket: it waits to be accepted.
	inode uint32
	// queued and backlog are, for a listener, how many connections wait to be
	// accepted and how many may.
	queued, backlog uint32
}

// sockDiag asks the kernel for TCP sockets by sock_diag(7), which needs no privilege:
// for single ones by an exact look-up, which walks no table.
type sockDiag struct {
	mu  sync.Mutex // one question at a time
	fd  int
	seq uint32
	buf [4096]byte

	tried sync.Once
	knows bool // see works
}

// newSockDiag opens the netlink socket. What is sent without an address goes to
// the kernel (netlink(7)).
func newSockDiag() (*sockDiag, error) {
	const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err := unix.Socket(unix.AF_NETLINK, kind, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("cannot open sock_diag: %w", err)
	}
	return &sockDiag{fd: fd}, nil
}

func (d *sockDiag) close() { unix.Close(d.fd) }

// listener finds the socket that listens on the address, be it bound to that
// address or to every address.
func (d *sockDiag) listener(at netip.AddrPort) (tcpSocket, error) {
	none := netip.IPv4Unspecified()
	if at.Addr().Is6() {
		none = netip.IPv6Unspecified()
	}
	return d.find(at, netip.AddrPortFrom(none, 0))
}

// works tells whether the kernel finds sockets at all: without its module tcp_diag it
// knows none, in the same words.
func (d *sockDiag) works() bool {
	d.tried.Do(func() {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			d.knows = true // for all that can be told
			return
		}
		defer l.Close()
		_, err = d.listener(l.Addr().(*net.TCPAddr).AddrPort())
		d.knows = err == nil
	})
	return d.knows
}

// find looks up the socket with these ends. Without a connection of that kind
// the kernel answers with the listener of the local end, if any.
func (d *sockDiag) find(local, remote netip.AddrPort) (tcpSocket, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq++
	family := uint8(unix.AF_INET)
	if local.Addr().Is6() {
		family = unix.AF_INET6
	}
	request := diagRequest(d.seq, family, 0, ^uint32(0), local, remote)
	if _, errno := quickCall(unix.SYS_WRITE, d.fd, request); errno != 0 {
		return tcpSocket{}, fmt.Errorf("cannot ask for a socket: %w", errno)
	}
	for {
		// The kernel has answered before the request returns, so this never waits.
		n, errno := quickCall(unix.SYS_READ, d.fd, d.buf[:])
		if errno != 0 {
			return tcpSocket{}, fmt.Errorf("cannot learn of a socket: %w", errno)
		}
		// An answer to an earlier request was left by one that failed half way.
		if n >= unix.NLMSG_HDRLEN && binary.NativeEndian.Uint32(d.buf[8:]) == d.seq {
			return parseDiag(d.buf[:n])
		}
	}
}

// diagRequest is a netlink header with struct inet_diag_req_v2
// (linux/inet_diag.h).
func diagRequest(seq uint32, family uint8, flags uint16, states uint32, local, remote netip.AddrPort) []byte {
	const size = unix.NLMSG_HDRLEN + 56
	b := make([]byte, size)
	native, network := binary.NativeEndian, binary.BigEndian
	native.PutUint32(b[0:], size)
	native.PutUint16(b[4:], nl.SOCK_DIAG_BY_FAMILY)
	native.PutUint16(b[6:], unix.NLM_F_REQUEST|flags)
	native.PutUint32(b[8:], seq)
	r := b[unix.NLMSG_HDRLEN:]
	r[0], r[1] = family, unix.IPPROTO_TCP
	native.PutUint32(r[4:], states)
	network.PutUint16(r[8:], local.Port())
	network.PutUint16(r[10:], remote.Port())
	copy(r[12:28], local.Addr().AsSlice())
	copy(r[28:44], remote.Addr().AsSlice())
	native.PutUint64(r[48:], ^uint64(0)) // INET_DIAG_NOCOOKIE
	return b
}

// parseDiag reads struct inet_diag_msg, or the error that came instead.
func parseDiag(b []byte) (tcpSocket, error) {
	native := binary.NativeEndian
	body := b[unix.NLMSG_HDRLEN:]
	switch native.Uint16(b[4:]) {
	case unix.NLMSG_ERROR:
		if len(body) < 4 {
			return tcpSocket{}, errors.New("cannot read a sock_diag error: it is cut")
		}
		if errno := syscall.Errno(-int32(native.Uint32(body))); errno != syscall.ENOENT {
			return tcpSocket{}, fmt.Errorf("cannot look up a socket: %w", errno)
		}
		return tcpSocket{}, errNoSocket
	case nl.SOCK_DIAG_BY_FAMILY:
		if len(body) < 72 {
			return tcpSocket{}, errors.New("cannot read a sock_diag answer: it is cut")
		}
		return tcpSocket{
			family:  body[0],
			state:   tcpState(body[1]),
			queued:  native.Uint32(body[56:]),
			backlog: native.Uint32(body[60:]),
			inode:   native.Uint32(body[68:]),
		}, nil
	}
	return tcpSocket{}, fmt.Errorf("cannot read a sock_diag answer of type %d", native.Uint16(b[4:]))
}
