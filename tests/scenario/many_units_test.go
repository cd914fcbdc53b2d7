package scenario_test

import (
	"maps"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/poll"
)

// manyUnits is how many units there are, LAB_UNITS if that is set.
func manyUnits(t *testing.T) int {
	t.Helper()
	count := 6
	if text := os.Getenv("LAB_UNITS"); text != "" {
		var err error
		count, err = strconv.Atoi(text)
		require.NoError(t, err)
	}
	return count
}

// callsPerHook bounds what one run of the charm asks of the controller beside reading
// a databag of each peer, with what Juju's agent asks by itself around it.
const callsPerHook = 80

// TestManyUnits is about what a move costs the controller: each unit concerned writes
// its status once, and asks little more than what a few hooks ask.
func TestManyUnits(t *testing.T) {
	t.Parallel()
	count := manyUnits(t)
	d := newDeployment(t)
	began := time.Now()
	require.NoError(t, d.StandardOf(d.ctx, count, serving()))
	t.Logf("%d units after %.0f s", count, time.Since(began).Seconds())
	d.timed = true
	for _, move := range []struct {
		claim  string
		script string // on the holder's machine; empty: its power is cut
	}{
		{"a keepalived that restarts", "systemctl restart keepalived.service"},
		{"a service that dies", "systemctl stop haproxy.service"},
		{"a machine that dies", ""},
	} {
		d.scenario(t, move.claim+" costs one status write per unit at most", func(t *testing.T) {
			from := d.calm(t)
			since, before := time.Now(), d.Calls()
			down := []string{}
			if move.script == "" {
				require.NoError(t, d.Kill(d.ctx, from))
				down = append(down, from)
			} else {
				d.run(t, from, move.script)
			}
			holder, moved := d.otherHolder(t, from)
			wants := d.roles(t, holder, down...)
			if move.script != "" {
				delete(wants, d.unitOn(t, from))
			}
			d.follows(t, moved, wants)
			d.quiet(t)
			require.Equal(t, holder, d.waitHolder(t))
			d.atMostOne(t, since)
			d.callsSince(t, before, count)
			if move.script != "" {
				d.run(t, from, "systemctl start haproxy.service")
				time.Sleep(promptly) // what comes of it is told
			}
		})
	}
	require.Len(t, d.holders(lab.VIP), 1)
}

// quiet waits until nothing has happened in the model for some seconds.
func (d *deployment) quiet(t *testing.T) {
	t.Helper()
	const rest = 6 * time.Second
	poll.Until(t, func() bool {
		events := d.Events()
		return time.Since(events[len(events)-1].Time) > rest
	}, time.Minute, 100*time.Millisecond)
}

// callsSince requires that no unit's agent asked much of the controller, and logs who
// asked for what.
func (d *deployment) callsSince(t *testing.T, before map[string]map[string]int, units int) {
	t.Helper()
	total, worst := 0, 0
	methods := map[string]int{}
	for unit, calls := range d.Calls() {
		own := 0
		for method, n := range calls {
			own += n - before[unit][method]
			methods[method] += n - before[unit][method]
		}
		total, worst = total+own, max(worst, own)
	}
	maps.DeleteFunc(methods, func(_ string, n int) bool { return n == 0 })
	most := slices.SortedFunc(maps.Keys(methods), func(a, b string) int { return methods[b] - methods[a] })
	t.Logf("%d calls of %d units, %d of one; most: %v of %v", total, units, worst, most[:min(5, len(most))], methods)
	// A move is one run of the notifier and, for who did not hear of it sooner, one hook.
	require.Less(t, worst, 3*(callsPerHook+2*units))
}
