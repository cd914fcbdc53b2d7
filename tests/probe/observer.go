package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
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

// receiveBuffer holds, in bytes, the messages about thousands of addresses that change at once.
const receiveBuffer = 16 << 20

// NewObserver makes an observer that watches nothing yet.
func NewObserver() *Observer { return &Observer{watches: map[string]*watch{}} }

// A watch is the subscription to one machine's addresses.
type watch struct {
	machine string
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
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.watches[machine] != nil {
		return fmt.Errorf("cannot watch %s: it is watched already", machine)
	}
	ns, err := netns.GetFromPath(path)
	if err != nil {
		return fmt.Errorf("cannot open network namespace of %s: %w", machine, err)
	}
	defer ns.Close()
	w := &watch{machine: machine, done: make(chan struct{}), ended: make(chan struct{}), held: map[place]bool{}}
	updates := make(chan netlink.AddrUpdate, 64)
	err = netlink.AddrSubscribeWithOptions(updates, w.done, netlink.AddrSubscribeOptions{
		Namespace: &ns, ListExisting: true, ErrorCallback: func(err error) { o.fault(w, err) },
		ReceiveBufferSize: receiveBuffer, ReceiveBufferForceSize: true,
	})
	if err != nil {
		return fmt.Errorf("cannot watch addresses of %s: %w", machine, err)
	}
	o.watches[machine] = w
	go func() {
		defer close(w.ended)
		for update := range updates {
			o.note(w, update, time.Now())
		}
	}()
	return nil
}

// note turns a kernel message into a change.
func (o *Observer) note(w *watch, update netlink.AddrUpdate, at time.Time) {
	addr, ok := netip.AddrFromSlice(update.LinkAddress.IP)
	if !ok {
		return
	}
	addr = addr.Unmap()
	if addr.IsLoopback() || addr.IsLinkLocalUnicast() {
		return
	}
	before := w.holds(addr)
	if update.NewAddr {
		w.held[place{addr, update.LinkIndex}] = true
	} else {
		delete(w.held, place{addr, update.LinkIndex})
	}
	if after := w.holds(addr); after != before {
		o.Note(Change{At: at, Machine: w.machine, Addr: addr, Holds: after})
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
	select {
	case <-w.done:
		return
	default:
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
