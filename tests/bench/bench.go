// Package bench turns what was measured into a table, a plot and raw numbers,
// and tells which bounds were not met. It does no I/O.
package bench

import (
	"fmt"
	"slices"
	"time"
)

// Seconds is a length of time as a plain number, so that results are read
// without knowing Go.
type Seconds float64

// Of converts a duration.
func Of(d time.Duration) Seconds { return Seconds(d.Seconds()) }

// String shows hundredths: clients try every 10 ms.
func (s Seconds) String() string {
	if s < 0.005 {
		return "0"
	}
	return fmt.Sprintf("%.2f", float64(s))
}

// Run is one measurement of an event.
type Run struct {
	// Outage is the longest time in which no new connection succeeded; Open says
	// that it had not ended when the measurement did.
	Outage Seconds `json:"outage_seconds"`
	Open   bool    `json:"outage_open,omitempty"`
	// Attempts and Lost count new connections.
	Attempts int `json:"attempts"`
	Lost     int `json:"lost"`
	// TwoHolders is the longest time in which two machines had the address.
	TwoHolders Seconds `json:"two_holders_seconds"`
	// Moves counts how often the address changed machines, Cuts how often a held
	// connection broke.
	Moves int `json:"moves"`
	Cuts  int `json:"cuts"`
	// Skipped counts attempts that a busy host did not make.
	Skipped int `json:"skipped,omitempty"`
}

// Bound is what an event may cost.
type Bound struct {
	// Outage bounds the median of the runs; 0 allows no lost connection.
	Outage Seconds `json:"outage_seconds"`
	// Moves bounds every run.
	Moves int `json:"moves"`
	// TwoHolders bounds, in every run, how long two machines may have the address:
	// one advertisement interval.
	TwoHolders Seconds `json:"two_holders_seconds"`
}

// String is the bound in the words of the table.
func (b Bound) String() string {
	switch b.Moves {
	case 0:
		return b.Outage.String() + ", no move"
	case 1:
		return b.Outage.String() + ", 1 move"
	}
	return fmt.Sprintf("%v, %d moves", b.Outage, b.Moves)
}

// Reference is what the Python charm costs its users in the same event.
type Reference struct {
	// Text is for the table; empty where nothing is known.
	Text string `json:"text,omitempty"`
	// Low, Median and High are for the plot, which leaves a zero High out unless
	// Measured is true.
	Low      Seconds `json:"low_seconds"`
	Median   Seconds `json:"median_seconds"`
	High     Seconds `json:"high_seconds"`
	Measured bool    `json:"measured"`
}

// Kind parts the rows into the tables of a report.
type Kind string

// The kinds, in the order of the tables.
const (
	Fault  Kind = "fault"
	Change Kind = "change"
	// Peer is a fault of what a user would take instead of the charm: it has no bound.
	Peer Kind = "peer"
)

// Kinds lists them.
func Kinds() []Kind { return []Kind{Fault, Change, Peer} }

// Row is one event with everything measured of it.
type Row struct {
	Kind   Kind      `json:"kind"`
	Event  string    `json:"event"`
	Python Reference `json:"python_charm"`
	Bound  Bound     `json:"bound"`
	Runs   []Run     `json:"runs"`
	// Peer is whose row it is, empty for the charm, and Of the event of the charm's that it is
	// compared with.
	Peer string `json:"peer,omitempty"`
	Of   string `json:"of,omitempty"`
}

// Outages returns the lowest, the median and the highest outage.
func (r Row) Outages() (low, median, high Seconds) {
	all := values(r.Runs, func(run Run) Seconds { return run.Outage })
	if len(all) == 0 {
		return 0, 0, 0
	}
	return slices.Min(all), Median(all), slices.Max(all)
}

// TwoHolders is the longest time two machines had the address in any run.
func (r Row) TwoHolders() Seconds {
	return slices.Max(append(values(r.Runs, func(run Run) Seconds { return run.TwoHolders }), 0))
}

// Lost is the median of the lost connections.
func (r Row) Lost() Seconds {
	return Median(values(r.Runs, func(run Run) Seconds { return Seconds(run.Lost) }))
}

// moves returns the fewest and the most moves of a run.
func (r Row) moves() (low, high int) {
	all := values(r.Runs, func(run Run) int { return run.Moves })
	if len(all) == 0 {
		return 0, 0
	}
	return slices.Min(all), slices.Max(all)
}

// Unmet says in what the row misses its bound; empty when it meets it.
func (r Row) Unmet() string {
	if r.Kind == Peer {
		return ""
	}
	_, median, _ := r.Outages()
	_, moves := r.moves()
	open := slices.ContainsFunc(r.Runs, func(run Run) bool { return run.Open })
	switch {
	case len(r.Runs) == 0:
		return "was not measured"
	case open:
		return "has an outage that did not end"
	case median > r.Bound.Outage:
		return fmt.Sprintf("has an outage of %v s, the bound is %v s", median, r.Bound.Outage)
	case moves > r.Bound.Moves:
		return fmt.Sprintf("moves the address %d times, the bound is %d", moves, r.Bound.Moves)
	case r.TwoHolders() > r.Bound.TwoHolders:
		return fmt.Sprintf("has two holders for %v s, the bound is %v s", r.TwoHolders(), r.Bound.TwoHolders)
	}
	return ""
}

func values[T any](runs []Run, of func(Run) T) []T {
	var all []T
	for _, run := range runs {
		all = append(all, of(run))
	}
	return all
}

// Median is the middle value, or the mean of the two in the middle; 0 of none.
func Median(all []Seconds) Seconds {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
