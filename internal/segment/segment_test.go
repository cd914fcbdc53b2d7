package segment_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ethernet"
	"github.com/mdlayher/ndp"
	"github.com/mdlayher/packet"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
	"keepalived-charm/internal/segment"
)

// role makes the test binary do one thing in another network namespace: "look" at
// the question on its standard input, "advertise" what its argument says, or answer as a
// "proxy" for all neighbours or, from ever new MACs, as a "flood".
const role = "SEGMENT_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "look":
		var q conflict.Question
		if err := json.NewDecoder(os.Stdin).Decode(&q); err != nil {
			panic(err)
		}
		if err := json.NewEncoder(os.Stdout).Encode(segment.Look(q)); err != nil {
			panic(err)
		}
	case "advertise":
		advertise(os.Args[1], os.Args[2])
	case "proxy":
		proxy()
	case "flood":
		flood(os.Args[1])
	default:
		// Looks take two seconds each, whatever number of processors there is.
		if err := flag.Set("test.parallel", "16"); err != nil {
			panic(err)
		}
		os.Exit(m.Run())
	}
}

// advertise says so and sends one packet of VRRP after the other until it is killed,
// for a minute at most: priority 254 for virtual router 23, in the family of the group.
func advertise(version, group string) {
	network, payload := "ip4:112", []byte{0x31, 23, 254, 1, 0, 20, 0, 0, 10, 10, 74, 200}
	if version == "2" {
		payload[0], payload[5] = 0x21, 1
	}
	if version == "6" {
		network, payload = "ip6:112", append([]byte{0x31, 23, 254, 1, 0, 20, 0, 0}, net.ParseIP("fd00:74::200")...)
	}
	to, err := net.ResolveIPAddr(network, group)
	if err != nil {
		panic(err)
	}
	c, err := net.DialIP(network, nil, to)
	if err != nil {
		panic(err)
	}
	for n := range 600 {
		if _, err := c.Write(payload); err != nil {
			panic(err)
		}
		if n == 0 {
			fmt.Println("advertising")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// proxy says so and answers each neighbour solicitation on eth0 until it is killed, for a
// minute at most.
func proxy() {
	ifi, err := net.InterfaceByName("eth0")
	if err != nil {
		panic(err)
	}
	asked, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_IPV6, nil)
	if err != nil {
		panic(err)
	}
	answers, _, err := ndp.Listen(ifi, ndp.LinkLocal)
	if err != nil {
		panic(err)
	}
	fmt.Println("answering")
	if err := asked.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		panic(err)
	}
	frame := make([]byte, 1500)
	const ethernet, ip = 14, 40
	for {
		n, _, err := asked.ReadFrom(frame)
		if err != nil {
			return
		}
		if n < ethernet+ip+24 || frame[ethernet+6] != unix.IPPROTO_ICMPV6 {
			continue
		}
		m, err := ndp.ParseMessage(frame[ethernet+ip : n])
		question, ok := m.(*ndp.NeighborSolicitation)
		from, _ := netip.AddrFromSlice(frame[ethernet+8 : ethernet+24])
		if err != nil || !ok || !from.IsLinkLocalUnicast() {
			continue
		}
		_ = answers.WriteTo(&ndp.NeighborAdvertisement{Solicited: true, TargetAddress: question.TargetAddress, Options: []ndp.Option{
			&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: ifi.HardwareAddr}}}, nil, from)
	}
}

