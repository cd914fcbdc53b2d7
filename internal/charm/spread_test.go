package charm_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/needs"
)

const threeVIPs = "10.10.74.250 10.10.74.251 10.10.74.252"

// spreadOut is an application whose virtual IPs are shared out over its units.
func spreadOut(t *testing.T, units int, vips string) *charmtest.Cluster {
	t.Helper()
	return deployed(t, units, map[string]any{"virtual_ip": vips, "spread": true})
}

// holders tells for each virtual IP which unit answers at it, -1 for none; two fail
// the test.
func holders(t *testing.T, c *charmtest.Cluster, vips ...string) []int {
	t.Helper()
	var list []int
	for _, v := range vips {
		h := c.Holders(netip.MustParseAddr(v))
		require.LessOrEqual(t, len(h), 1, "%s has two holders\n%s", v, c)
		if len(h) == 0 {
			list = append(list, -1)
		} else {
			list = append(list, slices.Index(c.Nodes, h[0]))
		}
	}
	return list
}

func TestSpreadGivesEachUnitOne(t *testing.T) {
	t.Parallel()
	vips := []string{"10.10.74.250", "10.10.74.251", "10.10.74.252"}
	c := spreadOut(t, 3, threeVIPs)
	require.Equal(t, []int{0, 1, 2}, holders(t, c, vips...), "%s", c)
	require.Equal(t, "active: VIP ready: holds 1 of 3 VIPs, 10.10.74.251; keepalived/0 holds 10.10.74.250; keepalived/2 holds 10.10.74.252",
		c.Nodes[1].Juju.Status.String())

	c.PowerOff(c.Nodes[1])
	require.Equal(t, []int{0, 2, 2}, holders(t, c, vips...), "only its own moves")
	rest(t, c)
	require.Equal(t, []int{0, 2, 2}, holders(t, c, vips...))
	c.PowerOn(c.Nodes[1])
	rest(t, c)
	require.Equal(t, []int{0, 1, 2}, holders(t, c, vips...), "and returns")

	gaps := c.Gaps
	c.Set(map[string]any{"spread": false})
	rest(t, c)
	agreed(t, c, "one for all again")
	require.Equal(t, gaps, c.Gaps)
	c.Set(map[string]any{"spread": true})
	rest(t, c)
	require.Equal(t, []int{0, 1, 2}, holders(t, c, vips...))
	require.Equal(t, gaps, c.Gaps)
	c.Set(map[string]any{"router_id": 24})
	rest(t, c)
	require.Equal(t, []int{0, 1, 2}, holders(t, c, vips...))
	require.Equal(t, gaps, c.Gaps)
	for k, want := range []string{"vrid=24 ", "vrid=25 ", "vrid=26 "} {
		require.Contains(t, c.Nodes[0].Juju.Own("cluster:1")[[]string{"vrrp", "vrrp-1", "vrrp-2"}[k]], want, "%s", c)
	}
}

// TestSpreadHasOneHolderEachWhateverTheOrderOfHooks walks random orders of changes and
// hooks, and of faults in every second walk. SEED=N shows one walk.
func TestSpreadHasOneHolderEachWhateverTheOrderOfHooks(t *testing.T) {
	t.Parallel()
	walks(6, func(seed uint64) { spreadWalk(t, seed, 120) })
}

