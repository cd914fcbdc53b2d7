package charm_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
)

// refused is a unit that serves and whose options cannot be used any more.
func refused(t *testing.T) charmtest.State {
	t.Helper()
	s := run(t, option(serving(t), "router_id", 300), "config-changed")
	require.Equal(t, `blocked: option router_id is "300", must be a whole number in 1-255; meanwhile VIP ready: holds 10.10.74.250`, s.Juju.Status.String())
	return s
}

func TestAUnitWithOptionsThatCannotBeUsedGoesOnByThoseOfBefore(t *testing.T) {
	for claim, c := range map[string]struct {
		hook   string
		change func(*charmtest.State)
		is     func(*testing.T, charmtest.State)
	}{
		"keepalived that stopped is started": {"update-status", func(s *charmtest.State) { s.Host.Keepalived.Running = false },
			func(t *testing.T, s charmtest.State) { require.True(t, s.Host.Keepalived.Running) }},
		"a configuration that was deleted is written": {"update-status", func(s *charmtest.State) { delete(s.Host.Files, s.Layout().Fragment()) },
			func(t *testing.T, s charmtest.State) { require.Contains(t, s.Host.Files, s.Layout().Fragment()) }},
		"a client that joins is told": {"website-relation-joined", func(s *charmtest.State) {
			s.Juju.Relate(endpoint.Website, "website:9", juju.Unit{Application: "other"})
		}, func(t *testing.T, s charmtest.State) { require.Equal(t, vip, s.Juju.Own("website:9")["hostname"]) }},
		"a peer that joins is listed": {"cluster-relation-joined", func(s *charmtest.State) { *s = withPeer(*s) },
			func(t *testing.T, s charmtest.State) {
				require.Contains(t, s.Host.Files[s.Layout().CheckerConfig()], `"peers": true`)
			}},
		"it can be paused": {"actions/pause", func(s *charmtest.State) { s.Juju.Parameters = map[string]any{"force": true} },
			func(t *testing.T, s charmtest.State) {
				require.Contains(t, s.Host.Files, s.Layout().Paused())
				require.Empty(t, s.Juju.Failure)
			}},
	} {
		t.Run(claim, func(t *testing.T) {
			s := run(t, with(refused(t), c.change), c.hook)
			c.is(t, s)
			require.Empty(t, s.Stale())
			require.Contains(t, s.Juju.Status.String(), `blocked: option router_id is "300"`)
			require.Empty(t, charmtest.Run(t, "update-status", s).Steps)
		})
	}
}

// TestAUnitThatHasNoOptionsToGoByKnowsOfOthers: who begins waits for all that tell whom they know.
func TestAUnitThatHasNoOptionsToGoByKnowsOfOthers(t *testing.T) {
	s := run(t, option(serving(t), "virtual_ip", ""), "config-changed")
	s = run(t, option(option(s, "virtual_ip", "10.10.74.250"), "router_id", 300), "config-changed")
	require.Equal(t, `blocked: option router_id is "300", must be a whole number in 1-255`, s.Juju.Status.String())
	s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)] = juju.Databag{"principal": "haproxy/1", "protocol": "1", "knows": "0:1,1:7",
		"vrrp": "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112", "aside": "joins"}
	require.Contains(t, run(t, s, "cluster-relation-changed").Juju.Own("cluster:1")["knows"], "1:7")
}

func TestOptionsOfBeforeCountOnlyWhileOthersCannotBeUsed(t *testing.T) {
	s := run(t, option(option(refused(t), "router_id", 24), "vip_hostname", "api.example.com"), "config-changed")
	require.Equal(t, "active: VIP ready: holds 10.10.74.250", s.Juju.Status.String())
	require.Contains(t, s.Host.Keepalived.Loaded, "virtual_router_id 24")
	require.Equal(t, "api.example.com", s.Juju.Own("website:3")["hostname"])
	s = run(t, option(s, "port", 0), "config-changed")
	require.Contains(t, s.Host.Keepalived.Loaded, "virtual_router_id 24", "the last good ones, not the first")
	s = run(t, option(option(s, "port", 443), "virtual_ip", ""), "config-changed")
	require.NotContains(t, s.Host.Files, s.Layout().Record())
	require.NotContains(t, run(t, option(s, "port", 0), "config-changed").Juju.Status.Message, "meanwhile", "it serves nothing")
}

