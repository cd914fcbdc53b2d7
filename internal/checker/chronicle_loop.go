package checker

import (
	"net"
	"slices"
	"time"

	"keepalived-charm/internal/history"
	"keepalived-charm/internal/vrrp"
)

const (
	// mostHeard bounds how many advertisements are taken in at a time; the others wait
	// in the kernel or are lost.
	mostHeard = 512
	// hearInterval parts two looks at what came, unless a move is to be told. The kernel
	// keeps the times, and there is room for some hundred advertisements.
	hearInterval = 500 * time.Millisecond
)

// openEars begins to listen for the advertisements of the instances.
func (l *loop) openEars() {
	tried := map[bool]error{}
	var ids []vrrp.VirtualRouterID
	for _, i := range l.config.Instances {
		ids = append(ids, i.VirtualRouterID)
	}
	for n, i := range l.config.Instances {
		six := i.Addresses[0].Is6()
		if i.VirtualRouterID == 0 {
			continue
		}
		if _, done := tried[six]; !done {
			ear, err := listenFor(six, ids)
			if tried[six] = err; err != nil {
				l.log.Printf("cannot listen for advertisements, causes of moves stay unknown: %v", err)
			} else {
				l.ears = append(l.ears, ear)
			}
		}
		if tried[six] != nil {
			l.chronicle.instances[n].id = 0 // who is not listened for has not kept silent
		}
	}
}

// nearby tells whether an interface, by its index, is one of some; every interface is
// where there are none or the index is unknown.
func nearby(links []string) func(int) bool {
	type answer struct {
		near bool
		at   time.Time
	}
	known := map[int]answer{}
	return func(index int) bool {
		if index == 0 || len(links) == 0 {
			return true
		}
		a, ok := known[index]
		if !ok || time.Since(a.at) > nearFor {
			link, err := net.InterfaceByIndex(index)
			if err != nil {
				return true // it may be
			}
			a = answer{slices.Contains(links, link.Name), time.Now()}
			known[index] = a
		}
		return a.near
	}
}

// nearFor is how long an index is taken for the same interface.
const nearFor = 10 * time.Second

// hear takes in the advertisements that came since the last time.
func (l *loop) hear(now time.Time) {
	for _, ear := range l.ears {
		for range mostHeard {
			a, at, came := ear.next()
			if came == nothing {
				break
			}
			if came == spoilt {
				continue
			}
			// The kernel's time is the wall clock, which may have jumped.
			age := max(0, min(now.Round(0).Sub(at), now.Sub(l.heardAt)))
			l.chronicle.advert(a, now.Add(-age))
		}
	}
	l.heardAt = now
}

// recall notes for what instances stand aside, unless the checker before this one
// said so, and learns which interfaces are down.
func (l *loop) recall(now time.Time) {
	l.status.data.Aside = map[string]string{}
	for i, m := range l.election.members {
		name, reason := l.tracks[i].Name, l.chronicle.instances[i].aside
		before := l.before.Aside[name]
		switch {
		case m.out && reason != before:
			l.chronicle.tell(i, history.Entry{Time: now, Event: history.StandsAside, Cause: reason})
		case !m.out && before != "":
			l.chronicle.tell(i, history.Entry{Time: now, Event: history.TakesPart, Cause: "it stood aside: " + before})
		}
		if m.out {
			l.status.data.Aside[name] = reason
		}
	}
	l.status.news = true
	for _, name := range l.config.Links {
		if !linkUp(name) {
			l.chronicle.down = append(l.chronicle.down, name)
		}
	}
}

// takesPart takes in that instance i no longer stands aside because nobody answers
// at its virtual IP.
func (l *loop) takesPart(i int) {
	l.chronicle.instances[i].aside = ""
	delete(l.status.data.Aside, l.tracks[i].Name)
	l.status.news = true
	l.chronicle.tell(i, history.Entry{Time: time.Now(), Event: history.TakesPart, Cause: "nobody answers at " + l.tracks[i].Watch})
}

// judged notes a verdict that turned.
func (l *loop) judged(o outcome) {
	e := history.Entry{Time: o.started.Add(o.took), Event: history.CheckPasses}
	h := &l.election.health
	if l.chronicle.sick = ""; h.verdict == sick {
		l.chronicle.sick = oneLine(o.err)
		e.Event, e.Cause = history.CheckFailed, l.chronicle.sick
	} else if until := l.election.damping.until; !until.IsZero() {
		e.Cause = "held back until " + until.UTC().Format(time.RFC3339)
	}
	// What the checker before said is no news.
	if first := l.before.Verdict; first != h.verdict.String() {
		l.chronicle.note(e)
	}
	l.before.Verdict = ""
}

// linkChanged takes in an interface that went down or came up.
func (l *loop) linkChanged(c linkChange, now time.Time) {
	l.news.tell()
	down := slices.DeleteFunc(l.chronicle.down, func(name string) bool { return name == c.name })
	e := history.Entry{Time: now, Event: history.FaultOver, Cause: "interface " + c.name + " is up"}
	if !c.up {
		down = append(down, c.name)
		e.Event, e.Cause = history.Fault, "interface "+c.name+" is down"
	}
	l.chronicle.down = down
	l.chronicle.note(e)
}
