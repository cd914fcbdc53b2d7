package probe

import (
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// A Change is a machine that begins or ceases to hold an address.
type Change struct {
	At      time.Time
	Machine string
	Addr    netip.Addr
	Holds   bool
}

// A Timeline records changes and answers who held what, when. The zero value is ready; it may be
// used from several goroutines. Changes may be noted late, in any order.
type Timeline struct {
	mu      sync.Mutex
	changes []Change
}

// A Move is an address that went from one machine to another.
type Move struct {
	// From and To are the machines.
	From, To string
	// At is when To began to hold the address.
	At time.Time
	// Gap is how long nobody had held it by then, Overlap how long both held it from then on.
	Gap, Overlap time.Duration
}

// Holding sums up who held an address in a span of time.
type Holding struct {
	// Shared is the longest time two or more machines held the address at once, None the longest
	// time nobody did.
	Shared, None time.Duration
	// Moves lists in order how the address went around.
	Moves []Move
}

// Note records a change.
func (t *Timeline) Note(c Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changes = append(t.changes, c)
}

// of returns the changes of one address in order of time.
func (t *Timeline) of(addr netip.Addr) []Change {
	t.mu.Lock()
	defer t.mu.Unlock()
	var found []Change
	for _, c := range t.changes {
		if c.Addr == addr {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, func(a, b Change) int { return a.At.Compare(b.At) })
	return found
}

// HoldersAt lists the machines that held an address at a time, sorted.
func (t *Timeline) HoldersAt(addr netip.Addr, at time.Time) []string {
	holders := map[string]bool{}
	for _, c := range t.of(addr) {
		if c.At.After(at) {
			break
		}
		if c.Holds {
			holders[c.Machine] = true
		} else {
			delete(holders, c.Machine)
		}
	}
	return slices.Sorted(maps.Keys(holders))
}

// Gains are the times at which a machine began to hold an address, after one time and up to
// another.
func (t *Timeline) Gains(machine string, addr netip.Addr, from, to time.Time) []time.Time {
	var gains []time.Time
	held := false
	for _, c := range t.of(addr) {
		if c.Machine != machine {
			continue
		}
		if c.Holds && !held && c.At.After(from) && !c.At.After(to) {
			gains = append(gains, c.At)
		}
		held = c.Holds
	}
	return gains
}

// HeldBy lists the addresses a machine held at a time, sorted.
func (t *Timeline) HeldBy(machine string, at time.Time) []netip.Addr {
	t.mu.Lock()
	seen := map[netip.Addr]bool{}
	for _, c := range t.changes {
		if c.Machine == machine {
			seen[c.Addr] = true
		}
	}
	t.mu.Unlock()
	var held []netip.Addr
	for addr := range seen {
		if slices.Contains(t.HoldersAt(addr, at), machine) {
			held = append(held, addr)
		}
	}
	slices.SortFunc(held, netip.Addr.Compare)
	return held
}

// Between sums up who held an address from one time to another.
func (t *Timeline) Between(addr netip.Addr, from, to time.Time) Holding {
	w := walk{from: from, to: to, at: from, gained: map[string]time.Time{}}
	for _, c := range t.of(addr) {
		if c.At.After(to) {
			break
		}
		w.step(c)
	}
	w.advance(to)
	return w.sum
}

// walk goes through an address's changes in order.
type walk struct {
	from, to time.Time
	sum      Holding

	gained  map[string]time.Time // present holders and since when
	settled string               // the last machine that was the only holder
	lostAt  time.Time            // when the last holder was lost
	at      time.Time            // up to here the spans below are counted
	shared  time.Duration        // present span with two or more holders
	none    time.Duration        // present span with none
}

// advance counts the time up to a moment with the present holders.
func (w *walk) advance(to time.Time) {
	span := max(0, to.Sub(w.at))
	if to.After(w.at) {
		w.at = to
	}
	switch len(w.gained) {
	case 0:
		w.none, w.shared = w.none+span, 0
	case 1:
		w.none, w.shared = 0, 0
	default:
		w.none, w.shared = 0, w.shared+span
	}
	w.sum.None = max(w.sum.None, w.none)
	w.sum.Shared = max(w.sum.Shared, w.shared)
}

func (w *walk) step(c Change) {
	if _, held := w.gained[c.Machine]; held == c.Holds {
		return
	}
	w.advance(c.At)
	if c.Holds {
		if len(w.gained) == 0 {
			w.settle(c.Machine, Move{At: c.At, Gap: c.At.Sub(w.lostAt)})
		}
		w.gained[c.Machine] = c.At
		return
	}
	delete(w.gained, c.Machine)
	w.lostAt = c.At
	if len(w.gained) == 1 {
		for machine, since := range w.gained {
			w.settle(machine, Move{At: since, Overlap: c.At.Sub(since)})
		}
	}
}

// settle makes a machine the only holder and notes the move when it was not that before.
func (w *walk) settle(machine string, m Move) {
	if w.settled != "" && w.settled != machine && !m.At.Before(w.from) {
		m.From, m.To = w.settled, machine
		w.sum.Moves = append(w.sum.Moves, m)
	}
	w.settled = machine
}

// Unsettled is when an address last ceased to be held by other than one machine, from one time to
// another: the zero Time when one machine or another held it all along, to when it is not held by
// one in the end.
func (t *Timeline) Unsettled(addr netip.Addr, from, to time.Time) time.Time {
	holders := map[string]bool{}
	var until time.Time
	for _, c := range t.of(addr) {
		if c.At.After(to) {
			break
		}
		before := len(holders)
		if c.Holds {
			holders[c.Machine] = true
		} else {
			delete(holders, c.Machine)
		}
		if before != 1 && len(holders) == 1 && c.At.After(from) {
			until = c.At
		}
	}
	if len(holders) != 1 {
		return to
	}
	return until
}