// flood says so and answers for an address by ARP, each time from another MAC, as fast as it
// can until it is killed, for a minute at most.
func flood(address string) {
	ifi, err := net.InterfaceByName("eth0")
	if err != nil {
		panic(err)
	}
	c, err := packet.Listen(ifi, packet.Datagram, unix.ETH_P_ARP, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println("answering")
	a := netip.MustParseAddr(address)
	for began, n := time.Now(), 0; time.Since(began) < time.Minute; n++ {
		mac := net.HardwareAddr{2, 0, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
		p, err := arp.NewPacket(arp.OperationReply, mac, a, ethernet.Broadcast, a)
		if err != nil {
			panic(err)
		}
		text, err := p.MarshalBinary()
		if err != nil {
			panic(err)
		}
		if _, err := c.WriteTo(text, &packet.Addr{HardwareAddr: ethernet.Broadcast}); err != nil && !errors.Is(err, unix.ENOBUFS) {
			panic(err)
		}
		if n%100 == 99 {
			time.Sleep(10 * time.Millisecond) // some 10,000 a second
		}
	}
}

const theirMAC = "52:54:00:74:00:63"

// cable connects two namespaces, by their names.
type cable struct{ here, there string }

// cables counts them.
var cables atomic.Int32

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	require.NoError(t, err, "%s %v: %s", name, args, out)
}

// sweep removes the namespaces of processes that were killed.
func sweep(t *testing.T) {
	t.Helper()
	names, err := filepath.Glob("/run/netns/keepalived-segment-*")
	require.NoError(t, err)
	for _, name := range names {
		pid := name[strings.LastIndex(name, "-")+1:]
		if _, err := os.Stat("/proc/" + pid); err != nil {
			_ = exec.Command("ip", "netns", "del", filepath.Base(name)).Run() // another process may be quicker
		}
	}
}

// wire makes two namespaces with a cable between them: .11 here, .99 and the
// addresses of the test there. Tests that have a cable of their own look at the same time.
func wire(t *testing.T, addresses ...string) cable {
	t.Helper()
	needs.Root(t)
	t.Parallel()
	sweep(t)
	// The names are this process's own: others may run the same tests.
	n := cables.Add(1)
	here, there := fmt.Sprintf("keepalived-segment-here%d-%d", n, os.Getpid()), fmt.Sprintf("keepalived-segment-there%d-%d", n, os.Getpid())
	for _, ns := range []string{here, there} {
		run(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { run(t, "ip", "netns", "del", ns) })
		run(t, "ip", "netns", "exec", ns, "sh", "-c", "echo 0 | tee /proc/sys/net/ipv6/conf/all/accept_dad /proc/sys/net/ipv6/conf/default/accept_dad")
	}
	run(t, "ip", "-n", here, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "address", theirMAC, "netns", there)
	for ns, list := range map[string][]string{
		here:  {"10.10.74.11/24", "fd00:74::11/64"},
		there: append([]string{"10.10.74.99/24", "fd00:74::99/64"}, addresses...),
	} {
		for _, a := range list {
			args := []string{"-n", ns, "address", "add", a, "dev", "eth0"}
			if netip.MustParsePrefix(a).Addr().Is6() {
				args = append(args, "nodad")
			}
			run(t, "ip", args...)
		}
		run(t, "ip", "-n", ns, "link", "set", "eth0", "up")
	}
	for _, ns := range []string{here, there} { // the kernel makes link-local addresses a little later
		poll.Until(t, func() bool {
			out, err := exec.Command("ip", "-n", ns, "-6", "address", "show", "dev", "eth0", "scope", "link", "-tentative").Output()
			return err == nil && len(out) > 0
		}, 30*time.Second, 20*time.Millisecond)
	}
	return cable{here, there}
}

// inside prepares this test binary in a role.
func inside(ns, as string, args ...string) *exec.Cmd {
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns, os.Args[0]}, args...)...)
	cmd.Env = append(os.Environ(), role+"="+as, "GORACE=atexit_sleep_ms=0")
	return cmd
}

func (c cable) looked(t *testing.T, q conflict.Question) conflict.Look {
	t.Helper()
	text, err := json.Marshal(q)
	require.NoError(t, err)
	cmd := inside(c.here, "look")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	go func() {
		_, _ = in.Write(text)
		in.Close()
	}()
	out, err := cmd.Output()
	require.NoError(t, err)
	var l conflict.Look
	require.NoError(t, json.Unmarshal(out, &l))
	return l
}

