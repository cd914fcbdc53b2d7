package charm_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
)

// TestABadOptionBlocksAndChangesNothing tries bad values on a unit that serves
// and on one that has not yet.
func TestABadOptionBlocksAndChangesNothing(t *testing.T) {
	for _, c := range []struct {
		option string
		value  any
		must   string
	}{
		{"virtual_ip", "abc", "must be an IP address such as 10.10.74.250"},
		{"virtual_ip", "10.10.74.300/24", "must be an IP address such as"},
		{"virtual_ip", "10.10.74.250 dev lo", "must be an IP address such as"},
		{"virtual_ip", "10.10.74.250/99", "prefix length in 1-32"},
		{"virtual_ip", "10.10.74.250/0", "prefix length in 1-32"},
		{"virtual_ip", "10.10.74.250/", "prefix length in 1-32"},
		{"virtual_ip", "2001:db8::1/129", "prefix length in 1-128"},
		{"virtual_ip", "224.0.0.18/4", "multicast"},
		{"virtual_ip", "127.0.0.5/8", "loopback"},
		{"virtual_ip", "0.0.0.0/0", "prefix length in 1-32"},
		{"virtual_ip", "0.0.0.0", "unspecified"},
		{"virtual_ip", "255.255.255.255", "broadcast"},
		{"virtual_ip", "10.10.74.255/24", "broadcast"},
		{"virtual_ip", "10.10.74.0/24", "network address"},
		{"virtual_ip", "10.10.74.255", "a free host address, 10.10.74.255 is the broadcast address of 10.10.74.0/24"},
		{"virtual_ip", "10.10.74.0", "a free host address, 10.10.74.0 is the network address of 10.10.74.0/24"},
		{"virtual_ip", "fe80::1", "link-local"},
		{"virtual_ip", "10.10.74.250/24\n    }\n    notify_master \"/bin/sh\"\n", "must be an IP address such as"},
		{"virtual_ip", "10.10.74.11", "10.10.74.11 is the own address of keepalived/0"},
		{"virtual_ip", "10.10.74.11/24", "the own address of keepalived/0"},
		{"router_id", 0, "whole number in 1-255"},
		{"router_id", 256, "whole number in 1-255"},
		{"router_id", -1, "whole number in 1-255"},
		{"port", 0, "whole number in 1-65535"},
		{"port", -1, "whole number in 1-65535"},
		{"port", 65536, "whole number in 1-65535"},
		{"metrics_port", -1, "option metrics_port is \"-1\", must be a whole number in 0-65535"},
		{"metrics_port", 65536, "whole number in 0-65535"},
		{"network_interface", "nosuch0", "an interface of this machine (eth0)"},
		{"network_interface", "no such", "the name of a network interface"},
		{"network_interface", "eth0\nx", "the name of a network interface"},
		{"network_interface", "eth0{", "the name of a network interface"},
		{"network_interface", `eth0"`, "the name of a network interface"},
		{"network_interface", "lo", "the name of a network interface"},
		{"vip_hostname", "not a host!", "a host name such as"},
		{"vip_hostname", "api\x07.example.com", "a host name such as"},
		{"healthcheck_interval", 0, "whole number in 1-3600"},
		{"healthcheck_interval", -5, "whole number in 1-3600"},
		{"healthcheck_interval", 100000000, "whole number in 1-3600"},
		{"healthcheck_type", "telnet", "one of tcp, http, https, unit, none"},
		{"healthcheck_target", "example.com:80", "ADDRESS:PORT"},
		{"healthcheck_path", "/100%", "a path with an optional query"},
		{"healthcheck_timeout", 0, "seconds in 0.1-60"},
		{"healthcheck_fall", 0, "whole number in 1-20"},
		{"healthcheck_rise", 21, "whole number in 1-20"},
		{"all_unhealthy", "both", "one of keep, drop"},
		{"advert_interval", 0.001, "seconds in 0.05-40.95"},
	} {
		t.Run(fmt.Sprintf("%s %q", c.option, fmt.Sprint(c.value)), func(t *testing.T) {
			fresh := charmtest.NewState(0)
			fresh.Juju.Options["virtual_ip"] = vip
			for _, s := range []charmtest.State{run(t, withPeer(serving(t)), "cluster-relation-changed"), withPeer(fresh)} {
				in := option(s, c.option, c.value)
				out := charmtest.Run(t, "config-changed", in)
				require.Equal(t, juju.Blocked, out.Juju.Status.Level)
				require.True(t, strings.HasPrefix(out.Juju.Status.Message, "option "+c.option+" is "), out.Juju.Status.Message)
				require.Contains(t, out.Juju.Status.Message, c.must)
				require.Empty(t, out.Steps)
				require.Equal(t, in.Host.String(), out.Host.String())
				out = charmtest.Run(t, "update-status", out.State)
				for _, id := range []juju.RelationID{"website:3", "loadbalancer:4"} {
					require.Equal(t, in.Juju.Own(id), out.Juju.Own(id), "what clients were told, they are told still")
				}
				again := charmtest.Run(t, "config-changed", option(out.State, c.option, s.Juju.Options[c.option]))
				require.NotEqual(t, juju.Blocked, again.Juju.Status.Level, "a good value ends it: %s", again.Juju.Status)
			}
		})
	}
}

