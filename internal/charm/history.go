package charm

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"keepalived-charm/internal/history"
	"keepalived-charm/internal/show"
)

const (
	// usualEntries is how many entries history shows unless asked for more.
	usualEntries = 20
	// mostText bounds lists in results, in bytes: Juju's tool takes results as
	// arguments, of at most 128 KiB each (execve(2)).
	mostText = 100_000
)

// showHistory shows the last entries of the unit's journal, oldest first.
func showHistory(r request) (map[string]string, error) {
	limit, err := r.count("limit", usualEntries, 1, history.Most)
	if err != nil {
		return nil, fmt.Errorf("cannot show the history: %w", err)
	}
	entries, err := r.m.History(r.layout())
	if err != nil {
		return nil, err
	}
	history.Explain(entries)
	kept := len(entries)
	entries = entries[max(0, kept-limit):]
	election := r.election()
	var lines []string
	size := 0
	for n := len(entries) - 1; n >= 0; n-- {
		e := &entries[n]
		e.Cause, e.Peer = named(election, e.Cause), named(election, e.Peer)
		lines = append([]string{line(*e)}, lines...)
		// What JSON makes of an entry is longer.
		if size += 2 * len(lines[0]); size > mostText {
			entries, lines = entries[n+1:], lines[1:]
			break
		}
	}
	results := map[string]string{"summary": "nothing has been noted yet", "history": "none",
		"shown": fmt.Sprint(len(entries)), "kept": fmt.Sprint(kept)}
	if len(entries) > 0 {
		results["summary"] = "last: " + lines[len(lines)-1]
		results["history"] = strings.Join(lines, "\n")
	} else {
		entries = []history.Entry{}
	}
	return results, attach(results, entries)
}

// line is an entry for people.
func line(e history.Entry) string {
	text := e.Time.UTC().Format(time.RFC3339) + " " + string(e.Event)
	if e.Instance != "" {
		text += " of " + e.Instance
	}
	if e.Cause != "" {
		text += ": " + e.Cause
	}
	if e.Peer != "" && !strings.Contains(e.Cause, e.Peer) {
		text += map[history.Event]string{history.BecameStandby: "; holder is ", history.HolderChanged: "; now "}[e.Event]
		if e.Event == history.BecameHolder {
			text += "; from "
		}
		text += e.Peer
	}
	if e.Again > 0 {
		text += fmt.Sprintf("; %d more, the last at %s", e.Again, e.Last.UTC().Format(time.RFC3339))
	}
	return text
}

// named puts units' names in the place of their addresses.
func named(election show.Election, text string) string {
	words := strings.Split(show.Readable(text), " ")
	for n, w := range words {
		bare := strings.TrimRight(w, ",;:")
		if a, err := netip.ParseAddr(bare); err == nil {
			words[n] = cmp.Or(election.NameOf(a), bare) + w[len(bare):]
		}
	}
	return strings.Join(words, " ")
}