func spreadWalk(t *testing.T, seed uint64, events int) {
	r := rand.New(rand.NewPCG(seed, 5))
	c := spreadOut(t, 2+r.IntN(3), threeVIPs)
	w := walker{c: c, r: r, faults: seed%2 == 0, splits: seed%4 == 0, stale: map[*charmtest.Node]bool{}, fresh: map[*charmtest.Node]bool{}, changed: []map[string]any{
		{"spread": true}, {"spread": false}, {"virtual_ip": threeVIPs}, {"virtual_ip": "10.10.74.250 10.10.74.252"},
		{"virtual_ip": "10.10.74.252 10.10.74.251 10.10.74.250 10.10.74.253"}, {"vrrp_mode": "unicast"}, {"vrrp_mode": "multicast"},
		{"router_id": 23}, {"router_id": 24}, {"router_id": 22}, {"advert_interval": 0.3}, {"all_unhealthy": "drop"}, {"all_unhealthy": "keep"},
	}}
	verbose := os.Getenv("SEED") != ""
	for range events {
		gaps, before := always(c), sights(c)
		what, fault := w.event()
		if strings.HasPrefix(what, "power off") {
			for v, were := range before {
				if len(were) == 1 && were[0].Up {
					require.Equal(t, were, sights(c)[v], "seed %d: %s: %s was not its own", seed, what, v)
				}
			}
		}
		if verbose {
			fmt.Println(what)
			fmt.Println(c)
		}
		if fault || w.split || len(w.stale) > 0 {
			continue
		}
		for v, holders := range sights(c) {
			require.LessOrEqual(t, len(holders), 1, "seed %d: %s: two holders of %s\n%s", seed, what, v, c)
		}
		if !slices.ContainsFunc(c.Nodes, func(n *charmtest.Node) bool { return n.Up && n.Sick }) {
			require.Equal(t, gaps, always(c), "seed %d: %s: a gap\n%s", seed, what, c)
		}
	}
	w.heal()
	rest(t, c)
	settledSpread(t, c, fmt.Sprint("seed ", seed))
}

// sights tells who answers at each virtual IP.
func sights(c *charmtest.Cluster) map[string][]*charmtest.Node {
	seen := map[string][]*charmtest.Node{}
	for _, v := range []string{"250", "251", "252", "253"} {
		seen[v] = c.Holders(netip.MustParseAddr("10.10.74." + v))
	}
	return seen
}

// always counts the gaps of the virtual IPs that are never taken away.
func always(c *charmtest.Cluster) int {
	return c.GapsAt[netip.MustParseAddr("10.10.74.250")] + c.GapsAt[netip.MustParseAddr("10.10.74.252")]
}

// settledSpread asserts that nothing is on its way any more and each virtual IP has a
// holder; with spread nobody has more than one more than another.
func settledSpread(t *testing.T, c *charmtest.Cluster, claim string) {
	t.Helper()
	if c.Options["spread"] == false {
		agreed(t, c, claim)
	}
	for _, n := range c.Nodes {
		if !n.Member {
			continue
		}
		require.NotContains(t, n.Juju.Status.Message, "moving", "%s\n%s", claim, c)
		require.NotContains(t, n.Host.Checkers["keepalived"].Config, `"aside"`, "%s\n%s", claim, c)
		require.Empty(t, n.Stale(), "%s\n%s", claim, c)
		for k, r := range endpoint.ReadMember(n.Juju.Own("cluster:1")).More {
			require.Nil(t, r.Next, "%s: router %d\n%s", claim, k, c)
		}
	}
	for _, v := range []string{"250", "252"} {
		require.Len(t, c.Holders(netip.MustParseAddr("10.10.74."+v)), 1, "%s: %s\n%s", claim, v, c)
	}
}

// TestAPeersWordMovesNoVirtualIPThatTheOthersHaveInARouter: its holder would go on, and two
// would hold it.
func TestAPeersWordMovesNoVirtualIPThatTheOthersHaveInARouter(t *testing.T) {
	vips := []string{"10.10.74.250", "10.10.74.251", "10.10.74.252"}
	for _, c := range []struct {
		units int
		says  juju.Databag
	}{
		{3, juju.Databag{"vips": "10.10.74.251,10.10.74.250,10.10.74.252"}},
		{2, juju.Databag{"vips": "10.10.74.251,10.10.74.250,10.10.74.252"}},
		{3, juju.Databag{"vips-1": "10.10.74.251,10.10.74.252"}},
		{2, juju.Databag{"vips-1": "10.10.74.251,10.10.74.252"}},
		{3, juju.Databag{"vips": "10.10.74.251", "vips-1": "10.10.74.250"}},
		{3, juju.Databag{"vips": "10.10.74.253", "vips-2": ""}},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			k := spreadOut(t, c.units, threeVIPs)
			want := holders(t, k, vips...)
			k.Speak(k.Nodes[c.units-1], func(b juju.Databag) juju.Databag {
				b = maps.Clone(b)
				maps.Copy(b, c.says)
				return b
			})
			for range 4 {
				for _, n := range k.Nodes {
					n.Await("update-status")
					for n.Busy() {
						k.Step(n)
						require.Equal(t, want, holders(t, k, vips...), "%s", k)
					}
				}
				k.Pass(1)
				require.Equal(t, want, holders(t, k, vips...), "%s", k)
			}
		})
	}
}

