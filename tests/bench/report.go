package bench

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Report is everything one bench measured.
type Report struct {
	// Date is the day, as in 2026-07-31; Machine says what it ran on and Charm
	// which version was measured.
	Date    string `json:"date"`
	Machine string `json:"machine"`
	Charm   string `json:"charm"`
	Rows    []Row  `json:"rows"`
}

// Origin is the line that says what the numbers are from.
func (r Report) Origin() string {
	return fmt.Sprintf("%s, %s, %s", r.Charm, r.Machine, r.Date)
}

// Of narrows the report to the rows of one kind.
func (r Report) Of(kind Kind) Report {
	r.Rows = slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool { return row.Kind != kind })
	return r
}

// Unmet lists the bounds that were not met, a sentence each.
func (r Report) Unmet() []string {
	var unmet []string
	for _, row := range r.Rows {
		if why := row.Unmet(); why != "" {
			unmet = append(unmet, fmt.Sprintf("%q %s", row.Event, why))
		}
	}
	return unmet
}

// skipped counts the attempts that the host was too busy to make.
func (r Report) skipped() (n int) {
	for _, row := range r.Rows {
		for _, run := range row.Runs {
			n += run.Skipped
		}
	}
	return n
}

// headings are the first columns of the tables.
var headings = map[Kind]string{Fault: "fault", Change: "change"}

var columns = []string{"Python charm", "outage", "bound", "met", "lost", "two holders", "moves", "runs"}

// Table is the report in Markdown that is aligned for reading as it is: a table
// for each kind of rows there are.
func (r Report) Table() string {
	var b strings.Builder
	for _, kind := range Kinds() {
		rows := r.Of(kind).Rows
		if len(rows) == 0 {
			continue
		}
		lines := [][]string{append([]string{headings[kind]}, columns...)}
		if kind == Peer {
			lines = r.comparison(rows)
		} else {
			for _, row := range rows {
				lines = append(lines, row.cells())
			}
		}
		writeTable(&b, lines)
		b.WriteString("\n")
	}
	b.WriteString("Seconds; outage: median (lowest..highest) of the longest time without a successful new connection, one tried every 10 ms;\n" +
		"lost: median of connections that failed; two holders: longest time in any run, of what is allowed;\n" +
		"moves: of the address, in a run. Where nothing else is said: three units, default options.\n" +
		"Python charm: measured in the same way, before. Ratio: to this charm's outage.\n")
	fmt.Fprintf(&b, "Measured: %s.\n", r.Origin())
	if n := r.skipped(); n > 0 {
		fmt.Fprintf(&b, "The host was too busy for %d attempts: results are coarser than 10 ms.\n", n)
	}
	return b.String()
}

func (r Row) cells() []string {
	return []string{r.Event, r.Python.Text, r.outage(), r.Bound.String(), met(r.Unmet() == ""), fmt.Sprintf("%.0f", r.Lost()),
		fmt.Sprintf("%v of %v", r.TwoHolders(), r.Bound.TwoHolders), r.movesText(), fmt.Sprint(len(r.Runs))}
}

// outage is the outages in one cell.
func (r Row) outage() string {
	low, median, high := r.Outages()
	switch {
	case slices.ContainsFunc(r.Runs, func(run Run) bool { return run.Open }):
		return fmt.Sprintf("not ended after %.0f", low)
	case len(r.Runs) > 1 && high > 0:
		return fmt.Sprintf("%v (%v..%v)", median, low, high)
	}
	return median.String()
}

func (r Row) movesText() string {
	few, many := r.moves()
	if many != few {
		return fmt.Sprintf("%d-%d", few, many)
	}
	return fmt.Sprint(few)
}

// comparison is the table of what a user would take instead, with what the charm needed in this
// report and how many times that.
func (r Report) comparison(rows []Row) [][]string {
	lines := [][]string{{"instead of this charm", "fault", "outage", "this charm", "ratio", "lost", "two holders", "moves", "runs"}}
	for _, row := range rows {
		ours, ratio := "", ""
		for _, own := range r.Rows {
			if own.Event != row.Of {
				continue
			}
			_, median, _ := own.Outages()
			_, theirs, _ := row.Outages()
			ours = median.String()
			if median >= 0.005 {
				ratio = fmt.Sprintf("%.1f", float64(theirs/median))
			}
		}
		lines = append(lines, []string{row.Peer, row.Of, row.outage(), ours, ratio, fmt.Sprintf("%.0f", row.Lost()),
			row.TwoHolders().String(), row.movesText(), fmt.Sprint(len(row.Runs))})
	}
	return lines
}

func met(ok bool) string {
	if ok {
		return "yes"
	}
	return "**no**"
}

// writeTable writes lines of cells, the first as the heading.
func writeTable(b *strings.Builder, lines [][]string) {
	widths := make([]int, len(lines[0]))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	rule := make([]string, len(widths))
	for i, width := range widths {
		rule[i] = strings.Repeat("-", width)
	}
	for _, line := range slices.Insert(lines, 1, rule) {
		for i, cell := range line {
			fmt.Fprintf(b, "| %-*s ", widths[i], cell)
		}
		b.WriteString("|\n")
	}
}
