package scenario_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
	"keepalived-charm/tests/patience"
)

// killedChange is a change during which hooks are killed; most of them are taken
// back by the next one.
type killedChange struct {
	claim string
	make  func(t *testing.T)
	// outage bounds what clients may see; negative: the virtual IP serves only
	// before or only after. still says that it may not move.
	outage time.Duration
	still  bool
	// strata is how many points are tried unless all are asked for.
	strata int
	// state is what must be the same in the end, nil for deployment.state.
	state func(t *testing.T) string
	// points are those of an undisturbed run, by machine.
	points map[string][]string
	want   string
	tried  int
}

func TestHooksKilledAtEverySystemCall(t *testing.T) {
	t.Parallel()
	for _, changed := range some(t, 1, "options", "units") {
		t.Run(changed, func(t *testing.T) {
			t.Parallel()
			d, before := deployKillable(t)
			if changed == "units" {
				d.killedPairs(t, [][2]*killedChange{d.leaving(before)})
				return
			}
			d.asksJuju(t)
			d.killedPairs(t, d.optionPairs())
		})
	}
}

// deployKillable also returns what the machines were without the charm.
func deployKillable(t *testing.T) (*deployment, map[string][]string) {
	t.Helper()
	life := 2 * deploymentLife
	if killAll() {
		life = 2 * time.Hour
	}
	d := newDeploymentWith(t, life, lab.Options{Charm: killable(t)})
	require.NoError(t, d.Deploy(d.ctx, "haproxy", "haproxy", 3, nil))
	// With its last principal unit Juju removes a machine, and these are to stay.
	d.juju(t, "deploy ./kubernetes-worker --base ubuntu@22.04 -n 3 --to 0,1,2")
	d.settled(t)
	before := map[string][]string{}
	for _, m := range d.Net.Machines() {
		id := strings.TrimPrefix(m.Name, "juju-")
		before[id] = d.content(t, id)
	}
	require.NoError(t, d.Deploy(d.ctx, "keepalived", "keepalived", 0, serving()))
	require.NoError(t, d.Integrate("haproxy", "keepalived:juju-info"))
	d.ready(t)
	return d, before
}

// killAll tells that every point of every change is to be tried.
func killAll() bool { return os.Getenv("KILL_POINTS") == "all" }

func (d *deployment) asksJuju(t *testing.T) {
	d.scenario(t, "update-status starts Juju's hook tools alone", func(t *testing.T) {
		d.updateStatus(t) // what the hooks before left to it
		d.orders(t, nil)
		d.updateStatus(t)
		for id, points := range d.pointsPassed(t) {
			tools := 0
			for _, point := range points {
				if strings.HasPrefix(point, "start") {
					require.Contains(t, point, "/juju/tools/", "machine %s", id)
					tools++
				}
			}
			require.NotZero(t, tools, "machine %s", id)
		}
	})
}

