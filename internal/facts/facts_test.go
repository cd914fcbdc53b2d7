package facts_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
)

const strange = "global_defs {\n  vrrp_strict\n}\nvrrp_instance X {\n  interface eth0\n  virtual_router_id 7\n  virtual_ipaddress {\n    10.0.0.7\n  }\n}\n"

func TestConfigurationsOfOthersAreUnderstoodOnce(t *testing.T) {
	c := facts.Read(facts.Texts{
		Main:       "vrrp_instance Y {\n  virtual_ipaddress {\n    10.0.0.9\n  }\n}\n",
		Neighbours: map[string]string{"lb-two": strange},
		Owned:      map[string]string{"/etc/keepalived/keepalived.conf": strange, "/etc/more.conf": "global_defs {\n  net_namespace x\n}\n"},
		Before:     "/etc/keepalived/keepalived.conf",
	})
	owners := []string{}
	for _, o := range c.Others {
		owners = append(owners, o.Owner)
	}
	require.Equal(t, []string{"application lb-two", "the keepalived.conf from before the charm", "/etc/more.conf"}, owners)
	require.EqualValues(t, 7, c.Others[0].Instances[0].VirtualRouterID)
	require.Empty(t, c.Others[0].Settings, "they are not the machine's owner's")
	require.Equal(t, "vrrp_strict", c.Others[1].Settings[0].Words[0])
	require.Equal(t, map[netip.Addr]bool{netip.MustParseAddr("10.0.0.7"): true, netip.MustParseAddr("10.0.0.9"): true}, c.Placed)
	require.False(t, c.Applied.Serves())
	require.Equal(t, 443, c.Used().Port, "the defaults")
}

func TestWhatCannotBeReadIsAValue(t *testing.T) {
	c := facts.Read(facts.Texts{Runs: applied.Texts{Record: `{"version": 9}`}, Checker: "{", Main: "}{"})
	var later *applied.Later
	require.ErrorAs(t, c.Unread, &later)
	require.Nil(t, c.Checker)
	record, err := applied.Record{Options: map[string]any{"port": 80}, Moving: map[string]any{"port": 0}}.Encode()
	require.NoError(t, err)
	c = facts.Read(facts.Texts{Runs: applied.Texts{Record: record}})
	require.Len(t, c.Took, 2)
	require.Error(t, c.Took[0].Fault, "those that it moves to come first")
	require.Equal(t, 80, c.Took[1].Options.Port)
}

func TestAUnitThatHasToldNothingIsKnownByJujusWord(t *testing.T) {
	m := facts.ReadMember(juju.Databag{"ingress-address": "10.10.74.12"})
	require.True(t, m.Silent)
	require.Equal(t, "10.10.74.12", m.Ingress.String())
	m = facts.ReadMember(juju.Databag{"principal": "haproxy/1", "rank": "1", "ingress-address": "x"})
	require.False(t, m.Silent || m.Ingress.IsValid())
	require.Equal(t, 1, m.Rank)
	require.Equal(t, juju.Unit{Application: "haproxy", Number: 1}, m.Principal)
}