func withPeer(s charmtest.State) charmtest.State {
	return with(s, func(s *charmtest.State) {
		s.Juju.Relations[endpoint.Cluster]["cluster:1"][juju.Unit{Application: "keepalived", Number: 1}] = endpoint.Member{
			Principal: juju.Unit{Application: "haproxy", Number: 1}, Rank: 1,
			Addresses: []netip.Addr{netip.MustParseAddr("10.10.74.12")},
		}.Databag()
	})
}

// TestTheUnitsOwnAddressIsRefusedInWhateverOrderItIsListed: network-get lists the
// virtual IP that this unit holds, in front or behind.
func TestTheUnitsOwnAddressIsRefusedInWhateverOrderItIsListed(t *testing.T) {
	for _, order := range [][]string{{"10.10.74.11", vip}, {vip, "10.10.74.11"}} {
		s := serving(t)
		s.Juju.Ingress, s.Juju.Bind = order, order
		out := charmtest.Run(t, "config-changed", s)
		require.Equal(t, "active: VIP ready: holds 10.10.74.250", out.Juju.Status.String(), "holding it makes it no own address")
		require.Empty(t, out.Steps)
		require.Equal(t, "10.10.74.11", out.Juju.Own("cluster:1")["addresses"], "peers are never told a virtual IP")
		out = charmtest.Run(t, "config-changed", option(s, "virtual_ip", "10.10.74.11"))
		require.Contains(t, out.Juju.Status.Message, "10.10.74.11 is the own address of keepalived/0")
	}
}

func TestAnAddressOnAnyInterfaceIsTheUnitsOwn(t *testing.T) {
	s := serving(t)
	s.Host.Interfaces = append(s.Host.Interfaces, facts.Interface{Name: "eth1", Up: true,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}})
	out := charmtest.Run(t, "config-changed", option(s, "virtual_ip", "192.0.2.7"))
	require.Contains(t, out.Juju.Status.Message, "192.0.2.7 is the own address of keepalived/0")
}

// TestAVirtualIPWithdrawnByAnEarlierHookIsNoOwnAddress: the hook that changed it
// died before keepalived read the change, and the operator changed it back.
func TestAVirtualIPChangedBackIsNoOwnAddress(t *testing.T) {
	s := withPeer(serving(t))
	changed := option(s, "virtual_ip", "10.10.74.251")
	steps := charmtest.Run(t, "config-changed", changed).Steps
	for n := range steps {
		out := charmtest.RunHook(t, charmtest.Hook{Name: "config-changed", Death: charmtest.Death{Step: n + 1}}, changed)
		require.Error(t, out.Err)
		back := charmtest.Run(t, "config-changed", option(out.State, "virtual_ip", vip))
		require.Equal(t, "active: VIP ready: holds 10.10.74.250", back.Juju.Status.String())
		require.Empty(t, back.Stale())
	}
}

func TestARefusalOfKeepalivedChangesNothingAndLeavesNoDebt(t *testing.T) {
	s := serving(t)
	s.Host.Refuse = "virtual_router_id 77"
	out := charmtest.Run(t, "config-changed", option(s, "router_id", 77))
	assert.Equal(t, juju.Blocked, out.Juju.Status.Level)
	assert.Contains(t, out.Juju.Status.Message, "keepalived refuses the configuration")
	assert.Equal(t, s.Host.String(), out.Host.String())
	assert.Empty(t, out.Stale())
	back := charmtest.Run(t, "config-changed", option(out.State, "router_id", 23))
	assert.Empty(t, back.Steps)
	assert.Equal(t, s.Host.Keepalived, back.Host.Keepalived)
}

