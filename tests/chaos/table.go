package chaos

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"keepalived-charm/tests/lab"
)

// A Row is a fault with every time it happened.
type Row struct {
	// Name is the fault's.
	Name    string
	Fault   Fault `json:"-"`
	Results []Result
}

// A Report is everything one run did.
type Report struct {
	// Date is the day, Machine what it ran on.
	Date, Machine string
	// Random is how long faults were picked at random with Seed; zero: not at all.
	Random time.Duration
	Seed   uint64
	Rows   []Row
}

// describe says what the lab runs on.
func describe(ctx context.Context, l *lab.Lab) (string, error) {
	kernel, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		return "", fmt.Errorf("cannot name the kernel: %w", err)
	}
	daemon, err := l.Net.Machines()[0].Run(ctx, `dpkg-query --show --showformat '${Version}' keepalived; printf ' on Debian '; cat /etc/debian_version`)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d CPUs, Linux %s, keepalived %s", runtime.NumCPU(), strings.TrimSpace(string(kernel)), strings.TrimSpace(daemon)), nil
}

// String shows a result in one line.
func (r Result) String() string {
	text := fmt.Sprintf("gap %s, two holders %s (%s after the end), back in %s, right in %s, %d move(s), by %s",
		number(r.Gap), number(r.Overlap), number(r.After), number(r.Back), number(r.Right), r.Moves, strings.Join(r.By, ", "))
	if len(r.Status) > 0 {
		text += "; said " + strings.Join(r.Status, " | ")
	}
	if r.Late != "" {
		text += "; after 12 s: " + r.Late
	}
	if r.Open != "" {
		text += "; OPEN: " + r.Open
	}
	return text
}

// number is a time in seconds, as short as it can be.
func number(d time.Duration) string {
	switch s := d.Seconds(); {
	case d < 5*time.Millisecond:
		return "0"
	case s >= 10:
		return fmt.Sprintf("%.0f", s)
	case s >= 2:
		return fmt.Sprintf("%.1f", s)
	default:
		return fmt.Sprintf("%.2f", s)
	}
}

var headings = []string{"fault", "gap", "two holders", "one again", "statuses right", "recovered by", "status shown", "runs"}

// Table is the report in Markdown, with the worst of all runs.
func (r Report) Table() string {
	lines := [][]string{headings}
	for _, row := range r.Rows {
		if len(row.Results) > 0 {
			lines = append(lines, row.cells())
		}
	}
	widths := make([]int, len(headings))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for n, line := range lines {
		for i, cell := range line {
			b.WriteString("| " + cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + " ")
		}
		b.WriteString("|\n")
		if n == 0 {
			for _, width := range widths {
				b.WriteString("| " + strings.Repeat("-", width) + " ")
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}

func (row Row) cells() []string {
	var by, said []string
	add := func(list *[]string, more []string) {
		for _, text := range more {
			if !slices.Contains(*list, text) {
				*list = append(*list, text)
			}
		}
	}
	back := number(worst(row.Results, func(r Result) time.Duration { return r.Back }))
	for _, r := range row.Results {
		add(&by, r.By)
		add(&said, r.Status)
		if r.Open != "" {
			back = "**open**"
		}
	}
	two := number(worst(row.Results, func(r Result) time.Duration { return r.Overlap }))
	if after := number(worst(row.Results, func(r Result) time.Duration { return r.After })); after != two {
		two += " (" + after + " after)"
	}
	status := "`" + strings.Join(said, "`, `") + "`"
	if len(said) == 0 {
		status = "no other"
	}
	return []string{
		row.Fault.Name,
		number(worst(row.Results, func(r Result) time.Duration { return r.Gap })),
		two, back,
		number(worst(row.Results, func(r Result) time.Duration { return r.Right })),
		strings.Join(by, ", "),
		strings.ReplaceAll(status, "|", "/"),
		fmt.Sprint(len(row.Results)),
	}
}
