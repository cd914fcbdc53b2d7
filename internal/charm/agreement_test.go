package charm_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
)

// rest lets every hook run, and the ones that update-status brings, until
// nothing changes any more.
func rest(t *testing.T, c *charmtest.Cluster) {
	t.Helper()
	for round := range 40 {
		before := c.String()
		for _, n := range c.Nodes {
			for n.Busy() {
				c.Step(n)
			}
		}
		c.Pass(3)
		for _, n := range c.Nodes {
			n.Pending = append(n.Pending, "update-status")
			for n.Busy() {
				c.Step(n)
			}
		}
		if round > 1 && c.String() == before {
			return
		}
	}
	t.Fatalf("never settles:\n%s", c)
}

// agreed asserts that the change-over is over everywhere: one holder, one set of
// parameters, no announcement, nobody aside, nothing pinned, nothing owed.
func agreed(t *testing.T, c *charmtest.Cluster, claim string) {
	t.Helper()
	require.Len(t, c.Serving(), 1, "%s: one holder\n%s", claim, c)
	runs := ""
	for _, n := range c.Nodes {
		if !n.Up || !n.Member {
			continue
		}
		bag := n.Juju.Own("cluster:1")
		if runs == "" {
			runs = bag["vrrp"]
		}
		require.Equal(t, runs, bag["vrrp"], "%s\n%s", claim, c)
		require.Contains(t, bag["vrrp"], fmt.Sprintf("vrid=%d ", c.Options["router_id"]), "%s\n%s", claim, c)
		require.Contains(t, bag["vrrp"], fmt.Sprintf("mode=%v ", c.Options["vrrp_mode"]), "%s\n%s", claim, c)
		m := endpoint.ReadMember(bag)
		require.Nil(t, m.Next, "%s\n%s", claim, c)
		require.Empty(t, bag["aside"], "%s\n%s", claim, c)
		require.NotContains(t, n.Host.Checkers["keepalived"].Config, `"aside"`, "%s\n%s", claim, c)
		require.Empty(t, n.Stale(), "%s\n%s", claim, c)
	}
}

func clusterOptions() map[string]any {
	o := map[string]any{}
	for k, v := range charmtest.NewState(0).Juju.Options {
		o[k] = v
	}
	o["virtual_ip"], o["vrrp_mode"] = vip, "multicast"
	return o
}

func newCluster(t *testing.T, units int) *charmtest.Cluster {
	c := charmtest.NewCluster(t, clusterOptions())
	for range units {
		c.Add()
	}
	rest(t, c)
	agreed(t, c, "deployed")
	return c
}

func TestAChangeOverHasOneHolderWhateverTheOrderOfHooks(t *testing.T) {
	from, to := 0, 200
	if s := os.Getenv("SEED"); s != "" {
		from, _ = strconv.Atoi(s)
		to = from + 1
	}
	for seed := from; seed < to; seed++ {
		walk(t, uint64(seed), 150)
	}
}

func walk(t *testing.T, seed uint64, events int) {
	r := rand.New(rand.NewPCG(seed, 3))
	c := newCluster(t, 2+r.IntN(4))
	log := []string{}
	verbose := os.Getenv("SEED") != ""
	say := func(format string, args ...any) {
		log = append(log, fmt.Sprintf(format, args...))
		if verbose {
			fmt.Println(log[len(log)-1])
		}
	}
	values := map[string][]any{
		"router_id": {23, 24, 25}, "vrrp_mode": {"multicast", "unicast"},
	}
	changes := 0
	for range events {
		n := c.Nodes[r.IntN(len(c.Nodes))]
		gaps := c.Gaps
		switch e := r.IntN(100); {
		case e < 4 && changes < 6:
			changes++
			for _, name := range []string{"router_id", "vrrp_mode"}[r.IntN(2):] {
				v := values[name][r.IntN(len(values[name]))]
				say("set %s=%v", name, v)
				c.Set(map[string]any{name: v})
				break
			}
		case e < 6:
			if n.Busy() {
				say("kill hook %d", n.Juju.Unit.Number)
				c.KillHook(n)
			}
		case e < 8:
			n.Agent = !n.Agent
			say("agent %d %v", n.Juju.Unit.Number, n.Agent)
		case e < 14:
			s := r.Float64() * 4
			say("pass %.1f", s)
			c.Pass(s)
		case e < 16:
			n.Pending = append(n.Pending, "update-status")
		default:
			if n.Busy() {
				hook := n.Pending[0]
				ended := c.Step(n)
				say("unit %d step of %s, ended %v", n.Juju.Unit.Number, hook, ended)
			}
		}
		if verbose {
			fmt.Println(c)
		}
		require.LessOrEqual(t, len(c.Serving()), 1, "seed %d: two holders\n%s", seed, c)
		require.Equal(t, gaps, c.Gaps, "seed %d: a gap\n%s", seed, c)
	}
	for _, n := range c.Nodes {
		n.Agent = true
		if !n.Up {
			c.PowerOn(n)
		}
	}
	rest(t, c)
	agreed(t, c, fmt.Sprint("seed ", seed))
}
