package charm_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/needs"
)

// asking is a cluster whose units' principals ask for what was recorded.
func asking(t *testing.T, units int, name string) *charmtest.Cluster {
	t.Helper()
	options := clusterOptions()
	options["virtual_ip"] = ""
	c := charmtest.NewCluster(t, options)
	for range units {
		n := c.Add()
		delete(n.Juju.Relations, endpoint.JujuInfo)
		bothFamilies(n.State)
		c.Ask(n, written(t, name))
	}
	rest(t, c)
	return c
}

// everyOrder runs the hooks of units in several orders, one step after the other, and calls
// look after each step.
func everyOrder(t *testing.T, c *charmtest.Cluster, look func(c *charmtest.Cluster, order string)) {
	t.Helper()
	n := len(c.Nodes)
	orders := map[string]func(step int) int{
		"in turns": func(step int) int { return step % n }, "up": func(int) int { return 0 }, "down": func(int) int { return n - 1 },
		"by threes": func(step int) int { return step / 3 % n },
	}
	for order, pick := range orders {
		k := c.Clone(t)
		for step := 0; slices.ContainsFunc(k.Nodes, (*charmtest.Node).Busy); step++ {
			require.Less(t, step, 3000)
			for m := range n {
				if one := k.Nodes[(pick(step)+m)%n]; one.Busy() {
					k.Step(one)
					break
				}
			}
			look(k, order)
		}
		rest(t, k)
		look(k, order)
	}
}

// oneHolder requires that nobody holds an address beside another.
func oneHolder(t *testing.T, c *charmtest.Cluster, claim string) {
	t.Helper()
	for _, a := range []string{"10.10.74.250", "10.10.74.251", "10.10.74.252", "2001:db8::250"} {
		require.LessOrEqual(t, len(c.Holders(netip.MustParseAddr(a))), 1, "%s: %s\n%s", claim, a, c)
	}
}

// TestUnitsAreAskedInHooksOfTheirOwn: their databags differ for a while. Nobody holds beside
// another, what was not asked to move answers all the time, and the old address is gone when
// each has run its hook.
func TestUnitsAreAskedInHooksOfTheirOwn(t *testing.T) {
	for claim, c := range map[string]struct {
		from, to            string
		stays, ends, begins []string
	}{
		"grouped":              {"haproxy-01-first", "haproxy-02-second", []string{"10.10.74.250"}, nil, nil},
		"changed":              {"haproxy-02-second", "haproxy-04-vip-changed", nil, []string{"10.10.74.250"}, []string{"10.10.74.251"}},
		"one more":             {"haproxy-02-second", "haproxy-08-vip-third", []string{"10.10.74.250"}, nil, []string{"10.10.74.252"}},
		"one less":             {"klb-13-two", "klb-03-vip-next", []string{"10.10.74.250"}, []string{"10.10.74.251"}, nil},
		"another family":       {"klb-11-fresh-second", "klb-20-dual-stack", []string{"10.10.74.250"}, nil, []string{"2001:db8::250"}},
		"all removed":          {"klb-13-two", "klb-17-all-removed", nil, []string{"10.10.74.250", "10.10.74.251"}, nil},
		"a check comes":        {"klb-10-fresh-first", "klb-11-fresh-second", []string{"10.10.74.250"}, nil, nil},
		"sent anew":            {"klb-11-fresh-second", "klb-40-re-related", []string{"10.10.74.250"}, nil, nil},
		"what cannot be":       {"klb-11-fresh-second", "klb-30-dns", []string{"10.10.74.250"}, nil, nil},
		"nothing for a moment": {"klb-11-fresh-second", "haproxy-11-re-related", []string{"10.10.74.250"}, nil, nil},
	} {
		for _, k := range []struct {
			units  int
			spread bool
		}{{2, false}, {3, false}, {2, true}, {3, true}} {
			if (k.units == 3 || k.spread) && claim != "changed" && !needs.Whole() {
				continue
			}
			start := asking(t, k.units, c.from)
			start.Set(map[string]any{"spread": k.spread})
			rest(t, start)
			for _, n := range start.Nodes {
				start.Ask(n, written(t, c.to))
			}
			everyOrder(t, start, func(k *charmtest.Cluster, order string) {
				oneHolder(t, k, claim+" "+order)
				for _, a := range c.stays {
					require.Len(t, k.Holders(netip.MustParseAddr(a)), 1, "%s %s\n%s", claim, order, k)
					require.Zero(t, k.GapsAt[netip.MustParseAddr(a)], "%s %s", claim, order)
				}
				if !slices.ContainsFunc(k.Nodes, (*charmtest.Node).Busy) {
					for _, a := range c.ends {
						require.Empty(t, k.Holders(netip.MustParseAddr(a)), "%s %s\n%s", claim, order, k)
					}
					for _, a := range c.begins {
						require.Len(t, k.Holders(netip.MustParseAddr(a)), 1, "%s %s\n%s", claim, order, k)
					}
				}
			})
		}
	}
}

