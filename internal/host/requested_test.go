package host_test

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"keepalived-charm/internal/step"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/packet"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// question is an ARP request: who asks for which address.
type question struct{ sender, asked string }

// replies counts the answers to ARP requests. Whatever is answered is so in order, so the
// last one, which is to be, ends the wait.
func (c client) replies(questions ...question) map[question]int {
	c.t.Helper()
	counts := map[question]int{}
	c.do(func() error {
		ifi, err := net.InterfaceByName("client0")
		if err != nil {
			return err
		}
		conn, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_ARP, nil)
		if err != nil {
			return err
		}
		defer conn.Close()
		for _, q := range questions {
			p, err := arp.NewPacket(arp.OperationRequest, ifi.HardwareAddr, netip.MustParseAddr(q.sender), make(net.HardwareAddr, 6), netip.MustParseAddr(q.asked))
			if err != nil {
				return err
			}
			text, _ := p.MarshalBinary()
			if _, err := conn.WriteTo(text, &packet.Addr{HardwareAddr: ethernet.Broadcast}); err != nil {
				return err
			}
		}
		b := make([]byte, 1500)
		for deadline := time.Now().Add(time.Second); ; {
			if err := conn.SetReadDeadline(deadline); err != nil {
				return err
			}
			n, _, err := conn.ReadFrom(b)
			if os.IsTimeout(err) {
				return nil
			}
			if err != nil {
				return err
			}
			var p arp.Packet
			if p.UnmarshalBinary(b[:n]) != nil || p.Operation != arp.OperationReply {
				continue
			}
			q := question{p.TargetIP.String(), p.SenderIP.String()}
			if counts[q]++; q == questions[len(questions)-1] {
				deadline = time.Now().Add(100 * time.Millisecond) // a second answer comes at once or not at all
			}
		}
	})
	return counts
}

// setting sets one of the kernel's settings of IPv4 interfaces for all of them.
func setting(t *testing.T, name string, value int) {
	t.Helper()
	require.NoError(t, os.WriteFile("/proc/sys/net/ipv4/conf/all/"+name, []byte(fmt.Sprint(value)), 0))
}

// most returns as many addresses as there may be virtual IPs, that one last.
func most(last netip.Addr) []netip.Addr {
	var list []netip.Addr
	for a := netip.MustParseAddr("203.0.113.1"); len(list) < 499; a = a.Next() {
		list = append(list, a)
	}
	return append(list, last)
}

// TestClientsFindAPinnedIPv4Address whatever the machine's owner has the kernel answer:
// kube-proxy's strictARP sets arp_ignore to 1 and arp_announce to 2.
func TestClientsFindAPinnedIPv4Address(t *testing.T) {
	if !alone(t) {
		return
	}
	runtime.LockOSThread()
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	lo, err := netlink.LinkByName("lo")
	require.NoError(t, err)
	require.NoError(t, netlink.LinkSetUp(lo))
	c, eth0 := newClient(t, "10.10.74.99/24")
	require.NoError(t, ready("eth0", "10.10.74.11/24"))
	require.NoError(t, running("eth0"))
	c.do(func() error { return running("client0") })
	_ = os.WriteFile("/proc/sys/net/core/optmem_max", []byte("20480"), 0) // as before Linux 6.7; not everywhere the namespace's
	const vip, free, client = "10.10.74.250", "10.10.74.77", "10.10.74.99"
	require.NoError(t, netlink.AddrAdd(eth0, plain(vip+"/32")))
	server, err := net.Listen("tcp", "0.0.0.0:0")
	require.NoError(t, err)
	defer server.Close()
	at := fmt.Sprintf("%s:%d", vip, server.Addr().(*net.TCPAddr).Port)
	c.calm(at)

	m := newMachine(t)
	all := most(netip.MustParseAddr(vip))
	m.serves(200*time.Millisecond, "eth0", all...)
	m.apply(step.Step{Action: step.Pin, Addresses: all})
	require.NoError(t, netlink.AddrDel(eth0, plain(vip+"/32"))) // as keepalived does
	for _, ignore := range []int{0, 1, 2, 3, 8} {
		for announce := range 3 {
			setting(t, "arp_ignore", ignore)
			setting(t, "arp_announce", announce)
			c.reaches(at)
		}
		// An announcement asks nothing, a probe for an address that is not free is answered.
		said := c.replies(question{client, free}, question{vip, vip}, question{"0.0.0.0", vip}, question{client, vip})
		assert.Equal(t, map[question]int{{"0.0.0.0", vip}: 1, {client, vip}: 1}, said, "arp_ignore=%d", ignore)
	}
	require.NoError(t, netlink.LinkSetDown(eth0))
	require.NoError(t, netlink.LinkSetUp(eth0))
	setting(t, "arp_ignore", 1)
	c.calm(at)

	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.Unpin}})
	require.NoFileExists(t, m.in(filepath.Join(m.l.State(), "pinned")))
	require.Empty(t, c.replies(question{client, vip}))
}