func question(interfaceName string, addresses ...string) conflict.Question {
	s := conflict.Segment{Interface: interfaceName}
	for _, a := range addresses {
		s.Ask = append(s.Ask, netip.MustParseAddr(a))
	}
	return conflict.Question{Segments: []conflict.Segment{s}, Listen: 2 * time.Second}
}

func TestWhoHasAnAddressAnswersInBothFamilies(t *testing.T) {
	w := wire(t, "10.10.74.250/32", "fd00:74::250/128")
	began := time.Now()
	l := w.looked(t, question("eth0", "10.10.74.250", "10.10.74.251", "10.10.74.11", "fd00:74::250", "fd00:74::251", "fd00:74::11"))
	require.Less(t, time.Since(began), 10*time.Second, "a look ends")
	require.Empty(t, l.Faults)
	require.Empty(t, l.Heard)
	require.Len(t, l.Answers, 2, "nobody has the others, and this machine's own are left out: %v", l.Answers)
	for n, address := range []string{"10.10.74.250", "fd00:74::250"} {
		require.Equal(t, address, l.Answers[n].Address.String())
		require.Equal(t, theirMAC, l.Answers[n].By.MAC)
		require.True(t, l.Answers[n].Last, "it answers to the end")
	}
	out, err := exec.Command("ip", "-n", w.there, "neighbour", "show", "10.10.74.11").Output()
	require.NoError(t, err)
	require.Empty(t, string(out), "an ARP probe leaves no trace with who answers it")
}

// TestAProxyIsToldFromAnOwner: one that answers for every address has none of them.
func TestAProxyIsToldFromAnOwner(t *testing.T) {
	w := wire(t)
	// Linux answers by ARP for all addresses of a local route.
	run(t, "ip", "-n", w.there, "route", "add", "local", "10.10.74.0/24", "dev", "lo")
	answering := inside(w.there, "proxy")
	out, err := answering.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, answering.Start())
	t.Cleanup(func() {
		require.NoError(t, answering.Process.Kill())
		_ = answering.Wait()
	})
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	l := w.looked(t, question("eth0", "10.10.74.250", "10.10.74.12", "fd00:74::250"))
	require.Empty(t, l.Faults)
	require.Empty(t, l.Answers)
	require.Len(t, l.Proxies, 2, "once in each family: %v", l.Proxies)
	require.Equal(t, theirMAC, l.Proxies[0].Host.MAC)
	require.Equal(t, "eth0", l.Proxies[0].Interface)

	// Answers of one family say nothing about the other one.
	run(t, "ip", "-n", w.there, "route", "del", "local", "10.10.74.0/24", "dev", "lo")
	run(t, "ip", "-n", w.there, "address", "add", "10.10.74.250/32", "dev", "eth0")
	l = w.looked(t, question("eth0", "10.10.74.250", "fd00:74::250"))
	require.Len(t, l.Answers, 1, "%v", l.Answers)
	require.Equal(t, "10.10.74.250", l.Answers[0].Address.String())
	require.Len(t, l.Proxies, 1)
}

