package checker

import (
	"encoding/binary"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/vrrp"
)

// advertiser sends advertisements of virtual router 23, version 3, to an address, as
// keepalived does or not.
type advertiser struct {
	t    *testing.T
	conn *net.IPConn
}

// advertiser opens one in the process's namespace.
func (p *process) advertiser(to string, ttl int) *advertiser {
	p.t.Helper()
	a := &advertiser{t: p.t}
	p.inNamespace(func() error {
		conn, err := net.Dial("ip4:112", to)
		if err != nil {
			return err
		}
		a.conn = conn.(*net.IPConn)
		if err := ipv4.NewConn(conn).SetTTL(ttl); err != nil {
			return err
		}
		return ipv4.NewPacketConn(a.conn).SetMulticastTTL(ttl)
	})
	p.t.Cleanup(func() { a.conn.Close() })
	return a
}

// says sends one advertisement with a right checksum, wrong by so much.
func (a *advertiser) says(priority byte, wrong uint16) {
	a.t.Helper()
	packet := []byte{0x31, byte(ours), priority, 1, 0, 20, 0, 0, 192, 0, 2, 10}
	address := func(of net.Addr) []byte { return of.(*net.IPAddr).IP.To4() }
	all := append(append(append([]byte{}, address(a.conn.LocalAddr())...), address(a.conn.RemoteAddr())...), 0, 112, 0, byte(len(packet)))
	all = append(all, packet...)
	sum := uint32(wrong)
	for n := 0; n < len(all); n += 2 {
		sum += uint32(binary.BigEndian.Uint16(all[n:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	binary.BigEndian.PutUint16(packet[6:], ^uint16(sum))
	_, err := a.conn.Write(packet)
	require.NoError(a.t, err)
}

// TestWhatKeepalivedDoesNotTakeIsNoSignOfLife: neither what a router passed on, nor what was
// spoilt or made up, nor what came by another interface keeps a unit out that stands aside
// while nobody answers at the virtual IP.
func TestWhatKeepalivedDoesNotTakeIsNoSignOfLife(t *testing.T) {
	needs.Root(t)
	for claim, row := range map[string]struct {
		ttl     int
		wrong   uint16
		links   string
		unicast bool
		aside   bool
	}{
		"as keepalived sends it":                {ttl: vrrp.HopLimit, aside: true},
		"through a router":                      {ttl: vrrp.HopLimit - 1},
		"through a router, where they may come": {ttl: vrrp.HopLimit - 1, unicast: true, aside: true},
		"with a wrong checksum":                 {ttl: vrrp.HopLimit, wrong: 1},
		"by another interface":                  {ttl: vrrp.HopLimit, links: "lo"},
	} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			c := localConfig(t)
			c.Links, c.Instances[0].Aside, c.Instances[0].Watch = []string{"eth0"}, "for the test", "192.0.2.10:443"
			if row.links != "" {
				c.Links = []string{row.links}
			}
			c.Instances[0].VirtualRouterID, c.Instances[0].Unicast = ours, row.unicast
			p := start(t, c)
			p.becomes(vrrp.StepAside)
			p.inNamespace(func() error { return up("lo") })
			sender := otherMachine(t, p).advertiser("192.0.2.1", row.ttl)
			for began := time.Now(); time.Since(began) < deadByDefault+1500*time.Millisecond; time.Sleep(200 * time.Millisecond) {
				sender.says(254, row.wrong)
			}
			if row.aside {
				require.Equal(t, trackText(vrrp.StepAside), p.track())
			} else {
				p.becomes(healthyStandby)
			}
		})
	}
}

func TestOtherVirtualRoutersAndFamiliesAreLeftOut(t *testing.T) {
	s := newStage(t, false)
	for claim, a := range map[string]advert{
		"another virtual router": {from: netip.MustParseAddr(one), id: ours + 1},
		"another family":         {from: netip.MustParseAddr("fe80::1"), id: ours},
		"through a router":       {from: netip.MustParseAddr(one), id: ours, routed: true},
	} {
		a.priority, a.interval = 254, time.Second
		s.c.advert(a, s.now)
		require.Empty(t, s.c.heard(s.now), claim)
	}
	require.NotEmpty(t, s.once(one, 254).c.heard(s.now))
}

// TestTwoSendersWashNothingOutOfTheJournal: two that take turns are a move each time.
func TestTwoSendersWashNothingOutOfTheJournal(t *testing.T) {
	s := newStage(t, false).hears(one, 254, time.Second)
	noted := 0
	last := ""
	const turns, day = 20_000, 24 * time.Hour
	for n := range turns {
		s.hears([]string{two, one}[n%2], 254, day/turns-200*time.Millisecond).wait(0)
		for _, e := range s.c.take() {
			noted++
			last = e.Cause
		}
	}
	require.Less(t, noted, 500, "the journal keeps 800")
	require.Greater(t, noted, mostNoted)
	require.Regexp(t, `\(\d+ more of these before are not noted\)$`, last)
}

// TestAdvertisementsOverIPv6AreTakenWithTheirChecksum, which the kernel makes here (RFC 3542
// section 3.1); and of other virtual routers nothing waits in the socket.
func TestAdvertisementsOverIPv6AreTakenWithTheirChecksum(t *testing.T) {
	needs.Root(t)
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	require.NoError(t, up("lo"))
	l, err := listenFor(true, []vrrp.VirtualRouterID{ours})
	require.NoError(t, err)
	defer l.close()
	conn, err := net.ListenPacket("ip6:112", "::1")
	require.NoError(t, err)
	defer conn.Close()
	c := ipv6.NewPacketConn(conn)
	sends := func(id vrrp.VirtualRouterID, hops int, sum bool) {
		t.Helper()
		require.NoError(t, c.SetHopLimit(hops))
		require.NoError(t, c.SetChecksum(sum, 6))
		packet := append([]byte{0x31, byte(id), 254, 1, 0, 20, 0, 0}, net.ParseIP("fe80::112:23")...)
		_, err := c.WriteTo(packet, nil, &net.IPAddr{IP: net.IPv6loopback})
		require.NoError(t, err)
	}
	hears := func(id vrrp.VirtualRouterID, hops int, sum bool) (advert, bool) {
		t.Helper()
		sends(id, hops, sum)
		a, _, came := l.next()
		return a, came == whole
	}
	a, ok := hears(ours, vrrp.HopLimit, true)
	require.True(t, ok)
	require.Equal(t, advert{from: netip.IPv6Loopback(), id: ours, priority: 254, version: 3, interval: 200 * time.Millisecond,
		addresses: []netip.Addr{netip.MustParseAddr("fe80::112:23")}, link: 1}, a)
	a, ok = hears(ours, vrrp.HopLimit-1, true)
	require.True(t, ok)
	require.True(t, a.routed)
	_, ok = hears(ours, vrrp.HopLimit, false)
	require.False(t, ok, "no checksum")
	waiting := func() int {
		n, err := unix.IoctlGetInt(l.fd, unix.TIOCINQ)
		require.NoError(t, err)
		return n
	}
	sends(ours+1, vrrp.HopLimit, true)
	require.Zero(t, waiting())
	sends(ours, vrrp.HopLimit, true)
	require.NotZero(t, waiting())
}
