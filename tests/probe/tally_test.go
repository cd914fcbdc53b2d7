package probe_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/probe"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func ms(n int) time.Time { return epoch.Add(time.Duration(n) * time.Millisecond) }

// tally adds attempts 10 ms apart: a letter is an answer of that server, a dot a timeout, an R a
// refusal.
func tally(script string) (probe.Report, []string) {
	var t probe.Tally
	var kinds []string
	for i, c := range script {
		a := probe.Attempt{At: ms(10 * i)}
		switch c {
		case '.':
			a.Cause = "timeout"
		case 'R':
			a.Cause = "refused"
		default:
			a.Server = string(c)
		}
		for _, event := range t.Add(a) {
			kinds = append(kinds, event.Kind)
		}
	}
	return t.Report(), kinds
}

func TestTally(t *testing.T) {
	tests := []struct {
		claim    string
		attempts string
		gaps     []probe.Gap
		events   string
	}{
		{"no failure is no gap", "aaaa", nil, "up"},
		{"a gap lasts from its first failed to the next good attempt", "aa...b",
			[]probe.Gap{{From: ms(20), To: ms(50), Lost: 3, Before: "a", After: "b"}}, "up lost back server"},
		{"one lost attempt is a gap of one interval", "a.a",
			[]probe.Gap{{From: ms(10), To: ms(20), Lost: 1, Before: "a", After: "a"}}, "up lost back"},
		{"causes do not divide a gap", "a.R.a",
			[]probe.Gap{{From: ms(10), To: ms(40), Lost: 3, Before: "a", After: "a"}}, "up lost back"},
		{"a good attempt divides gaps", "a.a..a",
			[]probe.Gap{{From: ms(10), To: ms(20), Lost: 1, Before: "a", After: "a"},
				{From: ms(30), To: ms(50), Lost: 2, Before: "a", After: "a"}}, "up lost back lost back"},
		{"a gap at the end is open and lasts to the last attempt", "a...",
			[]probe.Gap{{From: ms(10), To: ms(30), Lost: 3, Before: "a", Open: true}}, "up lost"},
		{"a target that is not there yet is a gap without a server before", "..a",
			[]probe.Gap{{From: ms(0), To: ms(20), Lost: 2, After: "a"}}, "lost up back"},
		{"a change of server without loss is an event, no gap", "aab", nil, "up server"},
		{"nothing attempted is an empty report", "", nil, ""},
	}
	for _, test := range tests {
		t.Run(test.claim, func(t *testing.T) {
			report, events := tally(test.attempts)
			require.Equal(t, test.gaps, report.Gaps)
			require.Equal(t, test.events, strings.Join(events, " "))
			require.Equal(t, len(test.attempts), report.Attempts)
			require.Equal(t, strings.Count(test.attempts, ".")+strings.Count(test.attempts, "R"), report.Lost)
		})
	}
}

func TestReport(t *testing.T) {
	report, _ := tally("aa.a....bb..R")
	require.Equal(t, probe.Gap{From: ms(40), To: ms(80), Lost: 4, Before: "a", After: "b"}, report.Longest())
	require.Equal(t, 40*time.Millisecond, report.Longest().Length())
	require.Equal(t, map[string]int{"timeout": 7, "refused": 1}, report.Causes)
	require.Equal(t, []probe.Sighting{{At: ms(0), Server: "a"}, {At: ms(80), Server: "b"}}, report.Servers)
	require.Equal(t, "b", report.Server())
	require.Empty(t, probe.Report{}.Server())
	require.Zero(t, probe.Report{}.Longest())

	late := report.Since(ms(80))
	require.Len(t, late.Gaps, 1)
	require.Equal(t, ms(100), late.Longest().From)
	require.Equal(t, []probe.Sighting{{At: ms(80), Server: "b"}}, late.Servers)
	require.Len(t, report.Gaps, 3, "narrowing leaves the report alone")
}

func TestReportSurvivesJSON(t *testing.T) {
	report, _ := tally("a..b.")
	report.Held = &probe.Held{Connects: 2, Breaks: []probe.Break{{At: ms(3), Cause: "reset"}}}
	data, err := json.Marshal(report)
	require.NoError(t, err)
	var back probe.Report
	require.NoError(t, json.Unmarshal(data, &back))
	require.Equal(t, report, back)
}