func TestANoteOfTheOptionsThatSomebodySpoiltIsNoFault(t *testing.T) {
	for _, text := range []string{"", "{", `{"virtual_ip": 7}`, "[]"} {
		s := with(refused(t), func(s *charmtest.State) { s.Host.Files[s.Layout().Record()] = text })
		out := charmtest.Run(t, "update-status", s)
		require.Equal(t, `blocked: option router_id is "300", must be a whole number in 1-255`, out.Juju.Status.String(), text)
		require.Empty(t, out.Steps)
		back := run(t, option(out.State, "router_id", 23), "config-changed")
		require.Equal(t, "active: VIP ready: holds 10.10.74.250", back.Juju.Status.String())
		require.NotEqual(t, text, back.Host.Files[s.Layout().Record()])
	}
}

// TestJujusOwnAddressOnWebsiteIsMadeGood: at the end of config-changed Juju puts it in
// the place of a virtual IP that was published before, whatever the hook publishes.
func TestJujusOwnAddressOnWebsiteIsMadeGood(t *testing.T) {
	for _, change := range []charmtest.State{serving(t), option(serving(t), "port", 0)} {
		s := run(t, change, "config-changed")
		require.Equal(t, "10.10.74.11", s.Juju.Own("website:3")["private-address"])
		require.True(t, s.Host.Reminded, "a refresh follows")
		s = run(t, s, charmtest.Refresh)
		require.Equal(t, vip, s.Juju.Own("website:3")["private-address"])
	}
	for claim, c := range map[string]struct {
		hook   string
		change func(*charmtest.State)
	}{
		"another hook":          {"update-status", func(*charmtest.State) {}},
		"without notifications": {"config-changed", func(s *charmtest.State) { *s = run(t, option(*s, "status_notifications", false), "update-status") }},
		"without a client":      {"config-changed", func(s *charmtest.State) { delete(s.Juju.Relations, endpoint.Website) }},
	} {
		s := with(serving(t), c.change)
		s.Host.Reminded = false
		require.False(t, run(t, s, c.hook).Host.Reminded, claim)
	}
}

// TestATypoTakesNothingAwayWhileAChangeWaits: what the unit took last goes on, what it
// serves and what it announced.
func TestATypoTakesNothingAwayWhileAChangeWaits(t *testing.T) {
	const second = "10.10.74.251"
	s := holding(t, "true") // beside a peer that serves and does not stand aside
	moving := run(t, option(option(s, "virtual_ip", vip+" "+second), "router_id", 24), "config-changed")
	require.Contains(t, moving.Juju.Status.Message, "moving to virtual router ID 24")
	typo := run(t, option(moving, "port", 0), "config-changed")
	require.Contains(t, typo.Juju.Status.String(), `blocked: option port is "0"`)
	require.Contains(t, typo.Host.Keepalived.Loaded, second+"/32", "it is served already")
	require.Equal(t, moving.Juju.Own("cluster:1")["next"], typo.Juju.Own("cluster:1")["next"])
	require.NotEmpty(t, typo.Juju.Own("cluster:1")["next"])
	require.Empty(t, charmtest.Run(t, "update-status", typo).Steps)
}