func TestTheFirstAndLastAddressOfOtherSubnetsMayBeHosts(t *testing.T) {
	for vips, must := range map[string]string{
		"192.0.2.7 10.10.75.0 10.10.75.255 2001:db8::2": "",
		"198.51.100.15": "198.51.100.15 is the broadcast address of 198.51.100.8/29",
	} {
		s := charmtest.NewState(0)
		s.Host.DefaultInterface6 = "eth0"
		for _, p := range []string{"192.0.2.8/31", "10.10.74.99/21", "192.0.2.6/31", "2001:db8::1/64", "198.51.100.9/29"} {
			s.Host.Interfaces[1].Addresses = append(s.Host.Interfaces[1].Addresses, netip.MustParsePrefix(p))
		}
		out := charmtest.Run(t, "config-changed", option(s, "virtual_ip", vips))
		require.Equal(t, must != "", out.Juju.Status.Level == juju.Blocked, "%s: %s", vips, out.Juju.Status)
		require.Contains(t, out.Juju.Status.Message, must)
	}
}

func TestTheInterfaceIsChosenBySubnetThenByDefaultRoute(t *testing.T) {
	s := charmtest.NewState(0)
	s.Host.Interfaces = append(s.Host.Interfaces,
		facts.Interface{Name: "wide0", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/16")}},
		facts.Interface{Name: "eth1", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24"), netip.MustParsePrefix("2001:db8::7/64")}},
		facts.Interface{Name: `bad"name`, Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.8/28")}})
	for _, c := range []struct{ vip, iface, want, anchor string }{
		{"10.10.74.250", "", "eth0", "10.10.74.250/32"},
		{"192.0.2.9/24", "", "eth1", "192.0.2.9/32"},
		{"2001:db8::9/64", "", "eth1", "2001:db8::9/128"},
		{"198.51.100.9/24", "", "eth0", "198.51.100.9/24"},
		{"198.51.100.9/24", "eth1", "eth1", "198.51.100.9/24"},
		{"198.51.100.9", "eth1", "eth1", "198.51.100.9/32"},
	} {
		s := option(option(s, "virtual_ip", c.vip), "network_interface", c.iface)
		s.Host.Holds = true
		out := charmtest.Run(t, "config-changed", s)
		require.Contains(t, out.Host.Keepalived.Loaded, "    interface "+c.want+"\n", c.vip)
		require.Contains(t, out.Host.Keepalived.Loaded, "        "+c.anchor+" dev "+c.want+"\n", c.vip)
		require.Empty(t, charmtest.Run(t, "config-changed", out.State).Steps, "holding it changes no choice")
	}
	s.Host.DefaultInterface4 = ""
	out := charmtest.Run(t, "config-changed", option(s, "virtual_ip", "198.51.100.9"))
	require.Contains(t, out.Juju.Status.String(), "blocked: no interface for virtual IP 198.51.100.9")
	require.Contains(t, out.Juju.Status.String(), "set option network_interface")
}

// TestANewVirtualIPInTheSubnetOfTheOldOne: the old one, while held, must not make
// the holder render something else than a standby.
func TestANewVirtualIPInTheSubnetOfTheOldOne(t *testing.T) {
	standby := option(option(charmtest.NewState(0), "virtual_ip", "198.51.100.9/24"), "network_interface", "eth0")
	holder := with(standby, func(s *charmtest.State) { s.Host.Holds = true })
	var loaded []string
	for _, s := range []charmtest.State{standby, holder} {
		s = run(t, s, "config-changed")
		s = run(t, option(s, "virtual_ip", "198.51.100.10/24"), "config-changed")
		require.Empty(t, charmtest.Run(t, "config-changed", s).Steps)
		loaded = append(loaded, s.Host.Keepalived.Loaded)
	}
	require.Equal(t, loaded[0], loaded[1])
	require.Contains(t, loaded[0], "198.51.100.10/24")
}

func TestStatusTellsTheTruth(t *testing.T) {
	for claim, c := range map[string]struct {
		change func(*charmtest.State)
		want   string
	}{
		"holder":  {func(*charmtest.State) {}, "active: VIP ready: holds 10.10.74.250"},
		"standby": {func(s *charmtest.State) { s.Host.Holds = false }, "active: VIP ready: standby for 10.10.74.250"},
		"a failing check": {func(s *charmtest.State) {
			s.Host.Check = facts.CheckResult{Known: true, Reason: "connection refused"}
		}, "active: VIP ready: holds 10.10.74.250; check fails here: connection refused: juju run keepalived/0 run-checks"},
		"keepalived runs something else": {func(s *charmtest.State) { s.Host.Keepalived.Loaded = "" },
			"waiting: keepalived does not run this unit's VRRP instance: see journalctl -u keepalived"},
	} {
		t.Run(claim, func(t *testing.T) {
			require.Equal(t, c.want, charmtest.Run(t, "update-status", with(serving(t), c.change)).Juju.Status.String())
		})
	}
}

func TestASpaceOfEndpointClusterChoosesTheInterfaceThatNoSubnetDoes(t *testing.T) {
	s := option(charmtest.NewState(0), "virtual_ip", "198.51.100.9")
	s.Host.Interfaces = append(s.Host.Interfaces,
		facts.Interface{Name: "eth1", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}})
	require.Contains(t, run(t, s, "config-changed").Host.Keepalived.Loaded, "198.51.100.9/32 dev eth0\n", "the default route's")
	s.Juju.Interface, s.Juju.Ingress, s.Juju.Bind = "eth1", []string{"192.0.2.7"}, []string{"192.0.2.7"}
	require.Contains(t, run(t, s, "config-changed").Host.Keepalived.Loaded, "198.51.100.9/32 dev eth1\n", "the space's")
	require.Contains(t, run(t, option(s, "virtual_ip", "10.10.74.250"), "config-changed").Host.Keepalived.Loaded,
		"10.10.74.250/32 dev eth0\n", "a subnet comes first")
	require.Contains(t, run(t, option(s, "network_interface", "eth0"), "config-changed").Host.Keepalived.Loaded,
		"198.51.100.9/32 dev eth0\n", "the option overrides")
}

// TestJujusListAloneRefusesNothing: it is refreshed when the agent starts, not when a
// virtual IP moves, so it may have one that no kernel has.
func TestJujusListAloneRefusesNothing(t *testing.T) {
	fresh := charmtest.NewState(0)
	fresh.Juju.Options["virtual_ip"] = vip
	fresh.Juju.Ingress, fresh.Juju.Bind = []string{vip, "10.10.74.11"}, []string{vip, "10.10.74.11"}
	out := run(t, fresh, "install", "config-changed")
	require.NotEqual(t, juju.Blocked, out.Juju.Status.Level, out.Juju.Status.Message)
	require.Equal(t, "10.10.74.11", out.Juju.Own("cluster:1")["addresses"])

	peer := with(withPeer(serving(t)), func(s *charmtest.State) {
		s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)]["addresses"] = "10.10.74.12,10.10.74.251"
	})
	told := run(t, option(peer, "virtual_ip", "10.10.74.251"), "config-changed")
	require.Equal(t, "active: VIP ready: holds 10.10.74.251; keepalived/1 says that 10.10.74.251 is its own address: is it?", told.Juju.Status.String())

	peer.Host.Network.Answers = append(peer.Host.Network.Answers, conflict.Answer{Interface: "eth0",
		Address: netip.MustParseAddr("10.10.74.251"), By: conflict.Host{MAC: "52:54:00:74:00:0c"}, Last: true})
	peer.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)]["macs"] = "52:54:00:74:00:0c"
	serves := with(peer, func(s *charmtest.State) {
		bag := s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(1)]
		bag["protocol"], bag["vrrp"] = "1", s.Juju.Own("cluster:1")["vrrp"]
	})
	for claim, s := range map[string]charmtest.State{"a peer that serves nothing": peer, "one that serves": serves} {
		refused := run(t, option(s, "virtual_ip", "10.10.74.251"), "config-changed")
		require.Contains(t, refused.Juju.Status.String(), "blocked: option virtual_ip is \"10.10.74.251\", must be a free address, 10.10.74.251 is the own address of keepalived/1; meanwhile VIP ready: holds 10.10.74.250", claim)
	}
}

