package host

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// requests answers ARP requests (RFC 826) for IPv4 addresses on an interface.
type requests struct {
	*packet.Conn
	ifi *net.Interface
	// ignore are the files of arp_ignore, the machine's and the interface's: of the two
	// the greater one counts (kernel, Documentation/networking/ip-sysctl).
	ignore []*os.File
}

// arpLength is the length of a packet with addresses of Ethernet and IPv4, and
// arpTarget where in it the address is that is asked for.
const (
	arpLength = 28
	arpTarget = 24
)

// answerRequests answers ARP requests until it is closed. Requests for other addresses,
// and what is none of this machine's business, never get here.
func answerRequests(ifi *net.Interface, addresses []netip.Addr) (io.Closer, error) {
	filter, err := bpf.Assemble(requestsFor(addresses))
	if err != nil {
		return nil, err
	}
	conn, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_ARP, &packet.Config{Filter: filter})
	if err != nil {
		return nil, err
	}
	r := &requests{Conn: conn, ifi: ifi}
	for _, of := range []string{"all", ifi.Name} {
		f, err := os.Open(filepath.Join("/proc/sys/net/ipv4/conf", of, "arp_ignore"))
		if err == nil {
			r.ignore = append(r.ignore, f)
		}
	}
	go r.reply()
	return conn, nil
}

// requestsFor picks ARP requests for addresses, of Ethernet and IPv4, that are meant for
// this machine or for all.
func requestsFor(addresses []netip.Addr) []bpf.Instruction {
	filter := []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: 0, Size: 4}, // hardware and protocol
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 1<<16 | unix.ETH_P_IP, SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: 4, Size: 4}, // their addresses' lengths, and the operation
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: 6<<24 | 4<<16 | uint32(arp.OperationRequest), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.LoadAbsolute{Off: arpTarget, Size: 4},
	}
	for _, a := range addresses {
		ip := a.As4()
		filter = append(filter,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(ip[:]), SkipTrue: 1},
			bpf.RetConstant{Val: arpLength})
	}
	return append(filter, bpf.RetConstant{Val: 0})
}

// reply answers until the connection is closed.
func (r *requests) reply() {
	defer func() {
		for _, f := range r.ignore {
			f.Close()
		}
	}()
	var pace pace
	b := make([]byte, arpLength)
	for {
		n, _, err := r.ReadFrom(b)
		if errors.Is(err, unix.ENETDOWN) {
			time.Sleep(50 * time.Millisecond) // told once, each time the interface goes down
			continue
		}
		if err != nil {
			return
		}
		var question arp.Packet
		// One that asks for its own address announces it (RFC 5227 section 1.1).
		if question.UnmarshalBinary(b[:n]) != nil || question.SenderIP == question.TargetIP || r.kernelAnswers() {
			continue
		}
		answer, err := arp.NewPacket(arp.OperationReply, r.ifi.HardwareAddr, question.TargetIP, question.SenderHardwareAddr, question.SenderIP)
		if err != nil {
			continue
		}
		text, _ := answer.MarshalBinary() // never fails
		pace.keep()
		// Who got no answer asks again.
		_, _ = r.WriteTo(text, &packet.Addr{HardwareAddr: question.SenderHardwareAddr})
	}
}

// kernelAnswers tells whether the kernel answers for addresses of the loopback device by
// itself. What it does may change at any time, as when kube-proxy starts.
func (r *requests) kernelAnswers() bool {
	ignore := 0
	b := make([]byte, 16)
	for _, f := range r.ignore {
		n, _ := f.ReadAt(b, 0)
		if value, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
			ignore = max(ignore, value)
		}
	}
	// 1 and 2: for addresses of the interface alone; 8: for none. 3 is about addresses of
	// the scope of the host, which these are not; others are as 0 (kernel, net/ipv4/arp.c).
	return ignore != 1 && ignore != 2 && ignore != 8
}