// TestHalvesThatChangedApartGatherOnOneUnit: each half holds all virtual IPs, and does not hear
// the other where that runs another mode. Who gathers them for one router waits for the others
// to let go, which have heard nobody take theirs.
func TestHalvesThatChangedApartGatherOnOneUnit(t *testing.T) {
	t.Parallel()
	for from, to := range map[string]string{"unicast": "multicast", "multicast": "unicast"} {
		t.Run(from, func(t *testing.T) {
			c := deployed(t, 4, map[string]any{"virtual_ip": threeVIPs, "spread": true, "vrrp_mode": from})
			split := func(apart bool) {
				for _, a := range c.Nodes[:2] {
					for _, b := range c.Nodes[2:] {
						c.Partition(a, b, apart)
						b.Agent = !apart
					}
				}
			}
			split(true)
			c.Pass(3)
			c.Set(map[string]any{"vrrp_mode": to})
			for range 3 {
				work(c, c.Nodes[:2]...)
				c.Pass(3)
				c.Nodes[0].Await("update-status")
				c.Nodes[1].Await("update-status")
			}
			split(false)
			c.Set(map[string]any{"spread": false})
			gaps := c.Gaps
			rest(t, c)
			agreed(t, c, from)
			require.Len(t, c.Serving(), 1)
			require.NotContains(t, holders(t, c, strings.Fields(threeVIPs)...), -1)
			require.Equal(t, gaps, c.Gaps)
		})
	}
}

func TestSpreadMovesOnlyWhatChanges(t *testing.T) {
	t.Parallel()
	vips := []string{"10.10.74.250", "10.10.74.251", "10.10.74.252"}
	c := spreadOut(t, 3, threeVIPs)
	gaps := always(c)

	c.Set(map[string]any{"virtual_ip": "10.10.74.252 10.10.74.250"})
	rest(t, c)
	require.Equal(t, []int{0, -1, 2}, holders(t, c, vips...), "one goes, the others stay")
	c.Set(map[string]any{"virtual_ip": "10.10.74.253 10.10.74.252 10.10.74.250"})
	rest(t, c)
	require.Equal(t, []int{0, 1, 2}, holders(t, c, vips[0], "10.10.74.253", vips[2]), "a new one takes the free place")
	c.Add()
	rest(t, c)
	require.Equal(t, []int{0, 1, 2}, holders(t, c, vips[0], "10.10.74.253", vips[2]), "a unit that is too many holds none")
	c.Set(map[string]any{"virtual_ip": "10.10.74.253 10.10.74.252 10.10.74.250 10.10.74.251"})
	rest(t, c)
	require.Equal(t, []int{0, 3, 2}, holders(t, c, vips...), "until there is one for it")
	require.Equal(t, gaps, always(c))

	c.Nodes[2].Sick = true
	c.Pass(1)
	require.Equal(t, []int{0, 3, 3}, holders(t, c, vips...), "a sick unit's goes to the next one in turn")
	c.Nodes[2].Sick = false
	c.Pass(1)
	c.Remove(c.Nodes[3])
	rest(t, c)
	require.Equal(t, []int{0, 0, 2}, holders(t, c, vips...), "a unit that is gone for good leaves its place")
}

func TestWhatOneUnitHadGoesToSeveral(t *testing.T) {
	vips := []string{"10.10.74.240", "10.10.74.241", "10.10.74.242", "10.10.74.243", "10.10.74.244", "10.10.74.245"}
	c := spreadOut(t, 3, strings.Join(vips, ","))
	require.Equal(t, []int{0, 1, 2, 0, 1, 2}, holders(t, c, vips...))
	c.PowerOff(c.Nodes[1])
	require.Equal(t, []int{0, 2, 2, 0, 0, 2}, holders(t, c, vips...))
	rest(t, c)
	require.Equal(t, "active: VIP ready: holds 3 of 6 VIPs, 10.10.74.240, 10.10.74.243, 10.10.74.244; keepalived/2 holds 10.10.74.241, 10.10.74.242, 10.10.74.245",
		c.Nodes[0].Juju.Status.String())
}

