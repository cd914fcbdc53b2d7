package scenario_test

import (
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
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

// callsPerRun bounds what one hook, or one run that the notifier asks for, has a unit's agent
// ask of the controller, beside reading a databag of each peer.
const callsPerRun = 30

// TestManyUnits is about what a move and a changed option cost the controller: each unit
// concerned writes its status once, and asks little more than what a few hooks ask.
func TestManyUnits(t *testing.T) {
	t.Parallel()
	count := manyUnits(t)
	d := newDeployment(t)
	began := time.Now()
	require.NoError(t, d.StandardOf(d.ctx, count, serving()))
	t.Logf("%d units after %.0f s", count, time.Since(began).Seconds())
	d.timed = true
	d.manyMove(t, count, "a keepalived that restarts", "systemctl restart keepalived.service")
	d.manyMove(t, count, "a service that dies", "systemctl stop haproxy.service")
	d.manyChange(t, count, "an option that each unit takes by itself", "healthcheck_interval=2", 2)
	d.manyChange(t, count, "an option on which all agree", "router_id=24", 5*count)
	d.manyMove(t, count, "a machine that dies", "")
	require.Len(t, d.holders(lab.VIP), 1)
}

// manyMove has the holder lose the virtual IP: by a script on its machine; without one its
// power is cut.
func (d *deployment) manyMove(t *testing.T, count int, claim, script string) {
	d.scenario(t, claim+" costs one status write per unit at most", func(t *testing.T) {
		from := d.calm(t)
		since, before := time.Now(), d.asked()
		down := []string{}
		if script == "" {
			require.NoError(t, d.Kill(d.ctx, from))
			down = append(down, from)
		} else {
			d.run(t, from, script)
		}
		holder, moved := d.otherHolder(t, from)
		wants := d.roles(t, holder, down...)
		if script != "" {
			delete(wants, d.unitOn(t, from))
		}
		d.follows(t, moved, wants)
		d.quiet(t)
		require.Equal(t, holder, d.waitHolder(t))
		d.atMostOne(t, since)
		d.costs(t, claim, before, count, 5)
		if script != "" {
			d.run(t, from, "systemctl start haproxy.service")
			time.Sleep(promptly) // what comes of it is told
		}
	})
}

// manyChange has an option changed; no unit runs more hooks for it than that.
func (d *deployment) manyChange(t *testing.T, count int, claim, option string, runs int) {
	d.scenario(t, claim+" costs some hooks and moves nothing", func(t *testing.T) {
		holder, before := d.calm(t), d.asked()
		d.configure(t, option)
		d.quiet(t)
		require.Equal(t, holder, d.waitHolder(t))
		d.costs(t, claim, before, count, runs)
	})
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

// asked is what the units' agents have asked of the controller, by unit.
type asked struct {
	calls map[string]map[string]int // of each method
	runs  map[string]int            // hooks, and runs that the notifier asked for
}

func (d *deployment) asked() asked {
	a := asked{calls: d.Calls(), runs: map[string]int{}}
	for _, e := range d.Events() {
		if e.Kind == lab.Begin {
			a.runs["unit-"+strings.ReplaceAll(e.Unit, "/", "-")]++
		}
	}
	return a
}

// changes are the calls that write to the controller's database; CommitHookChanges comes also
// where all is as it was.
var changes = regexp.MustCompile(`^Uniter\.(Set|Commit|Update|Enter|Leave|Destroy|Remove)`)

// costs requires that no unit's agent asked the controller for more than so many runs of the
// charm ask, and logs a row of the table in docs/reference/cost.md.
func (d *deployment) costs(t *testing.T, claim string, before asked, units, atMost int) {
	t.Helper()
	after := d.asked()
	runs, calls, worst, writes := 0, 0, 0, 0
	methods := map[string]int{}
	for unit, all := range after.calls {
		own := 0
		for method, n := range all {
			n -= before.calls[unit][method]
			own += n
			methods[method] += n
			if changes.MatchString(method) {
				writes += n
			}
		}
		ran := after.runs[unit] - before.runs[unit]
		runs, calls, worst = runs+ran, calls+own, max(worst, own)
		require.LessOrEqual(t, ran, atMost, "runs of %s", unit)
		require.LessOrEqual(t, own, (ran+1)*(callsPerRun+units), "calls of %s, which ran %d times", unit, ran)
	}
	t.Logf("| %s | %d | %d | %d | %d | %d | %d |", claim, units, runs, calls, worst, writes, methods["Uniter.SetUnitStatus"])
	maps.DeleteFunc(methods, func(_ string, n int) bool { return n == 0 })
	t.Logf("calls: %v", methods)
}