// TestOptionsThatAChangeTurnsOutNotToDoAreGoneBackFrom to those before: nobody looks
// whether they do until all units are ready.
func TestOptionsThatAChangeTurnsOutNotToDoAreGoneBackFrom(t *testing.T) {
	s := holding(t, "true")
	moving := run(t, option(s, "router_id", 24), "config-changed")
	ready := with(moving, func(s *charmtest.State) {
		s.Host.Refuse = "virtual_router_id 24"
		s.Juju.Relations[endpoint.Cluster]["cluster:1"][juju.Unit{Application: "keepalived", Number: 1}]["aside"] = moving.Juju.Own("cluster:1")["next"]
	})
	back := run(t, ready, "cluster-relation-changed")
	require.Contains(t, back.Juju.Status.String(), "blocked: keepalived refuses the configuration")
	require.Empty(t, back.Juju.Own("cluster:1")["next"], "what was announced is taken back")
	require.Contains(t, back.Host.Keepalived.Loaded, "virtual_router_id 23")
}

// TestOptionsOfBeforeAreLookedForOnTheNetworkToo where something calls for a look.
func TestOptionsOfBeforeAreLookedForOnTheNetworkToo(t *testing.T) {
	s := with(refused(t), func(s *charmtest.State) { s.Host.Files[s.Layout().Conflicts()] = "something\n" })
	taken := run(t, network(s, has(stranger, vip)), "update-status")
	require.Equal(t, `blocked: option router_id is "300", must be a whole number in 1-255; meanwhile VIP ready: holds 10.10.74.250; `+
		`10.10.74.250 is answered by 10.10.74.99 (52:54:00:74:00:63) too: take it from that host`, taken.Juju.Status.String())
	require.NotContains(t, run(t, network(taken), "update-status").Host.Files, s.Layout().Conflicts())
}

// hooksUntilQuiet lets units run the hooks that they cause each other, and counts them.
func hooksUntilQuiet(c *charmtest.Cluster, most int) int {
	hooks := 0
	for busy := true; busy && hooks < most; {
		busy = false
		for _, n := range c.Nodes {
			if n.Busy() {
				busy = true
				for !c.Step(n) {
				}
				hooks++
			}
		}
	}
	return hooks
}

// TestOptionsThatCannotBeChangedToAreNotAnnouncedForEver: each hook that reads of it would
// cause others.
func TestOptionsThatCannotBeChangedToAreNotAnnouncedForEver(t *testing.T) {
	eth1 := func(i facts.Interface) func(*charmtest.Host) {
		i.Name, i.Up = "eth1", true
		return func(h *charmtest.Host) { h.Interfaces = append(h.Interfaces, i) }
	}
	for claim, c := range map[string]struct {
		vips   string
		spoil  func(*charmtest.Host)
		change map[string]any
	}{
		"the wanted interface takes no IPv6": {vip + " 2001:db8::250", eth1(facts.Interface{NoIPv6: true, Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.75.11/24")}}),
			map[string]any{"network_interface": "eth1"}},
		"a virtual IP is no host's in the subnet of the wanted interface": {"10.10.74.248", eth1(facts.Interface{Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.74.249/29")}}),
			map[string]any{"network_interface": "eth1"}},
		"keepalived refuses them": {vip, func(h *charmtest.Host) { h.Refuse = "virtual_router_id 42" }, map[string]any{"router_id": 42}},
	} {
		t.Run(claim, func(t *testing.T) {
			k := charmtest.NewCluster(t, clusterOptions())
			k.Options["virtual_ip"], k.Options["network_interface"] = c.vips, ""
			for range 3 {
				n := k.Add()
				n.Host.Interfaces[1].Addresses = append(n.Host.Interfaces[1].Addresses, netip.MustParsePrefix(fmt.Sprintf("2001:db8::%d/64", len(k.Nodes)+10)))
			}
			rest(t, k)
			require.Len(t, k.Serving(), 1)
			for _, n := range k.Nodes {
				c.spoil(&n.Host)
			}
			k.Set(c.change)
			hooks := hooksUntilQuiet(k, 400)
			require.Less(t, hooks, 400, "hooks")
		})
	}
}
