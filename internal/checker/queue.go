package checker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// untakenLook is how soon to look again at a listener where connections wait: a service takes
	// them sooner unless it hangs, or is at a limit.
	untakenLook = 20 * time.Millisecond
	// mostTaken bounds how many sockets of a port are listed.
	mostTaken = 1 << 14
)

// connections are those of a port that processes have accepted, by the kernel's cookies, which
// no two sockets share.
type connections map[uint64]struct{}

// within tells that all of them are among others.
func (t connections) within(others connections) bool {
	for cookie := range t {
		if _, ok := others[cookie]; !ok {
			return false
		}
	}
	return true
}

var (
	errManySockets   = errors.New("there are too many")
	errManyListeners = errors.New("several sockets listen there, each with a queue of its own")
)

// taken lists the connections that came to a listener's port and that processes have. It walks the
// table of all connections, other than find. Where several sockets share the address
// (SO_REUSEPORT) it fails: of one that waits nothing tells in whose queue.
func (d *sockDiag) taken(family uint8, port uint16) (connections, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq++
	states := uint32(1<<tcpEstablished | 1<<tcpFinWait1 | 1<<tcpFinWait2 | 1<<tcpCloseWait | 1<<tcpLastAck | 1<<tcpClosing | 1<<tcpListen)
	none := netip.AddrPort{}
	request := diagRequest(d.seq, family, unix.NLM_F_DUMP, states, netip.AddrPortFrom(none.Addr(), port), none)
	if _, errno := quickCall(unix.SYS_WRITE, d.fd, request); errno != 0 {
		return nil, fmt.Errorf("cannot ask for sockets: %w", errno)
	}
	found, listeners := connections{}, map[[16]byte]bool{}
	var failed error
	b := make([]byte, 32<<10) // as much as the kernel says at a time
	for {
		n, errno := quickCall(unix.SYS_READ, d.fd, b)
		if errno != 0 {
			return nil, fmt.Errorf("cannot learn of sockets: %w", errno)
		}
		done, err := eachDiag(b[:n], d.seq, func(s []byte) error {
			switch inode := binary.NativeEndian.Uint32(s[68:]); {
			case tcpState(s[1]) == tcpListen:
				at := [16]byte(s[8:24])
				if listeners[at] {
					return errManyListeners
				}
				listeners[at] = true
			case inode == 0:
			case len(found) == mostTaken:
				return errManySockets
			default:
				found[binary.NativeEndian.Uint64(s[44:])] = struct{}{}
			}
			return nil
		})
		if failed == nil && err != nil {
			failed = fmt.Errorf("cannot tell who takes connections: %w", err)
		}
		if done && failed != nil {
			return nil, failed
		}
		if done {
			return found, nil
		}
	}
}

// eachDiag gives every struct inet_diag_msg of a part of a dump, and tells whether it was the last.
func eachDiag(b []byte, seq uint32, each func([]byte) error) (done bool, err error) {
	native := binary.NativeEndian
	for len(b) >= unix.NLMSG_HDRLEN {
		size := int(native.Uint32(b))
		if size < unix.NLMSG_HDRLEN || size > len(b) {
			return true, errors.New("the answer is cut")
		}
		kind, body := native.Uint16(b[4:]), b[unix.NLMSG_HDRLEN:size]
		ours := native.Uint32(b[8:]) == seq
		b = b[min(len(b), (size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1)):]
		switch {
		case !ours: // left by a question that failed half way
		case kind == unix.NLMSG_DONE:
			return true, err
		case kind != nl.SOCK_DIAG_BY_FAMILY || len(body) < 72:
			return true, fmt.Errorf("an answer of type %d and %d bytes", kind, len(body))
		case err == nil:
			err = each(body)
		}
	}
	return false, err
}
