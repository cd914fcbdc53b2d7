package charm_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/hacluster"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/needs"
)

// One application of the charm that is related to two principal applications.

// join adds a unit beside a principal unit, which asks for what was recorded; for nothing on
// juju-info.
func join(t *testing.T, c *charmtest.Cluster, principal juju.Unit, asks string) {
	t.Helper()
	n := c.Add()
	n.Juju.Principal = principal
	delete(n.Juju.Relations, endpoint.JujuInfo)
	bothFamilies(n.State)
	if asks == "" {
		c.Attach(n)
		return
	}
	c.Ask(n, written(t, asks))
}

// TestAPrincipalApplicationThatComesLaterDisturbsNobody: its units are kept out, whatever they are
// asked for, and say why; they begin when the others are gone.
func TestAPrincipalApplicationThatComesLaterDisturbsNobody(t *testing.T) {
	const said = "blocked: keepalived/0 serves haproxy with router_id 23: deploy a keepalived of its own for lb, with another router_id"
	for _, asks := range [][2]string{{"", ""}, {"haproxy-02-second", "haproxy-02-second"}, {"haproxy-02-second", "haproxy-04-vip-changed"}} {
		for _, spread := range []bool{false, true} {
			c := charmtest.NewCluster(t, clusterOptions())
			c.Options["spread"] = spread
			if asks[0] != "" {
				c.Options["virtual_ip"] = ""
			}
			join(t, c, juju.Unit{Application: "haproxy"}, asks[0])
			join(t, c, juju.Unit{Application: "haproxy", Number: 1}, asks[0])
			rest(t, c)
			first := c.Nodes[0].Juju.Status
			join(t, c, juju.Unit{Application: "lb"}, asks[1])
			join(t, c, juju.Unit{Application: "lb", Number: 1}, asks[1])
			rest(t, c)
			require.Equal(t, first, c.Nodes[0].Juju.Status)
			for _, n := range c.Nodes[2:] {
				require.Equal(t, said, n.Juju.Status.String(), "%v %v", asks, spread)
				require.False(t, n.Host.Keepalived.Running)
			}
			require.Zero(t, c.Gaps)
			c.Remove(c.Nodes[0])
			c.Remove(c.Nodes[1])
			c.Pass(5)
			rest(t, c)
			require.True(t, c.Nodes[2].Host.Keepalived.Running && c.Nodes[3].Host.Keepalived.Running, "%s", c)
		}
	}
}

// TestWithUnicastTwoPrincipalApplicationsAreServed, each on its own machines, as long as they have
// different virtual IPs.
func TestWithUnicastTwoPrincipalApplicationsAreServed(t *testing.T) {
	c := charmtest.NewCluster(t, clusterOptions())
	c.Options["virtual_ip"], c.Options["vrrp_mode"] = "", "unicast"
	for n, asks := range []string{"haproxy-02-second", "haproxy-02-second", "haproxy-04-vip-changed", "haproxy-02-second"} {
		if n == 2 {
			rest(t, c)
		}
		join(t, c, []juju.Unit{{Application: "haproxy"}, {Application: "haproxy", Number: 1}, {Application: "lb"}, {Application: "db"}}[n], asks)
	}
	rest(t, c)
	for _, n := range c.Nodes[:3] {
		require.Contains(t, n.Juju.Status.String(), "active: VIP ready: ", "%s", c)
		for application, address := range map[string]string{"haproxy": vip, "lb": "10.10.74.251"} {
			s := consumes(t, *n.State, application, "kcp-internal")
			s.Juju.Leads = true
			told := run(t, s, "leader-elected").Juju.Consumers[consumer].Told["response_api-server-internal"]
			require.Contains(t, told, `"address":"`+address+`"`, "of %s by %s", application, n.Juju.Unit)
		}
	}
	require.Equal(t, "blocked: keepalived/0 serves haproxy with 10.10.74.250: deploy a keepalived of its own for db, with another virtual IP", c.Nodes[3].Juju.Status.String())
	truth(t, c, "unicast")
}

