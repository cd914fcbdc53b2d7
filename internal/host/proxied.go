package host

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/segment"
)

const (
	// proxyLook is how long it is looked who answers for which address. Linux as a proxy
	// takes up to 0.8 s (arp(7), proxy_delay).
	proxyLook = 2 * time.Second
	// echoFirst is how long echoes alone are waited for: a peer that is alive answers in
	// milliseconds, and nothing has to be looked at.
	echoFirst = 500 * time.Millisecond
)

// suspect is an address that some host on an interface answered for by a MAC that its owner
// has not told.
type suspect struct {
	at             netip.Addr
	iface, answers string
}

// proxied lists those of the addresses that answered for which only a proxy did: one
// that answers for addresses that nobody has too, while nobody else does, and no echo
// comes (RFC 792, RFC 4443). What cannot be found out is no reason to think so.
func proxied(heard []netip.Addr, places map[netip.Addr][]netip.Addr, macs map[netip.Addr][]string) ([]netip.Addr, error) {
	suspects, err := suspected(heard, places, macs)
	if err != nil || len(suspects) == 0 {
		return nil, err
	}
	question := conflict.Question{Listen: proxyLook, Named: true}
	var asked []netip.Addr
	for a, s := range suspects {
		asked = append(asked, s.at)
		question.Segments = askOn(question.Segments, s.iface, a)
	}
	replied, end := echo(asked)
	defer end()
	for began := time.Now(); len(replied()) < len(asked); time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > echoFirst {
			look := segment.Look(question)
			alive := replied()
			return slices.DeleteFunc(slices.Clone(heard), func(a netip.Addr) bool {
				s, doubtful := suspects[a]
				return !doubtful || slices.Contains(alive, s.at) || !s.proxied(look)
			}), nil
		}
	}
	return nil, nil
}

// suspected finds who answered by none of the MACs told for its address, by address.
func suspected(heard []netip.Addr, places map[netip.Addr][]netip.Addr, macs map[netip.Addr][]string) (map[netip.Addr]suspect, error) {
	entries, err := neighbourEntries()
	if err != nil {
		return nil, err
	}
	suspects := map[netip.Addr]suspect{}
	for _, a := range heard {
		for _, at := range places[a] {
			n, known := entries[at]
			if !known || n.State&(netlink.NUD_FAILED|netlink.NUD_INCOMPLETE|netlink.NUD_NOARP) != 0 {
				continue
			}
			link, err := net.InterfaceByIndex(n.LinkIndex)
			if err != nil {
				continue // it is gone by now
			}
			if slices.Contains(macs[a], n.HardwareAddr.String()) {
				delete(suspects, a)
				break
			}
			suspects[a] = suspect{at, link.Name, n.HardwareAddr.String()}
		}
	}
	return suspects, nil
}

// askOn adds an address to ask for on an interface.
func askOn(segments []conflict.Segment, iface string, a netip.Addr) []conflict.Segment {
	for n := range segments {
		if segments[n].Interface == iface {
			segments[n].Ask = append(segments[n].Ask, a)
			return segments
		}
	}
	return append(segments, conflict.Segment{Interface: iface, Ask: []netip.Addr{a}})
}

// proxied tells that the one who answered is a proxy, and that nobody else answers.
func (s suspect) proxied(l conflict.Look) bool {
	return slices.ContainsFunc(l.Proxies, func(p conflict.Proxy) bool {
		return p.Interface == s.iface && p.Host.MAC == s.answers && p.Six == s.at.Is6()
	}) && !slices.ContainsFunc(l.Answers, func(a conflict.Answer) bool {
		return a.Interface == s.iface && a.Address == s.at.WithZone("")
	})
}

// echo asks addresses for an echo five times a second until the end; replied lists those
// that gave one.
func echo(addresses []netip.Addr) (replied func() []netip.Addr, end func()) {
	var mu sync.Mutex
	var all []netip.Addr
	var conns []*icmp.PacketConn
	done := make(chan struct{})
	var running sync.WaitGroup
	for _, f := range []struct {
		network, local    string
		question, answers icmp.Type
		six               bool
	}{
		{"ip4:icmp", "0.0.0.0", ipv4.ICMPTypeEcho, ipv4.ICMPTypeEchoReply, false},
		{"ip6:ipv6-icmp", "::", ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply, true},
	} {
		asked := slices.DeleteFunc(slices.Clone(addresses), func(a netip.Addr) bool { return a.Is6() != f.six })
		if len(asked) == 0 {
			continue
		}
		conn, err := icmp.ListenPacket(f.network, f.local)
		if err != nil {
			continue // nobody replies
		}
		conns = append(conns, conn)
		body := icmp.Echo{ID: os.Getpid() & 0xffff, Data: []byte("keepalived-charm")}
		text, err := (&icmp.Message{Type: f.question, Body: &body}).Marshal(nil)
		if err != nil {
			continue
		}
		running.Go(func() {
			for {
				for _, a := range asked {
					_, _ = conn.WriteTo(text, &net.IPAddr{IP: a.AsSlice(), Zone: a.Zone()}) // what is lost is sent again
				}
				select {
				case <-done:
					return
				case <-time.After(200 * time.Millisecond):
				}
			}
		})
		running.Go(func() {
			protocol, b := f.question.Protocol(), make([]byte, 1500)
			for {
				n, from, err := conn.ReadFrom(b)
				if err != nil {
					return
				}
				m, err := icmp.ParseMessage(protocol, b[:n])
				if err != nil || m.Type != f.answers {
					continue
				}
				by, err := netip.ParseAddr(from.String())
				mu.Lock()
				if err == nil && slices.Contains(asked, by) && !slices.Contains(all, by) {
					all = append(all, by)
				}
				mu.Unlock()
			}
		})
	}
	return func() []netip.Addr {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(all)
		}, func() {
			close(done)
			for _, c := range conns {
				c.Close()
			}
			running.Wait()
		}
}
