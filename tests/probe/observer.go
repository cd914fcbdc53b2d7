package probe

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
)

// An Observer follows, by the kernel's own messages, which machine holds which address. It records
// all addresses but loopback and link-local ones, so a VIP need not be known beforehand.
type Observer struct {
	// Timeline is what was seen.
	Timeline

	mu      sync.Mutex
	watches map[string]*watch
	faults  []error
}

// NewObserver makes an observer that watches nothing yet.
func NewObserver() *Observer { return &Observer{watches: map[string]*watch{}} }

// A watch is the subscription to one machine's addresses.
type watch struct {
	machine string
	kernel  kernel
	done    chan struct{} // closed to end the subscription
	ended   chan struct{} // closed when no more messages come
	held    map[place]bool
}

// place is an address on an interface: one that is on two still is held once.
type place struct {
	addr netip.Addr
	link int
}

// Watch begins to follow the machine whose network namespace is at path; addresses already there
// count as held from now on.
func (o *Observer) Watch(machine, path string) error {
	k, err := openNamespace(path)
	if err != nil {
		return fmt.Errorf("cannot open network namespace of %s: %w", machine, err)
	}
	return o.follow(machine, k)
}

func (o *Observer) follow(machine string, k kernel) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watches[machine] != nil {
		return errors.Join(fmt.Errorf("cannot watch %s: it is watched already", machine), k.close())
	}
	w := &watch{machine: machine, kernel: k, done: make(chan struct{}), ended: make(chan struct{}), held: map[place]bool{}}
	s, err := o.subscribe(w)
	if err != nil {
		return errors.Join(fmt.Errorf("cannot watch addresses of %s: %w", machine, err), k.close())
	}
	o.watches[machine] = w
	go o.run(w, s)
	return nil
}

// compare notes where a list of all addresses differs from what is known.
func (o *Observer) compare(w *watch, all []netlink.Addr, at time.Time) {
	present := map[place]bool{}
	for _, a := range all {
		o.note(w, a.IP, a.LinkIndex, true, at)
		if addr, ok := netip.AddrFromSlice(a.IP); ok {
			present[place{addr.Unmap(), a.LinkIndex}] = true
		}
	}
	for p := range w.held {
		if !present[p] {
			o.note(w, p.addr.AsSlice(), p.link, false, at)
		}
	}
}

// note turns what the kernel says of an address into a change.
func (o *Observer) note(w *watch, ip net.IP, link int, there bool, at time.Time) {
	addr, ok := netip.AddrFromSlice(ip)
	if !ok {
		return
	}
	addr = addr.Unmap()
	if addr.IsLoopback() || addr.IsLinkLocalUnicast() {
		return
	}
	before := w.holds(addr)
	if there {
		w.held[place{addr, link}] = true
	} else {
		delete(w.held, place{addr, link})
	}
	if after := w.holds(addr); after != before {
		o.Note(Change{At: at, Machine: w.machine, Addr: addr, Holds: after})
	}
}

// over tells that the watch was ended on purpose.
func (w *watch) over() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func (w *watch) holds(addr netip.Addr) bool {
	for p := range w.held {
		if p.addr == addr {
			return true
		}
	}
	return false
}

// fault keeps an error of the subscription, unless the subscription was ended on purpose.
func (o *Observer) fault(w *watch, err error) {
	if w.over() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.faults = append(o.faults, fmt.Errorf("cannot follow addresses of %s: %w", w.machine, err))
}

// Forget ends the watch over a machine that ceased to exist at a time: from then on it holds
// nothing. It does nothing to a machine that is not watched.
func (o *Observer) Forget(machine string, at time.Time) {
	o.mu.Lock()
	w := o.watches[machine]
	delete(o.watches, machine)
	o.mu.Unlock()
	if w == nil {
		return
	}
	close(w.done)
	<-w.ended
	// First what it held when it ceased to exist, then what its kernel still took on after that.
	for _, end := range []time.Time{at, time.Now()} {
		for _, addr := range o.HeldBy(machine, end) {
			o.Note(Change{At: end, Machine: machine, Addr: addr, Holds: false})
		}
	}
}

// Power follows machines that are switched on and off; it fits Lab.OnPower.
func (o *Observer) Power(machine, path string, on bool, at time.Time) {
	if !on {
		o.Forget(machine, at)
		return
	}
	if err := o.Watch(machine, path); err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.faults = append(o.faults, err)
	}
}

// Holders lists the machines that hold an address now, sorted.
func (o *Observer) Holders(addr netip.Addr) []string { return o.HoldersAt(addr, time.Now()) }

// Err is what went wrong while observing; a timeline with an error has holes.
func (o *Observer) Err() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return errors.Join(o.faults...)
}

// Close ends all watches; the timeline stays as it is.
func (o *Observer) Close() {
	o.mu.Lock()
	watches := o.watches
	o.watches = map[string]*watch{}
	o.mu.Unlock()
	for _, w := range watches {
		close(w.done)
		<-w.ended
	}
}