// TestWhatTwoPrincipalApplicationsShareDoesNotChange: their units would not wait for each other. It
// does once one of the two is gone.
func TestWhatTwoPrincipalApplicationsShareDoesNotChange(t *testing.T) {
	c := charmtest.NewCluster(t, clusterOptions())
	for _, p := range []juju.Unit{{Application: "haproxy"}, {Application: "haproxy", Number: 1}, {Application: "lb"}, {Application: "lb", Number: 1}} {
		join(t, c, p, "")
	}
	rest(t, c)
	for name, to := range map[string]any{"router_id": 42, "advert_interval": 1, "vrrp_mode": "unicast", "spread": true} {
		k := c.Clone(t)
		runs := k.Nodes[0].Juju.Own("cluster:1")["vrrp"]
		k.Set(map[string]any{name: to})
		everyOrder(t, k, func(k *charmtest.Cluster, order string) { oneHolder(t, k, name+" "+order) })
		rest(t, k)
		for _, n := range k.Nodes {
			require.Contains(t, n.Juju.Status.String(), " with router_id 23 too, what they share cannot change: deploy a keepalived of its own for one of them; meanwhile VIP ready: ")
			require.Equal(t, runs, n.Juju.Own("cluster:1")["vrrp"])
		}
		require.Zero(t, k.Gaps, name)
		for _, n := range k.Nodes[2:] {
			k.Leave(n)
		}
		rest(t, k)
		k.Pass(4000)
		rest(t, k)
		for _, n := range k.Nodes[:2] {
			require.Equal(t, juju.Active, n.Juju.Status.Level, "%s\n%s", name, k)
			require.NotEqual(t, runs, n.Juju.Own("cluster:1")["vrrp"], name)
		}
	}
}

var (
	saysHolds   = regexp.MustCompile(`VIP ready: holds (?:\d+ of \d+ VIPs, )?([0-9a-f.:, ]+?)(?:;|$)`)
	saysStandby = regexp.MustCompile(`VIP ready: standby for ([0-9a-f.:, ]+?), holder (\S+?)(?:;|$)`)
	saysNobody  = regexp.MustCompile(`nobody holds ([0-9a-f.:, ]+?): (?:waits for \S+ to ask for that too, )?(\S+) holds ([0-9a-f.:, ]+?)(?: for \S+ with|;|$)`)
)

// truth requires that no address has two holders, that units say nothing of holders that is not
// so, and of clustered nothing but what keepalived runs with.
func truth(t *testing.T, c *charmtest.Cluster, claim string) {
	t.Helper()
	oneHolder(t, c, claim)
	holds := func(unit, addresses string) bool {
		return !slices.ContainsFunc(strings.Split(addresses, ", "), func(a string) bool {
			return !slices.ContainsFunc(c.Holders(netip.MustParseAddr(a)), func(n *charmtest.Node) bool { return n.Juju.Unit.String() == unit })
		})
	}
	for _, n := range c.Nodes {
		if !n.Up {
			continue
		}
		s := n.Juju.Status.String()
		if m := saysHolds.FindStringSubmatch(s); m != nil {
			require.True(t, holds(n.Juju.Unit.String(), m[1]), "%s: %s\n%s", claim, s, c)
		}
		if m := saysStandby.FindStringSubmatch(s); m != nil {
			require.True(t, holds(m[2], m[1]), "%s: %s\n%s", claim, s, c)
		}
		if m := saysNobody.FindStringSubmatch(s); m != nil {
			require.True(t, holds(m[2], m[3]), "%s: %s\n%s", claim, s, c)
			for _, a := range strings.Split(m[1], ", ") {
				require.Empty(t, c.Holders(netip.MustParseAddr(a)), "%s: %s\n%s", claim, s, c)
			}
		}
		for _, v := range hacluster.Read(n.Juju.Relations[endpoint.HA][charmtest.Asks][n.Juju.Principal]).VirtualIPs {
			if n.Juju.Own(charmtest.Asks)["clustered"] == "yes" {
				require.Contains(t, loaded(*n.State), v.Addr().String(), "%s\n%s", claim, c)
			}
			if n.Juju.Status.Level == juju.Active {
				require.Len(t, c.Holders(v.Addr()), 1, "%s: %s of %s\n%s", claim, s, v, c)
			}
		}
	}
}

// TestTwoPrincipalApplicationsThatAskAtTheSameTime: what each asks for may be the other's too.
func TestTwoPrincipalApplicationsThatAskAtTheSameTime(t *testing.T) {
	all := []string{"haproxy-02-second", "haproxy-04-vip-changed", "haproxy-08-vip-third", "klb-20-dual-stack", "klb-30-dns"}
	for _, spread := range []bool{true, false} {
		for k, first := range all {
			for _, second := range all {
				if part := spread && k < 3 && first != second; !part && !needs.Whole() {
					continue
				}
				claim := fmt.Sprint(spread, " ", first, " ", second)
				c := charmtest.NewCluster(t, clusterOptions())
				c.Options["virtual_ip"], c.Options["spread"] = "", spread
				for n, principal := range []juju.Unit{{Application: "haproxy"}, {Application: "lb"}, {Application: "lb", Number: 1}} {
					join(t, c, principal, []string{first, second, second}[n])
				}
				rest(t, c)
				truth(t, c, claim)
				for n := range c.Nodes {
					k := c.Clone(t)
					k.PowerOff(k.Nodes[n])
					k.Pass(10)
					rest(t, k)
					truth(t, k, claim+", one has died")
				}
			}
		}
	}
}