// TestATypoEndsNothing: only an empty value means to serve nothing.
func TestATypoEndsNothing(t *testing.T) {
	for _, value := range []string{",", " ", ",,\n"} {
		out := run(t, option(serving(t), "virtual_ip", value), "config-changed")
		require.Contains(t, out.Juju.Status.Message, "must be a list of addresses, or empty to serve none; meanwhile VIP ready: holds 10.10.74.250")
	}
}

// TestTheEndOfABaseUpgradeIsNotRefused: what is wrong in that one hook keeps the unit from
// serving for as long as it is wrong, and no longer.
func TestTheEndOfABaseUpgradeIsNotRefused(t *testing.T) {
	s := run(t, serving(t), "pre-series-upgrade")
	require.Equal(t, "VIP handed over, serving nothing", s.Juju.Status.Message)
	refused := run(t, option(s, "port", 0), "post-series-upgrade")
	require.Contains(t, refused.Juju.Status.Message, "option port is ")
	require.Equal(t, "active: VIP ready: holds 10.10.74.250", run(t, option(refused, "port", 443), "config-changed").Juju.Status.String())

	stranger := with(s, func(s *charmtest.State) {
		s.Host.Network.Answers = []conflict.Answer{{Interface: "eth0", Address: netip.MustParseAddr(vip), By: conflict.Host{MAC: "52:54:00:00:00:99"}, Last: true}}
	})
	refused = run(t, stranger, "post-series-upgrade")
	require.Contains(t, refused.Juju.Status.String(), "blocked: ")
	refused.Host.Network.Answers = nil
	require.Equal(t, "active: VIP ready: holds 10.10.74.250", run(t, refused, "update-status").Juju.Status.String())
}