func TestSpreadDropsOrKeepsWhenEveryUnitIsSick(t *testing.T) {
	c := spreadOut(t, 2, "10.10.74.250 10.10.74.251")
	for policy, want := range map[string][]int{"keep": {0, 1}, "drop": {-1, -1}} {
		c.Set(map[string]any{"all_unhealthy": policy})
		rest(t, c)
		for _, n := range c.Nodes {
			n.Sick = true
		}
		c.Pass(1)
		require.Equal(t, want, holders(t, c, "10.10.74.250", "10.10.74.251"), policy)
		for _, n := range c.Nodes {
			n.Sick = false
		}
		c.Pass(1)
		require.Equal(t, []int{0, 1}, holders(t, c, "10.10.74.250", "10.10.74.251"), policy)
	}
}

func TestFailoverIsRefusedWhereItWouldReturn(t *testing.T) {
	c := spreadOut(t, 3, threeVIPs)
	s := *c.Nodes[0].State
	out := charmtest.Run(t, "actions/failover", s)
	require.Equal(t, "cannot fail over: with spread=true each virtual IP returns to its unit at once; pause keeps them away", out.Juju.Failure)
	require.Empty(t, out.Steps)
}

// TestSpreadWaitsForThePythonCharm: its units know one virtual router.
func TestSpreadWaitsForThePythonCharm(t *testing.T) {
	s := python(0)
	s.Juju.Options["spread"], s.Juju.Options["virtual_ip"] = true, "10.10.74.250/24 10.10.74.251"
	s.Juju.Planned = 3
	out := charmtest.Run(t, "upgrade-charm", s)
	require.NotContains(t, out.Host.Keepalived.Loaded, "vrrp_instance charm_keepalived_1")
	require.Contains(t, out.Juju.Status.Message, "virtual IPs spread over the units once all units are upgraded, 1 of 3 are")
}

// TestAUnitJoinsRoutersWhoseNumbersHaveAHole: a virtual IP keeps its virtual router when
// another one goes.
func TestAUnitJoinsRoutersWhoseNumbersHaveAHole(t *testing.T) {
	t.Parallel()
	c := spreadOut(t, 3, threeVIPs)
	c.Set(map[string]any{"virtual_ip": "10.10.74.250 10.10.74.252"})
	rest(t, c)
	require.Equal(t, []int{0, 2}, holders(t, c, "10.10.74.250", "10.10.74.252"), "%s", c)
	c.Set(map[string]any{"router_id": 30})
	for range 2 {
		n := c.Add()
		rest(t, c)
		require.Contains(t, n.Juju.Status.String(), "active: VIP ready: ", "%s", c)
		require.Contains(t, n.Juju.Own("cluster:1")["vrrp-2"], "vrid=32 ", "%s", c)
		c.PowerOff(c.Nodes[2])
		c.PowerOff(c.Nodes[1])
		rest(t, c)
		require.NotContains(t, holders(t, c, "10.10.74.250", "10.10.74.252"), -1, "%s", c)
	}
}

// TestAVirtualIPIsAddedWhileVirtualRouterIDsMove: that of its router is another's by then at
// some units, and will be at the others.
func TestAVirtualIPIsAddedWhileVirtualRouterIDsMove(t *testing.T) {
	t.Parallel()
	four := "10.10.74.252 10.10.74.251 10.10.74.250 10.10.74.253"
	for last := 0; last < 4; last += needs.Of(1, 3) {
		c := spreadOut(t, 3, threeVIPs)
		hook := func(n int) {
			for c.Nodes[n].Busy() && !c.Step(c.Nodes[n]) {
			}
		}
		c.Set(map[string]any{"router_id": 24})
		for _, n := range []int{1, 0, 2, 0, 1, 2, 2}[:4+last] {
			hook(n)
		}
		c.Set(map[string]any{"virtual_ip": four})
		rest(t, c)
		require.NotContains(t, holders(t, c, strings.Fields(four)...), -1, "%s", c)
		for _, n := range c.Nodes {
			require.NotContains(t, n.Juju.Status.String(), "moving", "%s", c)
			require.Contains(t, n.Juju.Own("cluster:1")["vrrp-3"], "vrid=27 ", "%s", c)
		}
	}
}