// killedPairs kills hooks during pairs of changes: two of them, unless all are asked for.
func (d *deployment) killedPairs(t *testing.T, pairs [][2]*killedChange) {
	seed := daily(t)
	t.Logf("LAB_SEED=%d; KILL_POINTS=all tries every point of every change, KILL_CHANGE=PATTERN chooses changes", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	pattern := os.Getenv("KILL_CHANGE")
	if killAll() {
		t.Log("all points, but starts of programs that only read")
		for _, pair := range pairs { // in an hour the host itself stalls at times
			for _, c := range pair {
				if c.outage == 0 {
					c.outage = handedOver
				}
			}
		}
	} else if pattern == "" {
		// Each takes a minute; which, the seed says.
		random.Shuffle(len(pairs), func(a, b int) { pairs[a], pairs[b] = pairs[b], pairs[a] })
		pairs = some(t, 1, pairs[:min(2, len(pairs))]...)
	}
	for _, pair := range pairs {
		if regexp.MustCompile(pattern).MatchString(pair[0].claim) {
			d.killedPair(t, pair, random)
		}
	}
}

// optionPairs are changes of options, each with the one that takes it back.
func (d *deployment) optionPairs() [][2]*killedChange {
	set := func(name, value string) func(*testing.T) {
		return func(t *testing.T) {
			require.NoError(t, d.SetConfig("keepalived", map[string]string{name: value}))
			d.settled(t)
		}
	}
	vip := lab.VIP.String()
	return [][2]*killedChange{
		{
			{claim: "a virtual IP is added", make: set("virtual_ip", vip+","+otherVIP.String()), still: true, strata: 3},
			{claim: "a virtual IP is removed", make: set("virtual_ip", vip), still: true, strata: 3},
		}, {
			{claim: "the virtual router ID changes", make: set("router_id", "51"), outage: machineDies, strata: 3},
			{claim: "the virtual router ID changes back", make: set("router_id", "23"), outage: machineDies, strata: 3},
		}, {
			{claim: "the only virtual IP is removed", make: set("virtual_ip", ""), outage: -1, strata: 3},
			{claim: "the first virtual IP is configured", make: set("virtual_ip", vip), outage: -1, strata: 3},
		},
	}
}

// killedPair makes two changes in turn, first undisturbed, then with every unit's
// hooks killed at one point each, until enough points were tried.
func (d *deployment) killedPair(t *testing.T, pair [2]*killedChange, random *rand.Rand) {
	for _, c := range pair {
		if c.state == nil {
			c.state = d.state
		}
		d.scenario(t, c.claim+", undisturbed", func(t *testing.T) {
			d.orders(t, nil)
			c.make(t)
			c.points = d.pointsPassed(t)
			for id, list := range c.points {
				t.Logf("%d points on machine %s", len(list), id)
			}
			d.updateStatus(t)
			c.want = c.state(t)
		})
	}
	plans := [2][]map[string]int{d.deaths(pair[0], killAll(), random), d.deaths(pair[1], killAll(), random)}
	for n := range max(len(plans[0]), len(plans[1])) {
		for i, c := range pair {
			var deadly map[string]int
			if n < len(plans[i]) {
				deadly = plans[i][n]
			}
			d.scenario(t, fmt.Sprintf("%s, hooks die at %v", c.claim, deadly), func(t *testing.T) { d.killed(t, c, deadly) })
			if t.Failed() {
				return
			}
		}
	}
	for _, c := range pair {
		t.Logf("%s: %d points on all units, killed at %d of them", c.claim, countPoints(c.points), c.tried)
	}
}

// killed makes a change whose hooks die and requires that all ends as if they had
// not.
func (d *deployment) killed(t *testing.T, c *killedChange, deadly map[string]int) {
	d.orders(t, deadly)
	if c.outage < 0 {
		c.make(t)
	} else {
		m := d.measure(t, 0, func() { c.make(t) })
		require.LessOrEqual(t, m.Outage, patience.With(c.outage))
		require.LessOrEqual(t, m.Shared, patience.With(sharedAtMost))
		if c.still {
			require.Empty(t, m.Moves)
			require.Zero(t, m.Cuts)
		}
	}
	for id, list := range d.pointsPassed(t) {
		if at := deadly[id]; at > 0 && at <= len(list) {
			c.tried++
			t.Logf("machine %s died at %d of %d: %s", id, at, len(c.points[id]), list[at-1])
		}
	}
	// What Juju does not run again, a killed refresh, the next hook makes good.
	for round := range 3 {
		d.updateStatus(t)
		got := c.state(t)
		if got == c.want {
			return
		}
		if round == 2 {
			require.Equal(t, c.want, got)
		}
		t.Logf("not there after update-status %d", round+1)
	}
}

// leaving are the end and the beginning of two units, one of them the holder.
func (d *deployment) leaving(before map[string][]string) [2]*killedChange {
	var leavers []string
	gone := func(t *testing.T) string {
		for _, id := range leavers {
			d.asBefore(t, id, before[id])
		}
		return ""
	}
	return [2]*killedChange{
		{claim: "two units are removed, one of them the holder's", outage: machineDies, strata: 3, state: gone, make: func(t *testing.T) {
			holder := d.ready(t)
			leavers = []string{holder, d.standbys(t, holder)[0]}
			slices.Sort(leavers)
			var units []string
			for _, id := range leavers {
				units = append(units, d.unitOn(t, id))
				principal, ok := d.UnitOn("haproxy", id)
				require.True(t, ok)
				require.NoError(t, d.DestroyUnit(principal))
			}
			require.NoError(t, d.WaitUnits(d.ctx, "the units to go", func(left map[string]lab.Unit) bool {
				return !slices.ContainsFunc(units, func(name string) bool { _, there := left[name]; return there })
			}))
			d.settled(t)
		}},
		{claim: "two units are added", still: true, strata: 3, make: func(t *testing.T) {
			for _, id := range leavers {
				require.NoError(t, d.AddUnit("haproxy", id))
			}
			d.settled(t)
			d.ready(t)
		}},
	}
}
