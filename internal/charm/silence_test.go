package charm_test

import (
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
)

// TestADeadUnitIsFoundByAnyAddressThatItTold: it need not have told one for unicast, and
// that one may be on no segment of this machine.
func TestADeadUnitIsFoundByAnyAddressThatItTold(t *testing.T) {
	first, second := juju.Unit{Application: "keepalived"}, juju.Unit{Application: "keepalived", Number: 1}
	holder := run(t, withPeer(serving(t)), "cluster-relation-changed")
	other := charmtest.NewState(1)
	other.Juju.Options["virtual_ip"] = vip
	other.Juju.Relations[endpoint.Cluster]["cluster:1"][first] = maps.Clone(holder.Juju.Own("cluster:1"))
	other = run(t, other, "install", "config-changed", "cluster-relation-changed")
	for claim, c := range map[string]struct {
		change juju.Databag
		silent []string
		dead   bool
		cut    bool // this machine from the network
	}{
		"one address":                         {juju.Databag{}, []string{"10.10.74.12"}, true, false},
		"it was this machine that is cut off": {juju.Databag{}, []string{"10.10.74.12"}, false, true},
		"it answers":                          {juju.Databag{}, nil, false, false},
		"none for unicast":                    {juju.Databag{"address": ""}, []string{"10.10.74.12"}, true, false},
		"none for unicast, it answers":        {juju.Databag{"address": ""}, nil, false, false},
		"one elsewhere":                       {juju.Databag{"address": "192.0.2.12"}, []string{"10.10.74.12"}, true, false},
		"several, of which one answers":       {juju.Databag{"addresses": "10.10.74.12,10.10.74.112"}, []string{"10.10.74.12"}, false, false},
		"several, of which all are silent":    {juju.Databag{"addresses": "10.10.74.12,10.10.74.112"}, []string{"10.10.74.12", "10.10.74.112"}, true, false},
		"none on a segment of this machine":   {juju.Databag{"address": "192.0.2.12", "addresses": "192.0.2.12"}, []string{"192.0.2.12"}, false, false},
	} {
		t.Run(claim, func(t *testing.T) {
			s := with(holder, func(s *charmtest.State) {
				bag := maps.Clone(other.Juju.Own("cluster:1"))
				require.NotEmpty(t, bag["vrrp"])
				maps.Copy(bag, c.change)
				s.Juju.Relations[endpoint.Cluster]["cluster:1"][second] = bag
				for _, a := range c.silent {
					s.Host.Silent = append(s.Host.Silent, netip.MustParseAddr(a))
				}
				s.Host.Interfaces = slices.Clone(s.Host.Interfaces)
				s.Host.Interfaces[1].Up = !c.cut
			})
			s = run(t, option(run(t, s, "cluster-relation-changed"), "router_id", 42), "config-changed", "cluster-relation-changed", "update-status")
			require.Equal(t, !c.dead, s.Juju.Own("cluster:1")["next"] != "", s.Juju.Status.String())
		})
	}
}

// TestADeadMachineWhoseUnitServesNothingKeepsNobodyOut: it cannot acknowledge anybody.
func TestADeadMachineWhoseUnitServesNothingKeepsNobodyOut(t *testing.T) {
	c := deployed(t, 3, map[string]any{"virtual_ip": ""})
	c.PowerOff(c.Nodes[2])
	c.Set(map[string]any{"virtual_ip": vip})
	for range 4 {
		for _, n := range c.Nodes[:2] {
			n.Await("update-status")
			work(c, n)
		}
		c.Pass(5)
	}
	for _, n := range c.Nodes[:2] {
		require.Empty(t, n.Juju.Own("cluster:1")["aside"], c)
		require.NotContains(t, n.Host.Checkers["keepalived"].Config, `"aside"`, c)
		require.Contains(t, n.Juju.Status.String(), "active: VIP ready: ", c)
	}
	require.Len(t, c.Serving(), 1)
}
