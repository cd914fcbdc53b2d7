// Package segment looks at the network segments that this machine is on: it listens
// for VRRP advertisements and asks for addresses by ARP (RFC 5227) and neighbour
// discovery (RFC 4861). It claims nothing: an ARP probe names no sender's address,
// a neighbour solicitation only the interface's own. It needs root, for packet
// sockets.
package segment

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
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
	l := &look{listened: q.Listen, pace: q.Listen / (rounds + 1), own: ownMACs(), counted: make(chan struct{})}
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
		var four, six []netip.Addr
		for _, a := range s.Ask {
			if a.Is4() {
				four = append(four, a)
			} else {
				six = append(six, a)
			}
		}
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

	mu     sync.Mutex
	heard  map[key]conflict.Heard
	passed map[key]bool
	found  map[answer]int // round of the last answer
	faults []string
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
	l.found[answer{iface, address, mac.String()}] = round
}
