// Package segment looks at the network segments that this machine is on: it listens
// for VRRP advertisements and asks for addresses by ARP (RFC 5227) and neighbour
// discovery (RFC 4861). It claims nothing: an ARP probe names no sender's address,
// a neighbour solicitation only the interface's own. It needs root, for packet
// sockets.
package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"keepalived-charm/internal/conflict"
)

// rounds is how often each address is asked for: PROBE_NUM of RFC 5227.
const rounds = 3

// Look listens and asks, on all segments at once, for as long as the question
// says. What cannot be looked at, such as an interface that is down, is among the
// faults.
func Look(q conflict.Question) conflict.Look {
	l := &look{listened: q.Listen, pace: q.Listen / (rounds + 1), own: ownMACs(), named: q.Named, counted: make(chan struct{})}
	var all sync.WaitGroup
	for _, s := range q.Segments {
		ifi, err := net.InterfaceByName(s.Interface)
		if err == nil && ifi.Flags&net.FlagUp == 0 {
			err = errors.New("the interface is down")
		}
		if err != nil {
			l.fault(s.Interface, "look at", err)
			continue
		}
		four, six := l.controlled(ifi, s.Ask, netip.Addr.Is4), l.controlled(ifi, s.Ask, netip.Addr.Is6)
		for what, task := range map[string]func(begin func()) error{
			"listen for VRRP on":           func(begin func()) error { return l.listen4(ifi, begin) },
			"listen for VRRP over IPv6 on": func(begin func()) error { return l.listen6(ifi, begin) },
			"ask by ARP on":                func(begin func()) error { return l.ask4(ifi, four, begin) },
			"ask for neighbours on":        func(begin func()) error { return l.ask6(ifi, six, begin) },
		} {
			l.opening.Add(1)
			all.Go(func() {
				opened := sync.OnceFunc(l.opening.Done)
				defer opened() // also what cannot be opened
				err := task(func() {
					opened()
					l.began.Do(l.begin)
				})
				if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
					l.fault(s.Interface, what, err)
				}
			})
		}
	}
	close(l.counted)
	all.Wait()
	return l.result()
}

// look is one look under way.
type look struct {
	listened time.Duration
	// The time of the look begins when everything is open. opening counts what is not
	// yet; counted is closed when all is counted.
	opening sync.WaitGroup
	counted chan struct{}
	began   sync.Once
	end     time.Time
	pace    time.Duration
	own     map[string]bool
	named   bool
	// controls are asked for beside what the question names.
	controls []netip.Addr

	mu      sync.Mutex
	heard   map[key]conflict.Heard
	passed  map[key]bool
	found   map[answer]int  // round of the last answer
	hosts   map[string]bool // those in found, by interface and MAC
	crowded map[conflict.Crowd]int
	faults  []string
}

// controlled lists the addresses of a family to ask for on an interface, and controls
// beside them.
func (l *look) controlled(ifi *net.Interface, ask []netip.Addr, family func(netip.Addr) bool) []netip.Addr {
	ask = slices.DeleteFunc(slices.Clone(ask), func(a netip.Addr) bool { return !family(a) })
	if len(ask) == 0 {
		return nil
	}
	extra := Controls(ifi, ask)
	l.controls = append(l.controls, extra...)
	return append(ask, extra...)
}

// Controls picks addresses to ask for beside others of their family on an interface,
// which tell a proxy from an owner; none where their subnet is too small.
func Controls(ifi *net.Interface, asked []netip.Addr) []netip.Addr {
	return conflict.Controls(around(ifi, asked[0]), slices.Concat(asked, ownAddresses()), rand.Uint64)
}

// sender is the address in whose name to ask for another one by ARP: this machine's own on
// the interface, the one in the same subnet if there is; no address for a probe.
func (l *look) sender(ifi *net.Interface, a netip.Addr) netip.Addr {
	sender := netip.IPv4Unspecified()
	if !l.named {
		return sender
	}
	own, _ := ifi.Addrs() // without them it is a probe
	for _, o := range own {
		p, err := netip.ParsePrefix(o.String())
		if err == nil && p.Addr().Is4() && (sender.IsUnspecified() || p.Contains(a)) {
			sender = p.Addr()
		}
	}
	return sender
}

// around is the subnet in which an address is on an interface; one of common size where
// none of its subnets has it.
func around(ifi *net.Interface, a netip.Addr) netip.Prefix {
	subnet := netip.PrefixFrom(a, 24)
	if a.Is6() {
		subnet = netip.PrefixFrom(a, 64)
	}
	own, _ := ifi.Addrs() // without them that has to do
	for _, o := range own {
		if p, err := netip.ParsePrefix(o.String()); err == nil && !p.IsSingleIP() && p.Contains(a) {
			return p
		}
	}
	return subnet
}

// begin waits until everything is open; the end counts from then.
func (l *look) begin() {
	<-l.counted
	l.opening.Wait()
	l.end = time.Now().Add(l.listened)
}

// key tells one virtual router of one sender.
type key struct {
	iface  string
	sender netip.Addr
	id     int
}

type answer struct {
	iface   string
	address netip.Addr
	mac     string
}

func (l *look) fault(iface, what string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults = append(l.faults, fmt.Sprintf("cannot %s %s: %v", what, iface, err))
}

// ownMACs are what this machine sends with.
func ownMACs() map[string]bool {
	own := map[string]bool{}
	all, err := net.Interfaces()
	if err != nil {
		return own // then it hears itself, and its own addresses tell
	}
	for _, i := range all {
		own[i.HardwareAddr.String()] = true
	}
	return own
}

func ownAddresses() []netip.Addr {
	var own []netip.Addr
	all, _ := net.InterfaceAddrs() // without them nobody answers for them: own MACs do not count
	for _, o := range all {
		if p, err := netip.ParsePrefix(o.String()); err == nil {
			own = append(own, p.Addr())
		}
	}
	return own
}

// answered notes an answer to what was asked in a round.
func (l *look) answered(iface string, address netip.Addr, mac net.HardwareAddr, round int) {
	if l.own[mac.String()] {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.found == nil {
		l.found = map[answer]int{}
	}
	a := answer{iface, address, mac.String()}
	// Of who answers for another address it is to be known whether it is a proxy.
	_, known := l.found[a]
	known = known || l.hosts[iface+" "+a.mac] && slices.Contains(l.controls, address)
	if known || l.room(conflict.Crowd{Interface: iface, Address: address}) {
		l.found[a] = round
		if l.hosts == nil {
			l.hosts = map[string]bool{}
		}
		l.hosts[iface+" "+a.mac] = true
	}
}

// room tells whether one more host at the same is kept. Who comes first is.
func (l *look) room(c conflict.Crowd) bool {
	if l.crowded == nil {
		l.crowded = map[conflict.Crowd]int{}
	}
	if l.crowded[c] > conflict.Most {
		return false
	}
	l.crowded[c]++
	return l.crowded[c] <= conflict.Most
}
