package scenario_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/probe"
)

// quietOptions change nothing that clients of a virtual IP notice, unless it is the
// one that goes.
var quietOptions = []string{"virtual_ip", "router_id", "vrrp_mode", "vrrp_version", "advert_interval", "vip_hostname", "port", "status_notifications"}

// markQuiet marks the steps from first on when all of them changed such options,
// with every service well.
func (w *walker) markQuiet(first int) {
	kinds := optionChanges()
	for _, s := range w.steps[first:] {
		if _, option := kinds[s.kind]; !option && s.kind != staggeredKind {
			return
		}
	}
	for option := range w.touched {
		if !slices.Contains(quietOptions, option) {
			return
		}
	}
	if len(w.ill()) > 0 {
		return
	}
	for i := range w.steps[first:] {
		w.steps[first+i].quiet = true
	}
	shared := w.Holders.Between(lab.VIP, w.steps[first].from, time.Now()).Shared
	require.LessOrEqual(w.t, shared, longestInterval, "two holders at most for one advertisement interval")
}

// longestInterval is the longest advertisement interval of the walk.
const longestInterval = time.Second

// noticed lists the outages that began in quiet steps.
func (w *walker) noticed(report probe.Report) []string {
	var all []string
	for _, gap := range report.Gaps {
		if i := w.stepAt(gap.From); i >= 0 && w.steps[i].quiet && w.servedAround(i) {
			all = append(all, fmt.Sprintf("step %d, %s: %v", i+1, w.steps[i].kind, gap.Length()))
		}
	}
	return all
}

// stepAt is the index of the last step begun at a time; negative before the first.
func (w *walker) stepAt(at time.Time) int {
	begun := 0
	for begun < len(w.steps) && !w.steps[begun].from.After(at) {
		begun++
	}
	return begun - 1
}

// servedAround tells that clients were to be served before and after a step.
func (w *walker) servedAround(i int) bool {
	return w.steps[i].served && (i == 0 || w.steps[i-1].served)
}

// losses sums up, by kind of transition, what clients of lab.VIP noticed.
func (w *walker) losses(report probe.Report) string {
	type sum struct {
		steps, lost int
		longest     time.Duration
	}
	sums := map[string]sum{}
	for _, s := range w.steps {
		one := sums[s.kind]
		one.steps++
		sums[s.kind] = one
	}
	const unserved = "(nobody could serve)"
	for _, gap := range report.Gaps {
		kind, i := "(before the walk)", w.stepAt(gap.From)
		if i >= 0 {
			if kind = w.steps[i].kind; !w.servedAround(i) {
				kind = unserved
			}
		}
		one := sums[kind]
		one.lost += gap.Lost
		one.longest = max(one.longest, gap.Length())
		sums[kind] = one
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%-28s %5s %6s %8s\n", "kind", "times", "lost", "longest")
	for _, kind := range slices.Sorted(maps.Keys(sums)) {
		s := sums[kind]
		fmt.Fprintf(&b, "%-28s %5d %6d %8v\n", kind, s.steps, s.lost, s.longest.Round(10*time.Millisecond))
	}
	fmt.Fprintf(&b, "%d of %d connections lost", report.Lost, report.Attempts)
	return b.String()
}