// TestAStatusIsBoundedWhateverPeersTell: it is an argument, of which Linux takes at most
// 128 KiB (execve(2)).
func TestAStatusIsBoundedWhateverPeersTell(t *testing.T) {
	var vips []string
	for k := range 250 {
		vips = append(vips, fmt.Sprintf("2001:db8:aaaa:bbbb:cccc:dddd:eeee:1%03x", k))
	}
	s := run(t, option(option(serving(t), "network_interface", "eth0"), "virtual_ip", strings.Join(vips, ",")), "config-changed", "update-status")
	require.Contains(t, s.Juju.Status.String(), "VIP ready")
	for n := 1; n < 9; n++ {
		s.Juju.Relations[endpoint.Cluster]["cluster:1"][unit(n)] = juju.Databag{"principal": fmt.Sprint("haproxy/", n), "rank": fmt.Sprint(n), "protocol": "1", "addresses": strings.Join(vips, ",")}
	}
	s = run(t, s, "cluster-relation-changed")
	require.Contains(t, s.Juju.Status.Message, "; keepalived/1 says that "+vips[0]+" is its own address: is it?; 1999 more of the kind")
	require.Less(t, len(s.Juju.Status.Message), 1000)
}

// TestOptionsGoneBackToThatAreRefusedLeaveThoseInUse: those of a change that waits for the others.
func TestOptionsGoneBackToThatAreRefusedLeaveThoseInUse(t *testing.T) {
	s := run(t, option(holding(t, "true"), "virtual_ip", vip+" 10.10.74.252"), "config-changed", "update-status")
	s = run(t, option(option(s, "virtual_ip", vip+" 10.10.74.251"), "router_id", 24), "config-changed", "update-status")
	require.Contains(t, s.Juju.Status.Message, "moving to virtual router ID 24")
	s = network(option(option(s, "virtual_ip", vip+" 10.10.74.252"), "router_id", 23), has(stranger, "10.10.74.252"))
	spoilt := with(s, func(s *charmtest.State) {
		delete(s.Host.Files, s.Layout().CheckerUnit())
		s.Juju.Relate(endpoint.Website, "website:9", juju.Unit{Application: "other"})
	})
	out := charmtest.Run(t, "config-changed", spoilt)
	require.Contains(t, out.Juju.Status.String(), "blocked: virtual_ip 10.10.74.252 is answered by")
	require.Contains(t, out.Juju.Status.String(), "; meanwhile VIP ready")
	require.Equal(t, vip, out.Juju.Own("website:9")["hostname"], "a client that joins is told")
	require.Empty(t, out.Stale(), "what somebody spoilt is mended")
	require.Contains(t, out.Host.Keepalived.Loaded, "10.10.74.251/32")
	s.Juju.Parameters = map[string]any{"force": true}
	require.Empty(t, charmtest.Run(t, "actions/pause", s).Juju.Failure)
}