// TestAFloodOfAnswersMakesALookNoLonger: a hook that looks holds the lock of all of Juju's
// agents on the machine.
func TestAFloodOfAnswersMakesALookNoLonger(t *testing.T) {
	w := wire(t)
	var neighbours strings.Builder
	for n := range 200 {
		fmt.Fprintf(&neighbours, "neighbour add 10.10.74.%d lladdr 02:00:00:00:00:%02x dev eth0\n", 20+n, n)
	}
	batch := filepath.Join(t.TempDir(), "neighbours")
	require.NoError(t, os.WriteFile(batch, []byte(neighbours.String()), 0o600))
	run(t, "ip", "-n", w.here, "-batch", batch)
	timed := func() (conflict.Look, time.Duration) {
		began := time.Now()
		l := w.looked(t, question("eth0", "10.10.74.250"))
		return l, time.Since(began)
	}
	l, quiet := timed()
	require.Empty(t, l.Answers)
	flooding := inside(w.there, "flood", "10.10.74.250")
	out, err := flooding.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, flooding.Start())
	t.Cleanup(func() {
		require.NoError(t, flooding.Process.Kill())
		_ = flooding.Wait()
	})
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	l, flooded := timed()
	t.Logf("%v, in a flood %v", quiet, flooded)
	require.Less(t, flooded, 2*quiet)
	require.Empty(t, l.Faults)
	require.Len(t, l.Answers, conflict.Most)
	require.Equal(t, []conflict.Crowd{{Interface: "eth0", Address: netip.MustParseAddr("10.10.74.250")}}, l.Crowds)
}

func TestAHostIsNamedByWhatTheKernelKnowsOfIt(t *testing.T) {
	w := wire(t, "10.10.74.250/32")
	run(t, "ip", "-n", w.here, "neighbour", "add", "10.10.74.99", "lladdr", theirMAC, "dev", "eth0")
	l := w.looked(t, question("eth0", "10.10.74.250"))
	require.Len(t, l.Answers, 1)
	require.Equal(t, "10.10.74.99 ("+theirMAC+")", l.Answers[0].By.String())
}

func TestAdvertisementsAreHeardAndTheFilterThatDropsThemIsSeen(t *testing.T) {
	for claim, c := range map[string]struct {
		version, group string
		rules          string
		delivered      bool
	}{
		"version 3":                           {"3", "224.0.0.18", "", true},
		"version 2":                           {"2", "224.0.0.18", "", true},
		"version 3 over IPv6":                 {"6", "ff02::12%eth0", "", true},
		"version 3, unicast":                  {"3", "10.10.74.11", "", true},
		"protocol 112 dropped here":           {"3", "224.0.0.18", "ip protocol 112 drop", false},
		"protocol 112 over IPv6 dropped here": {"6", "ff02::12%eth0", "ip6 nexthdr 112 drop", false},
	} {
		t.Run(claim, func(t *testing.T) {
			w := wire(t)
			if c.rules != "" {
				run(t, "ip", "netns", "exec", w.here, "nft", "add table inet t; add chain inet t in { type filter hook input priority 0; }; add rule inet t in "+c.rules)
			}
			if c.version != "6" {
				run(t, "ip", "-n", w.there, "route", "add", "default", "dev", "eth0") // multicast needs a route
			}
			sender := inside(w.there, "advertise", c.version, c.group)
			out, err := sender.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, sender.Start())
			t.Cleanup(func() {
				require.NoError(t, sender.Process.Kill())
				_ = sender.Wait()
			})
			_, err = bufio.NewReader(out).ReadString('\n')
			require.NoError(t, err)
			l := w.looked(t, question("eth0"))
			require.Empty(t, l.Faults)
			require.Len(t, l.Heard, 1)
			h := l.Heard[0]
			require.Equal(t, theirMAC, h.Sender.MAC)
			require.Equal(t, c.version == "6", h.Six())
			require.Equal(t, 23, int(h.VirtualRouterID))
			require.Equal(t, 254, int(h.Priority))
			require.Equal(t, map[bool]int{true: 2, false: 3}[c.version == "2"], h.Version)
			require.Equal(t, c.delivered, h.Delivered)
		})
	}
}

func TestWhatCannotBeLookedAtIsSaid(t *testing.T) {
	w := wire(t)
	require.Equal(t, []string{"cannot look at eth9: route ip+net: no such network interface"}, w.looked(t, question("eth9")).Faults)
	run(t, "ip", "-n", w.here, "link", "set", "eth0", "down")
	require.Equal(t, []string{"cannot look at eth0: the interface is down"}, w.looked(t, question("eth0", "10.10.74.250")).Faults)
}
