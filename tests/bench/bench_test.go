package bench_test

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/bench"
)

// runs makes runs of these outages.
func runs(outages ...bench.Seconds) []bench.Run {
	var all []bench.Run
	for _, s := range outages {
		all = append(all, bench.Run{Outage: s, Attempts: 300, Lost: int(s * 100), Moves: 1})
	}
	return all
}

func TestMedian(t *testing.T) {
	tests := []struct {
		claim string
		of    []bench.Seconds
		want  bench.Seconds
	}{
		{"nothing has none", nil, 0},
		{"one value is it", []bench.Seconds{3}, 3},
		{"of an odd number it is the middle one, whatever the order", []bench.Seconds{9, 1, 2}, 2},
		{"of an even number it is the mean of the two in the middle", []bench.Seconds{4, 1, 9, 2}, 3},
		{"one wild value does not count", []bench.Seconds{0.5, 0.5, 60, 0.6, 0.4}, 0.5},
	}
	for _, test := range tests {
		t.Run(test.claim, func(t *testing.T) {
			before := fmt.Sprint(test.of)
			require.Equal(t, test.want, bench.Median(test.of))
			require.Equal(t, before, fmt.Sprint(test.of), "the values stay in their order")
		})
	}
}

func TestSecondsAreHundredths(t *testing.T) {
	require.Equal(t, "0.50", bench.Of(497*time.Millisecond).String())
	require.Equal(t, "0", bench.Of(0).String())
	require.Equal(t, "12.00", bench.Seconds(12).String())
}

func TestUnmet(t *testing.T) {
	tests := []struct {
		claim string
		row   bench.Row
		want  string
	}{
		{"a median at the bound is fine", bench.Row{Bound: bench.Bound{Outage: 0.6, Moves: 1}, Runs: runs(0.1, 0.6, 5)}, ""},
		{"a median above it is not", bench.Row{Bound: bench.Bound{Outage: 0.5, Moves: 1}, Runs: runs(0.1, 0.6, 5)},
			"has an outage of 0.60 s, the bound is 0.50 s"},
		{"one move too many in one run is", bench.Row{Bound: bench.Bound{Outage: 1}, Runs: append(runs(0.1), bench.Run{Outage: 0.1})},
			"moves the address 1 times, the bound is 0"},
		{"two holders for longer than allowed in one run are", bench.Row{Bound: bench.Bound{TwoHolders: 0.2}, Runs: []bench.Run{{}, {TwoHolders: 0.21}}},
			"has two holders for 0.21 s, the bound is 0.20 s"},
		{"an outage that did not end is longer than any bound", bench.Row{Bound: bench.Bound{Outage: 1}, Runs: []bench.Run{{Outage: 0.5, Open: true}}},
			"has an outage that did not end"},
		{"nothing measured is nothing met", bench.Row{Bound: bench.Bound{Outage: 1}}, "was not measured"},
	}
	for _, test := range tests {
		t.Run(test.claim, func(t *testing.T) {
			require.Equal(t, test.want, test.row.Unmet())
		})
	}
}

// sample has rows of every kind.
func sample() bench.Report {
	crash := runs(0.5, 0.47, 0.61)
	crash[1].TwoHolders, crash[2].Lost, crash[2].Skipped = 0.01, 80, 3
	return bench.Report{
		Date: "2026-07-31", Machine: "2 CPUs, Linux 6.1", Charm: "keepalived <charm> 1.0",
		Rows: []bench.Row{
			{Kind: bench.Fault, Event: "holder's machine loses power", Bound: bench.Bound{Outage: 0.8, Moves: 1, TwoHolders: 0.2}, Runs: crash,
				Python: bench.Reference{Text: "3.0", Low: 2.8, Median: 3, High: 8.5, Measured: true}},
			{Kind: bench.Fault, Event: "service hangs", Bound: bench.Bound{Outage: 4, Moves: 1}, Runs: runs(4.2),
				Python: bench.Reference{Text: "not noticed"}},
			{Kind: bench.Change, Event: "advert_interval 0.2 to 1", Bound: bench.Bound{TwoHolders: 1},
				Runs: []bench.Run{{Attempts: 300}, {Attempts: 300}}},
			{Kind: bench.Peer, Event: "other: holder's machine loses power", Peer: "other", Of: "holder's machine loses power", Runs: runs(2, 3)},
			{Kind: bench.Peer, Event: "other: service hangs", Peer: "other", Of: "service hangs", Runs: []bench.Run{{Outage: 20, Open: true}}},
			{Kind: bench.Fault, Event: "failed holder returns", Runs: []bench.Run{{Attempts: 300}, {Attempts: 300}},
				Python: bench.Reference{Text: "0, 1 move", Measured: true}},
		},
	}
}

// golden compares with a file, or writes it when UPDATE_GOLDEN is set.
func golden(t *testing.T, name, text string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}

func TestTable(t *testing.T) { golden(t, "table.md", sample().Table()) }

func TestReportNamesEveryBoundThatIsNotMet(t *testing.T) {
	report := sample()
	require.Equal(t, []string{`"service hangs" has an outage of 4.20 s, the bound is 4.00 s`}, report.Unmet())
	report.Rows[2].Runs[1].TwoHolders = 1.01
	require.Equal(t, `"advert_interval 0.2 to 1" has two holders for 1.01 s, the bound is 1.00 s`, report.Unmet()[1])
}

// circles reads the image as any viewer would and returns where its dots are.
func circles(t *testing.T, image string) (xs []string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(image))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return xs
		}
		require.NoError(t, err)
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "circle" {
			xs = append(xs, start.Attr[0].Value)
		}
	}
}

func TestPlot(t *testing.T) {
	report := sample()
	image := report.Plot(bench.Fault)
	// Two in the legend, ours and the Python charm's in two rows, ours in one.
	require.Len(t, circles(t, image), 7)
	require.Contains(t, image, "keepalived &lt;charm&gt; 1.0")
	require.NotContains(t, image, "script")
	require.NotContains(t, image, "advert_interval", "changes have a plot of their own")
	require.Len(t, circles(t, report.Plot(bench.Change)), 3)

	// A longer outage stands further right, one beyond the axis at its end.
	at := func(s bench.Seconds) (x float64) {
		report.Rows = []bench.Row{{Kind: bench.Fault, Runs: runs(s)}}
		_, err := fmt.Sscan(circles(t, report.Plot(bench.Fault))[2], &x)
		require.NoError(t, err)
		return x
	}
	for _, pair := range [][2]bench.Seconds{{0, 0.01}, {0.01, 0.02}, {0.02, 0.8}, {0.8, 10}, {10, 60}} {
		require.Less(t, at(pair[0]), at(pair[1]))
	}
	require.Equal(t, at(60), at(3600))
}