// TestOfTwoThatHoldTheOneLetsGoThatCannotFollowYet: the virtual router ID is another router's
// there, which waits for a unit that has come back.
func TestOfTwoThatHoldTheOneLetsGoThatCannotFollowYet(t *testing.T) {
	t.Parallel()
	four := "10.10.74.252 10.10.74.251 10.10.74.250 10.10.74.253"
	for steps := 0; steps < 12; steps += needs.Of(1, 6) {
		c := spreadOut(t, 2, threeVIPs)
		c.PowerOff(c.Nodes[0])
		c.PowerOff(c.Nodes[1])
		c.Set(map[string]any{"router_id": 24})
		n := c.Add()
		for hooks := 0; hooks < 2; {
			if c.Step(n) {
				hooks++
			}
		}
		for step := 0; step < steps && n.Busy(); step++ {
			c.Step(n)
		}
		c.Pass(2)
		c.Set(map[string]any{"virtual_ip": four})
		for _, n := range c.Nodes[:2] {
			c.Pass(bootTime)
			c.PowerOn(n)
		}
		rest(t, c)
		settledSpread(t, c, fmt.Sprint(steps, " steps"))
		require.NotContains(t, holders(t, c, strings.Fields(four)...), -1, "%s", c)
	}
}

// TestUnitsThatComeBackMakeRoomForEachOther: one that began alone runs other virtual router
// IDs than those that come back, and what they stand aside in, or cannot hold, has some of them.
func TestUnitsThatComeBackMakeRoomForEachOther(t *testing.T) {
	t.Parallel()
	hook := func(c *charmtest.Cluster, n int) {
		for c.Nodes[n].Busy() && !c.Step(c.Nodes[n]) {
		}
	}
	for claim, happens := range map[string]func(c *charmtest.Cluster){
		"a new unit begins while the others are off": func(c *charmtest.Cluster) {
			c.PowerOff(c.Nodes[0])
			c.PowerOff(c.Nodes[1])
			c.Set(map[string]any{"router_id": 24})
			c.Add()
			hook(c, 2)
		},
		"two new units begin, one of them after another change": func(c *charmtest.Cluster) {
			c.Set(map[string]any{"router_id": 24})
			c.PowerOff(c.Nodes[1])
			c.Add()
			c.PowerOff(c.Nodes[0])
			c.Add()
			hook(c, 2)
			c.Set(map[string]any{"router_id": 22})
			c.Pass(bootTime)
			c.PowerOn(c.Nodes[1])
		},
	} {
		c := spreadOut(t, 2, threeVIPs)
		happens(c)
		for _, n := range c.Nodes[:2] {
			if !n.Up {
				c.Pass(bootTime)
				c.PowerOn(n)
			}
		}
		rest(t, c)
		settledSpread(t, c, claim)
		require.NotContains(t, holders(t, c, strings.Fields(threeVIPs)...), -1, "%s\n%s", claim, c)
	}
}