// TestAnInterfaceThatIsNamedForOneVirtualIPMovesNoOther, and nobody holds beside another, while
// units are asked in hooks of their own.
func TestAnInterfaceThatIsNamedForOneVirtualIPMovesNoOther(t *testing.T) {
	for _, spread := range []bool{false, true} {
		c := asking(t, 2, "haproxy-00-no-vip-option")
		c.Options["spread"] = spread
		for k, n := range c.Nodes {
			for m := 1; m < 3; m++ {
				n.Host.Interfaces = append(n.Host.Interfaces, interfaceWith(fmt.Sprint("eth", m), fmt.Sprintf("10.10.%d.%d/24", 75+m, 11+k)))
			}
			c.Ask(n, nics("", "eth1"))
		}
		rest(t, c)
		for claim, to := range map[string]juju.Databag{"another": nics("", "eth2"), "none": nics("", ""), "each its own": nics("eth0", "eth2"), "one that is not there": nics("", "eth9")} {
			k := c.Clone(t)
			for _, n := range k.Nodes {
				k.Ask(n, to)
			}
			everyOrder(t, k, func(k *charmtest.Cluster, order string) {
				for _, a := range []string{vip, "198.51.100.9"} {
					require.Len(t, k.Holders(netip.MustParseAddr(a)), 1, "%s %s\n%s", claim, order, k)
				}
				require.Zero(t, k.GapsAt[netip.MustParseAddr(vip)], "%s %s", claim, order)
			})
		}
	}
}

// TestAUnitServesWithoutTheOthersRequest: the agent of one is away, or its principal silent.
func TestAUnitServesWithoutTheOthersRequest(t *testing.T) {
	vip := netip.MustParseAddr(vip)
	for _, away := range []bool{true, false} {
		c := asking(t, 2, "haproxy-00-no-vip-option")
		require.Empty(t, c.Serving())
		c.Ask(c.Nodes[1], written(t, "haproxy-01-first"))
		if away {
			c.Ask(c.Nodes[0], written(t, "haproxy-01-first"))
			c.Nodes[0].Agent = false
		}
		rest(t, c)
		require.Equal(t, []*charmtest.Node{c.Nodes[1]}, c.Holders(vip), "%s", c)
		require.Equal(t, "yes", c.Nodes[1].Juju.Own(charmtest.Asks)["clustered"])
		require.Empty(t, c.Nodes[0].Juju.Own(charmtest.Asks)["clustered"])
		c.Nodes[0].Agent = true
		c.Ask(c.Nodes[0], written(t, "haproxy-01-first"))
		rest(t, c)
		require.Len(t, c.Holders(vip), 1)
		require.Equal(t, "yes", c.Nodes[0].Juju.Own(charmtest.Asks)["clustered"])
		require.Zero(t, c.Gaps)
	}
}

// TestMovingBetweenTheOptionAndTheRequest: units with virtual_ip over juju-info get a request
// for the same, leave the option to it, and come back. Nobody notices.
func TestMovingBetweenTheOptionAndTheRequest(t *testing.T) {
	vip := netip.MustParseAddr(vip)
	c := newCluster(t, 2)
	look := func(k *charmtest.Cluster, order string) {
		oneHolder(t, k, order)
		require.Len(t, k.Holders(vip), 1, "%s\n%s", order, k)
		require.Zero(t, k.GapsAt[vip], "%s\n%s", order, k)
	}
	all := func(do func(*charmtest.Node)) {
		for _, n := range c.Nodes {
			do(n)
		}
		everyOrder(t, c, look)
		rest(t, c)
		look(c, "at rest")
	}
	holder := c.Holders(vip)[0]
	for range 2 {
		all(func(n *charmtest.Node) { c.Ask(n, written(t, "haproxy-00-no-vip-option")) })
		all(func(n *charmtest.Node) { c.Ask(n, written(t, "haproxy-01-first")) })
		c.Set(map[string]any{"virtual_ip": ""})
		all(func(*charmtest.Node) {})
		all(func(n *charmtest.Node) { c.Detach(n, endpoint.JujuInfo) })
		require.Equal(t, "active: VIP ready: holds 10.10.74.250", holder.Juju.Status.String())
		all(func(n *charmtest.Node) { c.Attach(n) })
		c.Set(map[string]any{"virtual_ip": vip.String()})
		all(func(*charmtest.Node) {})
		all(func(n *charmtest.Node) { c.Detach(n, endpoint.HA) })
		require.Equal(t, []*charmtest.Node{holder}, c.Holders(vip))
	}
}

// TestAPrincipalIsRemoved: its unit hands over as it goes.
func TestAPrincipalIsRemoved(t *testing.T) {
	vip := netip.MustParseAddr(vip)
	c := asking(t, 2, "haproxy-02-second")
	holder := c.Holders(vip)[0]
	c.Detach(holder, endpoint.HA)
	holder.Await("stop")
	for holder.Busy() {
		c.Step(holder)
		oneHolder(t, c, "removed")
		require.Len(t, c.Holders(vip), 1, "%s", c)
	}
	require.NotEqual(t, holder, c.Holders(vip)[0])
}

