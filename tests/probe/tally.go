package probe

import (
	"maps"
	"slices"
	"time"
)

// An Attempt is one try to reach the target.
type Attempt struct {
	// At is when it started.
	At time.Time
	// Server is the name the target gave; empty when names are not asked for.
	Server string
	// Cause says in a word or two why it failed; empty for a good attempt.
	Cause string
}

// Kinds of events, in the order of a life.
const (
	EventStarted = "started" // the first attempt is about to start
	EventUp      = "up"      // the first good attempt
	EventLost    = "lost"    // the first failed attempt of a gap
	EventBack    = "back"    // the first good attempt after a gap
	EventServer  = "server"  // another server answered than before
	EventBroken  = "broken"  // the held connection broke
	EventReport  = "report"  // the end, with the report
)

// An Event is a change the prober saw.
type Event struct {
	// Kind is one of the constants Event....
	Kind string `json:"event"`
	// At is the start of the attempt that showed the change.
	At time.Time `json:"at"`
	// Server is who answered, when known.
	Server string `json:"server,omitempty"`
	// Cause is why the attempt or the held connection failed.
	Cause string `json:"cause,omitempty"`
	// Gap is the gap that ended, for EventBack.
	Gap *Gap `json:"gap,omitempty"`
	// Report comes with EventReport.
	Report *Report `json:"report,omitempty"`
}

// A Gap is an outage: from the start of its first failed attempt to the start of the next good one.
type Gap struct {
	// From and To are its ends; To of an open gap is the start of the last attempt.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Lost counts its failed attempts.
	Lost int `json:"lost"`
	// Open says that no good attempt followed.
	Open bool `json:"open,omitempty"`
	// Before and After are the servers of the good attempts around it, when known.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
}

// Length is how long the gap was.
func (g Gap) Length() time.Duration { return g.To.Sub(g.From) }

// A Sighting is the first answer of a server after another's.
type Sighting struct {
	At     time.Time `json:"at"`
	Server string    `json:"server"`
}

// A Report is what a prober saw from start to stop.
type Report struct {
	// Target is the address and port that was probed.
	Target string `json:"target"`
	// From and To are the starts of the first and the last attempt.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Attempts and Lost count all and the failed ones.
	Attempts int `json:"attempts"`
	Lost     int `json:"lost"`
	// Skipped counts attempts that were due while the prober itself did not run; a busy host makes
	// it grow and results coarser.
	Skipped int `json:"skipped,omitempty"`
	// Causes counts failed attempts by cause.
	Causes map[string]int `json:"causes,omitempty"`
	// Gaps lists the outages in order.
	Gaps []Gap `json:"gaps,omitempty"`
	// Servers lists who answered, in order.
	Servers []Sighting `json:"servers,omitempty"`
	// Held is the fate of the held connection, when one was asked for.
	Held *Held `json:"held,omitempty"`
}

// Server is who answered last; empty when nobody did or no attempt asked for names.
func (r Report) Server() string {
	if len(r.Servers) == 0 {
		return ""
	}
	return r.Servers[len(r.Servers)-1].Server
}

// Longest is the longest gap; the zero Gap when there was none.
func (r Report) Longest() Gap {
	var longest Gap
	for _, gap := range r.Gaps {
		if gap.Length() > longest.Length() || longest.Lost == 0 {
			longest = gap
		}
	}
	return longest
}

// Since narrows a report to the gaps, sightings and breaks that began at or after t; Lost and
// Attempts stay those of the whole run.
func (r Report) Since(t time.Time) Report {
	r.Gaps = slices.DeleteFunc(slices.Clone(r.Gaps), func(g Gap) bool { return g.From.Before(t) })
	r.Servers = slices.DeleteFunc(slices.Clone(r.Servers), func(s Sighting) bool { return s.At.Before(t) })
	if r.Held != nil {
		held := *r.Held
		held.Breaks = slices.DeleteFunc(slices.Clone(held.Breaks), func(b Break) bool { return b.At.Before(t) })
		r.Held = &held
	}
	return r
}

// A Tally adds attempts up, in the order they started. The zero value is ready.
type Tally struct {
	report Report
	gap    *Gap
	seen   bool // a good attempt
	server string
}

// Add takes the next attempt and returns what it changed.
func (t *Tally) Add(a Attempt) []Event {
	if t.report.Attempts == 0 {
		t.report.From = a.At
	}
	t.report.Attempts++
	t.report.To = a.At
	if a.Cause != "" {
		return t.lost(a)
	}
	return t.good(a)
}

func (t *Tally) lost(a Attempt) []Event {
	t.report.Lost++
	if t.report.Causes == nil {
		t.report.Causes = map[string]int{}
	}
	t.report.Causes[a.Cause]++
	if t.gap != nil {
		t.gap.Lost++
		return nil
	}
	t.gap = &Gap{From: a.At, Lost: 1, Before: t.server}
	return []Event{{Kind: EventLost, At: a.At, Server: t.server, Cause: a.Cause}}
}

func (t *Tally) good(a Attempt) []Event {
	var events []Event
	if !t.seen {
		events = append(events, Event{Kind: EventUp, At: a.At, Server: a.Server})
	}
	if t.gap != nil {
		gap := *t.gap
		gap.To, gap.After = a.At, a.Server
		t.report.Gaps = append(t.report.Gaps, gap)
		t.gap = nil
		events = append(events, Event{Kind: EventBack, At: a.At, Server: a.Server, Gap: &gap})
	}
	if a.Server != "" && a.Server != t.server {
		t.report.Servers = append(t.report.Servers, Sighting{At: a.At, Server: a.Server})
		if t.server != "" {
			events = append(events, Event{Kind: EventServer, At: a.At, Server: a.Server})
		}
		t.server = a.Server
	}
	t.seen = true
	return events
}

// Report is the sum so far; a gap that has not ended is in it, marked open.
func (t *Tally) Report() Report {
	r := t.report
	r.Causes = maps.Clone(r.Causes)
	r.Gaps = slices.Clone(r.Gaps)
	r.Servers = slices.Clone(r.Servers)
	if t.gap != nil {
		gap := *t.gap
		gap.To, gap.Open = r.To, true
		r.Gaps = append(r.Gaps, gap)
	}
	return r
}