// TestADeadUnitThatToldOfOneRouterTakesNothingFromASpreadHolder: nobody loses an address,
// when they change and whenever the health checker starts anew after.
func TestADeadUnitThatToldOfOneRouterTakesNothingFromASpreadHolder(t *testing.T) {
	second := netip.MustParseAddr("10.10.74.251")
	for _, d := range []struct{ units, dead int }{{2, 0}, {2, 1}, {3, 0}, {3, 1}, {3, 2}} {
		t.Run(fmt.Sprintf("%d units, %d is dead", d.units, d.dead), func(t *testing.T) {
			c := deployed(t, d.units, map[string]any{"virtual_ip": "10.10.74.250 10.10.74.251", "spread": false})
			c.PowerOff(c.Nodes[d.dead])
			alive := slices.Delete(slices.Clone(c.Nodes), d.dead, d.dead+1)
			c.Pass(5)
			pass := func() {
				for range 8 {
					for _, n := range alive {
						n.Await("update-status")
						work(c, n)
					}
					c.Pass(3)
				}
			}
			pass()
			gaps := c.GapsAt[second]
			said := func(when string) {
				if c.GapsAt[second] != gaps {
					t.Errorf("%s: %d gaps of 10.10.74.251", when, c.GapsAt[second]-gaps)
				}
				gaps = c.GapsAt[second]
				for _, n := range alive {
					if aside := n.Juju.Own("cluster:1")["aside-1"]; aside != "" {
						t.Errorf("%s: stands aside in router 1, %s: %s", when, aside, n.Juju.Status)
					}
				}
			}
			c.Set(map[string]any{"spread": true})
			pass()
			said("changed to spread")
			c.Set(map[string]any{"healthcheck_interval": 7})
			pass()
			said("another option changed")
		})
	}
}

func TestAUnitJoinsWhileTheFirstRouterHasNoVirtualIP(t *testing.T) {
	const p = "version=3 mode=multicast vrid=%d interval=200ms anchor=169.254.%d.112"
	s := option(option(option(charmtest.NewState(2), "virtual_ip", "10.10.74.251"), "spread", true), "router_id", 19)
	s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(0)] = juju.Databag{"principal": "haproxy/0", "rank": "0", "protocol": "1", "address": "10.10.74.11", "knows": "0:1,1:1",
		"vrrp": fmt.Sprintf(p, 19, 19) + " spread=true", "vrrp-1": fmt.Sprintf(p, 20, 20), "vips-1": "10.10.74.251"}
	s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)] = juju.Databag{"principal": "haproxy/1", "rank": "1", "protocol": "1", "address": "10.10.74.12", "knows": "0:1,1:1",
		"vrrp": fmt.Sprintf(p, 20, 20) + " spread=true", "aside": "keepalived/0 1 5 " + fmt.Sprintf(p, 19, 19) + " spread=true",
		"vrrp-1": fmt.Sprintf(p, 21, 21), "vips-1": "10.10.74.251"}
	out := charmtest.RunHook(t, charmtest.Hook{Name: "config-changed"}, s)
	require.NoError(t, out.Err)
}

func TestAVirtualIPThatHasNoRouterYetIsTold(t *testing.T) {
	c := spreadOut(t, 2, "10.10.74.250 10.10.74.251")
	require.Equal(t, []int{0, 1}, holders(t, c, "10.10.74.250", "10.10.74.251"))
	c.Set(map[string]any{"router_id": 42})
	work(c, c.Nodes[0]) // announces
	c.Nodes[0].Agent = false
	work(c, c.Nodes[1])
	c.Set(map[string]any{"virtual_ip": "10.10.74.250 10.10.74.251 10.10.74.252"})
	work(c, c.Nodes[1])
	require.Equal(t, []int{-1}, holders(t, c, "10.10.74.252"), "%s", c)
	require.Contains(t, c.Nodes[1].Juju.Status.Message, "10.10.74.252")
}

func TestPlacesThatAPeerClaimsBlockNobody(t *testing.T) {
	s := option(serving(t), "spread", true)
	s = run(t, s, "config-changed", "update-status")
	bag := juju.Databag{"principal": "haproxy/1", "rank": "1", "protocol": "1", "address": "10.10.74.12", "knows": "0:1,1:1",
		"vrrp": "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112 spread=true"}
	for k := 1; k < 240; k++ {
		bag[fmt.Sprint("vrrp-", k)] = fmt.Sprintf("version=3 mode=multicast vrid=%d interval=200ms anchor=169.254.%d.112", 23+k%200, 23+k%200)
		bag[fmt.Sprint("vips-", k)] = fmt.Sprintf("10.9.9.%d", k)
	}
	s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)] = bag
	s = run(t, option(s, "virtual_ip", vip+" 10.10.74.251"), "config-changed", "update-status")
	require.NotContains(t, s.Juju.Status.String(), "blocked")
}