// TestAVirtualIPThatNobodyHoldsIsSaid: principal units that ask for different ones share a virtual
// router all the same.
func TestAVirtualIPThatNobodyHoldsIsSaid(t *testing.T) {
	const first, second = "haproxy-02-second", "haproxy-04-vip-changed"
	clients := func(n *charmtest.Node) string {
		return n.Juju.Own("website:3")["hostname"] + " " + n.Juju.Own("website:3")["extended_data"] + n.Juju.Own("loadbalancer:4")["public-address"]
	}
	relate := func(n *charmtest.Node) {
		n.Juju.Relate(endpoint.Website, "website:3", juju.Unit{Application: "worker"})
		n.Juju.Relate(endpoint.LoadBalancer, "loadbalancer:4", juju.Unit{Application: "master"})
	}
	t.Run("as one unit asks for another", func(t *testing.T) {
		c := asking(t, 2, first)
		for _, n := range c.Nodes {
			relate(n)
		}
		rest(t, c)
		holder := c.Serving()[0]
		standby := c.Nodes[1-holder.Juju.Unit.Number]
		c.Ask(standby, written(t, second))
		rest(t, c)
		require.Equal(t, "waiting: nobody holds 10.10.74.251: waits for "+holder.Juju.Principal.String()+" to ask for that too, "+
			holder.Juju.Unit.String()+" holds 10.10.74.250", standby.Juju.Status.String())
		require.Equal(t, "10.10.74.250 10.10.74.250", clients(standby), "nobody has the other one yet")
		leads := consumes(t, *standby.State, "haproxy", "kcp-internal")
		leads.Juju.Leads = true
		leads = run(t, leads, "leader-elected")
		require.Contains(t, leads.Juju.Consumers[consumer].Told["response_api-server-internal"], `"address":"10.10.74.250"`)
		c.Ask(standby, written(t, "haproxy-08-vip-third"))
		rest(t, c)
		require.Equal(t, "10.10.74.250 10.10.74.250", clients(standby), "nor both")
		c.Ask(standby, written(t, second))
		rest(t, c)
		c.Ask(holder, written(t, second))
		rest(t, c)
		require.Contains(t, standby.Juju.Status.String(), "active: VIP ready: standby for 10.10.74.251, holder ")
		require.Equal(t, []string{"10.10.74.251 10.10.74.251", "10.10.74.251 10.10.74.251"}, []string{clients(holder), clients(standby)})
	})
	t.Run("as another application asks for another", func(t *testing.T) {
		options := clusterOptions()
		options["virtual_ip"] = ""
		c := charmtest.NewCluster(t, options)
		for k, name := range []string{first, first, second, second} {
			n := c.Add()
			delete(n.Juju.Relations, endpoint.JujuInfo)
			if name == second {
				n.Juju.Principal = juju.Unit{Application: "lb", Number: k - 2}
			}
			c.Ask(n, written(t, name))
			relate(n)
		}
		rest(t, c)
		holder := c.Serving()[0]
		require.Equal(t, "10.10.74.250 10.10.74.250", clients(holder))
		said := 0
		for _, n := range c.Nodes {
			if n.Juju.Principal.Application != holder.Juju.Principal.Application {
				require.Contains(t, n.Juju.Status.String(), "blocked: nobody holds ")
				require.Contains(t, n.Juju.Status.String(), ": "+holder.Juju.Unit.String()+" holds ")
				require.Equal(t, " ", clients(n), "nobody has it")
				said++
			}
		}
		require.Equal(t, 2, said, "%s", c)
	})
}

// TestTwoPrincipalApplicationsShareVirtualIPsOfTheOption: each virtual IP has one holder, a unit of
// either, and nobody says that it has none.
func TestTwoPrincipalApplicationsShareVirtualIPsOfTheOption(t *testing.T) {
	for _, spread := range []bool{false, true} {
		options := clusterOptions()
		options["virtual_ip"], options["spread"] = vip+" 10.10.74.251 10.10.74.252", spread
		c := charmtest.NewCluster(t, options)
		for k := range 4 {
			if n := c.Add(); k >= 2 {
				n.Juju.Principal = juju.Unit{Application: "lb", Number: k - 2}
				delete(n.Juju.Relations, endpoint.JujuInfo)
				n.Juju.Relate(endpoint.JujuInfo, "juju-info:5", n.Juju.Principal)
			}
		}
		rest(t, c)
		for _, n := range c.Nodes {
			require.Contains(t, n.Juju.Status.String(), "active: VIP ready", "spread %v\n%s", spread, c)
		}
		c.Nodes[0].Agent, c.Nodes[1].Agent = false, false
		c.Set(map[string]any{"virtual_ip": vip + " 10.10.74.251 10.10.74.253"})
		rest(t, c)
		for _, n := range c.Nodes {
			require.NotContains(t, n.Juju.Status.String(), "to ask for", "spread %v\n%s", spread, c)
			require.NotContains(t, n.Juju.Status.String(), "keepalived of its own", "spread %v\n%s", spread, c)
		}
	}
}
