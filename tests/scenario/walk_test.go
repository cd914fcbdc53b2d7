package scenario_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/lab"
)

// The walks' length is what fits into some minutes, and the suite always walks the
// same ways; WALK_STEPS=200 walks further, WALK_SEED=n another way (go test
// -timeout=1h for a long one).
const (
	walkSteps = 6
	// stepLife bounds one transition with the settling after it, on average.
	stepLife = 15 * time.Second
)

// walker does random things to a deployment and knows what is to come of them.
type walker struct {
	*deployment
	t      *testing.T
	random *rand.Rand
	// options are those that were set.
	options map[string]string
	// services tells what is wrong with the service of a machine, by ID.
	services map[string]fault
	// dark are the machines without power.
	dark map[string]bool
	// steps are the transitions so far.
	steps []walkStep
	// slow counts the settlings that took an update-status hook.
	slow int
	// touched are the options that were set since the last settling.
	touched map[string]bool
}

// fault is what is wrong with a service.
type fault string

const (
	well    fault = ""
	stopped fault = "stopped"
	hung    fault = "hung"
)

// walkStep is a transition that was made.
type walkStep struct {
	kind   string
	detail string
	from   time.Time
	// served tells that clients of lab.VIP are to be served before and after it.
	served bool
	// quiet tells that nothing happened until the next settling that clients of
	// lab.VIP may notice.
	quiet bool
}

// TestRandomWalk does random things to a deployment, one to three at a time, lets
// it come to rest and requires everything that must hold whatever happened.
func TestRandomWalk(t *testing.T) {
	t.Parallel()
	seeds := some[int64](t, 1, 2, 5)
	if seed := number(t, "WALK_SEED", 0); seed != 0 {
		seeds = []int64{seed}
	}
	steps := number(t, "WALK_STEPS", walkSteps)
	for _, seed := range seeds {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			t.Parallel()
			walk(t, seed, steps)
		})
	}
}

func walk(t *testing.T, seed, steps int64) {
	t.Logf("a walk of %d transitions, to be repeated with WALK_SEED=%d", steps, seed)
	w := &walker{t: t, random: rand.New(rand.NewPCG(uint64(seed), 0)), options: serving(), services: map[string]fault{}, dark: map[string]bool{}}
	w.deployment = newDeploymentWith(t, deploymentLife+time.Duration(steps)*stepLife, lab.Options{Retry: 2 * time.Second})
	require.NoError(t, w.Standard(w.ctx, w.options))
	w.consume(t, "kubernetes-worker", website, worker)
	w.ready(t)
	client, err := w.Probe(w.ctx, lab.VIP)
	require.NoError(t, err)
	t.Cleanup(func() {
		report, err := client.Stop()
		require.NoError(t, err)
		t.Log("\n" + w.losses(report))
		require.Empty(t, w.noticed(report), "changes of options cost no connection")
	})
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("WALK_SEED=%d", seed)
			w.explain(t)
		}
	})
	start := time.Now()
	for len(w.steps) < int(steps) {
		first := len(w.steps)
		w.touched = map[string]bool{}
		for more := 1 + w.random.IntN(3); more > 0; more-- {
			w.step()
		}
		from := time.Now()
		w.settle()
		w.explainSlow(from)
		w.markQuiet(first)
	}
	t.Logf("%d transitions in %v; %d settlings took an update-status", len(w.steps), time.Since(start).Round(time.Second), w.slow)
}

// walkNumber reads a number from the environment.
func number(t *testing.T, name string, standard int64) int64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return standard
	}
	n, err := strconv.ParseInt(text, 10, 64)
	require.NoError(t, err, name)
	return n
}

// step makes one random transition.
func (w *walker) step() {
	w.t.Helper()
	var able []transition
	total := 0
	for _, candidate := range transitions() {
		if candidate.possible == nil || candidate.possible(w) {
			able = append(able, candidate)
			total += candidate.weight
		}
	}
	n := w.random.IntN(total)
	i := 0
	for ; n >= able[i].weight; i++ {
		n -= able[i].weight
	}
	s := walkStep{kind: able[i].kind, from: time.Now(), served: w.served()}
	w.steps = append(w.steps, s)
	s.detail = able[i].do(w)
	s.served = s.served && w.served()
	w.steps[len(w.steps)-1] = s
	w.t.Logf("%s %3d %s: %s", s.from.UTC().Format("15:04:05.000"), len(w.steps), s.kind, s.detail)
}

// explainSlow names the hooks that made a settling slow.
func (w *walker) explainSlow(from time.Time) {
	took := time.Since(from)
	if took < 10*time.Second {
		return
	}
	var hooks []string
	for _, e := range w.Events() {
		if e.Kind == lab.End && e.Time.After(from) && e.Duration > time.Second {
			hooks = append(hooks, fmt.Sprintf("%s %s %v", e.Unit, e.Name, e.Duration.Round(100*time.Millisecond)))
		}
	}
	w.t.Logf("    settled after %v: %v", took.Round(time.Second), hooks)
}

// served tells that a client of lab.VIP must be served.
func (w *walker) served() bool {
	return slices.Contains(w.vips(), lab.VIP) && slices.ContainsFunc(w.alive(), func(id string) bool { return w.services[id] == well })
}

// vips are the virtual IPs that are configured.
func (w *walker) vips() []netip.Addr {
	var all []netip.Addr
	for word := range strings.SplitSeq(w.options["virtual_ip"], ",") {
		all = append(all, netip.MustParseAddr(word))
	}
	return all
}

// members are the machines with a unit, alive those that have power.
func (w *walker) members() []string {
	var ids []string
	for _, unit := range w.units() {
		ids = append(ids, w.machineOf(w.t, unit))
	}
	return ids
}

func (w *walker) alive() []string {
	return slices.DeleteFunc(w.members(), func(id string) bool { return w.dark[id] })
}

// healthy are the machines whose check passes.
func (w *walker) healthy() []string {
	return slices.DeleteFunc(w.alive(), func(id string) bool {
		switch w.options["healthcheck_type"] {
		case "none":
			return false
		case "unit": // a process that hangs is there
			return w.services[id] == stopped
		}
		return w.services[id] != well
	})
}

// one picks one at random.
func one[T any](w *walker, from ...T) T { return from[w.random.IntN(len(from))] }
