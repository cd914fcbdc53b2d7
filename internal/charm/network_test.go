package charm_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/show"
	"keepalived-charm/internal/vrrp"
)

const named = "10.10.74.99 (52:54:00:74:00:63)"

var stranger = conflict.Host{Address: netip.MustParseAddr("10.10.74.99"), MAC: "52:54:00:74:00:63"}

func says(by conflict.Host, id vrrp.VirtualRouterID) conflict.Heard {
	return conflict.Heard{Interface: "eth0", Sender: by, Delivered: true,
		Advertisement: vrrp.Advertisement{Version: 2, VirtualRouterID: id, Priority: 100, Interval: time.Second}}
}

func has(by conflict.Host, address string) conflict.Answer {
	return conflict.Answer{Interface: "eth0", Address: netip.MustParseAddr(address), By: by, Last: true}
}

// network puts somebody on the segment, or nobody.
func network(s charmtest.State, parts ...any) charmtest.State {
	return with(s, func(s *charmtest.State) {
		s.Host.Network = conflict.Look{}
		for _, p := range parts {
			switch p := p.(type) {
			case conflict.Heard:
				s.Host.Network.Heard = append(s.Host.Network.Heard, p)
			case conflict.Answer:
				s.Host.Network.Answers = append(s.Host.Network.Answers, p)
			}
		}
	})
}

// brandNew is a unit that has run no hook yet.
func brandNew(planned int) charmtest.State {
	s := charmtest.NewState(0)
	s.Juju.Options["virtual_ip"], s.Juju.Planned = vip, planned
	return s
}

func TestAUnitTakesNothingThatAStrangerUses(t *testing.T) {
	for claim, c := range map[string]struct {
		there   any
		planned int
		want    string
	}{
		"an advertised ID": {says(stranger, 23), 1, "blocked: router_id 23 is used by " + named + ": try juju config keepalived router_id=24"},
		"an address":       {has(stranger, vip), 1, "blocked: virtual_ip " + vip + " is answered by " + named + ": take it from that host, or configure another"},
		"maybe a unit's ID": {says(stranger, 23), 2,
			"waiting: router_id 23 is used by " + named + ", which may be a unit that is not known here yet"},
		"maybe a unit's address": {has(stranger, vip), 2,
			"waiting: virtual_ip " + vip + " is answered by " + named + ", which may be a unit that is not known here yet"},
	} {
		t.Run(claim, func(t *testing.T) {
			before := brandNew(c.planned)
			s := run(t, network(before, c.there), "install", "config-changed", "start")
			require.Equal(t, c.want, s.Juju.Status.String())
			if s.Juju.Status.Level == juju.Waiting {
				require.True(t, s.Host.Installed, "the package is there when it goes on")
				s.Host.Installed = false
				delete(s.Host.Files, "/var/lib/keepalived-charm/installed-package")
			}
			require.Equal(t, before.Host.String(), s.Host.String(), "nothing is changed")
			s = run(t, with(network(s), func(s *charmtest.State) { s.Juju.Planned = 1 }), "update-status")
			require.True(t, s.Host.Keepalived.Running, "it goes on by itself")
			require.Empty(t, s.Stale())
		})
	}
}

// peer1 is keepalived/1's machine.
var peer1 = conflict.Host{Address: netip.MustParseAddr("10.10.74.12"), MAC: "52:54:00:74:00:0c"}

// joining is a unit that knows its peer, which serves.
func joining() charmtest.State {
	s := brandNew(2)
	s.Juju.Relate("cluster", "cluster:1", unit(1))
	s.Juju.Relations["cluster"]["cluster:1"][unit(1)] = juju.Databag{"principal": "haproxy/1", "rank": "1", "macs": peer1.MAC,
		"protocol": "1", "vrrp": "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112", "address": "10.10.74.12"}
	return s
}

func TestAUnitThatWouldNotHearTheHolderTakesNoPart(t *testing.T) {
	dropped := says(peer1, 23)
	dropped.Delivered = false
	for want, there := range map[string][]any{
		"blocked: keepalived/1 holds " + vip + ", its advertisements do not arrive here: allow IP protocol 112 between the machines":                  {has(peer1, vip)},
		"blocked: keepalived/1 holds " + vip + ", this machine's packet filter drops its advertisements: allow IP protocol 112, see nft list ruleset": {has(peer1, vip), dropped},
	} {
		s := run(t, network(joining(), there...), "install")
		require.Equal(t, want, s.Juju.Status.String())
		require.False(t, s.Host.Keepalived.Running)
		require.True(t, run(t, network(s, has(peer1, vip), says(peer1, 23)), "update-status").Host.Keepalived.Running)
	}
}

func TestOptionsThatAStrangerUsesAreNotTaken(t *testing.T) {
	for claim, c := range map[string]struct {
		name  string
		value any
		there any
		want  string
	}{
		"virtual router ID": {"router_id", 77, says(stranger, 77), "blocked: router_id 77 is used by " + named + ": try juju config keepalived router_id=78"},
		"virtual IP": {"virtual_ip", vip + ",10.10.74.251", has(stranger, "10.10.74.251"),
			"blocked: virtual_ip 10.10.74.251 is answered by " + named + ": take it from that host, or configure another"},
	} {
		t.Run(claim, func(t *testing.T) {
			before := serving(t)
			s := run(t, network(option(before, c.name, c.value), c.there), "config-changed")
			require.Equal(t, c.want+"; meanwhile VIP ready: holds 10.10.74.250", s.Juju.Status.String())
			require.Equal(t, before.Host.String(), s.Host.String(), "the last good configuration goes on")
			s = run(t, network(s), "update-status")
			require.NotContains(t, s.Juju.Status.String(), "blocked")
			require.Empty(t, s.Stale())
		})
	}
}

// TestAUnitThatJoinsDoesNotListenLongInEveryHook until Juju has told it of the others: hooks of
// its own and of each endpoint come before.
func TestAUnitThatJoinsDoesNotListenLongInEveryHook(t *testing.T) {
	const glance, long = 400 * time.Millisecond, 2200 * time.Millisecond
	for claim, c := range map[string]struct {
		state charmtest.State
		want  time.Duration
	}{
		"the holder may be a unit to come":             {network(brandNew(2), says(stranger, 23), has(stranger, vip)), glance},
		"of which nothing is heard":                    {network(brandNew(2), has(stranger, vip)), glance},
		"it is alone":                                  {network(brandNew(1)), glance + long},
		"nobody is heard at a glance":                  {network(brandNew(2)), glance + long},
		"another virtual router is heard":              {network(brandNew(2), says(stranger, 24)), glance + long},
		"no unit is to come: it is a stranger":         {network(brandNew(1), says(stranger, 23)), glance + long},
		"the machine is that of a unit which is known": {network(joining(), says(peer1, 23), has(peer1, vip)), glance + long},
	} {
		out := charmtest.Run(t, "install", c.state)
		require.Equal(t, c.want, out.Listened, claim)
	}
	require.Equal(t, long, charmtest.Run(t, "config-changed", option(serving(t), "router_id", 24)).Listened, "a unit that serves listens once")
}

func TestAHookWithoutASignOfAnythingDoesNotLook(t *testing.T) {
	s := serving(t)
	for _, hook := range []string{"update-status", "config-changed", "website-relation-changed", charmtest.Refresh} {
		require.Zero(t, charmtest.Run(t, hook, s).Looks, hook)
	}
	require.Equal(t, 1, charmtest.Run(t, "config-changed", option(s, "virtual_ip", vip+",10.10.74.251")).Looks)
	require.Equal(t, 1, charmtest.Run(t, "config-changed", option(s, "router_id", 24)).Looks)
}

func TestUpdateStatusLooksWhenTheDaemonDroppedAdvertisements(t *testing.T) {
	s := network(with(serving(t), func(s *charmtest.State) { s.Host.AddressErrors = 7 }), says(stranger, 23))
	require.Zero(t, charmtest.Run(t, "config-changed", s).Looks)
	out := charmtest.Run(t, "update-status", s)
	require.Equal(t, 1, out.Looks)
	require.Contains(t, out.Juju.Status.Message, "; router_id 23 is used by "+named+" too: try juju config keepalived router_id=24")
	out = act(t, "check-network", network(out.State))
	require.Contains(t, out.Juju.Results["notes"], "keepalived dropped 7 advertisements of virtual router ID 23 that carried other addresses")
	require.NotContains(t, out.Juju.Status.Message, "used by", "whoever it was is gone")
}

// TestAStrangerThatTookTheVirtualRouterIsToldWithoutAHookThatIsDue: as the health
// checker left news of it (keepalived 2.3.3 and later follow it).
func TestAStrangerThatTookTheVirtualRouterIsToldWithoutAHookThatIsDue(t *testing.T) {
	s := run(t, with(withPeer(serving(t)), func(s *charmtest.State) { s.Host.Holds = false }), "cluster-relation-changed")
	theirs := vrrp.Base(1) + vrrp.Priority(vrrp.Policy{}.Adjustment(true, true))
	takes := says(stranger, 23)
	takes.Version, takes.Priority, takes.Addresses = 3, theirs, []netip.Addr{netip.MustParseAddr("10.10.74.222")}
	s = network(with(s, func(s *charmtest.State) {
		s.Host.Heard = theirs
		s.Host.Check.Heard = []facts.Heard{{Instance: "charm_keepalived", Address: stranger.Address, Priority: theirs, Foreign: true, Speaks: true}}
	}), takes)
	out := charmtest.Run(t, charmtest.Refresh, s)
	require.Equal(t, 1, out.Looks)
	require.Equal(t, "blocked: nobody holds "+vip+": "+named+" has taken router_id 23: try juju config keepalived router_id=24", out.Juju.Status.String())
	require.Equal(t, s.Host.Keepalived, out.Host.Keepalived, "it goes on")
	require.Equal(t, "unknown", act(t, "status", out.State).Juju.Results["vip-1-holder"])

	s = network(with(out.State, func(s *charmtest.State) { s.Host.Check.Heard = nil }))
	out = charmtest.Run(t, charmtest.Refresh, s)
	require.Equal(t, "active: VIP ready: standby for "+vip+", holder keepalived/1", out.Juju.Status.String())
}

func TestASecondHolderIsToldUntilItIsGone(t *testing.T) {
	s := holding(t, "true")
	s.Host.Since, s.Host.Reminded = 100, false
	s = network(s, has(peer1, vip), has(peer1, "10.10.74.12"))
	out := charmtest.Run(t, charmtest.Refresh, s)
	require.Equal(t, 1, out.Looks, "a unit that has just become MASTER looks")
	const too = "; keepalived/1 holds " + vip + " too, its advertisements do not arrive here: allow IP protocol 112 between the machines"
	require.Contains(t, out.Juju.Status.Message, too)
	l := layout.Layout{Application: "keepalived"}
	require.Equal(t, too[2:]+"\n", out.Host.Files[l.Conflicts()])
	require.True(t, out.Host.Reminded, "it looks again soon")
	out = charmtest.Run(t, "update-status", out.State)
	require.Equal(t, 1, out.Looks, "and again while it goes on")
	require.Contains(t, out.Juju.Status.Message, too)
	out.Host.Reminded = false
	out = charmtest.Run(t, charmtest.Refresh, network(out.State))
	require.False(t, out.Host.Reminded)
	require.NotContains(t, out.Juju.Status.Message, "holds "+vip+" too")
	require.NotContains(t, out.Host.Files, l.Conflicts())
	require.Zero(t, charmtest.Run(t, "update-status", out.State).Looks)
	out.Juju.Relations["cluster"]["cluster:1"][unit(1)]["since"] = "200"
	require.Equal(t, 1, charmtest.Run(t, "cluster-relation-changed", out.State).Looks, "a peer that became MASTER later is looked for")
}

func TestCheckNetworkTellsWhatIsWrong(t *testing.T) {
	s := serving(t)
	out := act(t, "check-network", s)
	require.Equal(t, map[string]string{
		"summary": "nothing is wrong on the network as far as keepalived/0 sees it", "conflicts": "none", "notes": "none",
		"interface": "eth0", "listened": "2.2s", "router-id": "23", "free-router-id": "24", "virtual-routers": "none",
		"virtual-ips": vip + " on eth0: this unit has it, subnet 10.10.74.0/24", "json": out.Juju.Results["json"],
	}, out.Juju.Results)
	require.Empty(t, out.Steps)

	merging := says(stranger, 23)
	merging.Version, merging.Addresses = 3, []netip.Addr{vrrp.Anchor(23, false)}
	out = act(t, "check-network", network(s, merging, says(stranger, 24), has(stranger, vip)))
	require.Contains(t, out.Juju.Results["summary"], "2 conflicts, the first: router_id 23 is used by "+named+": try juju config keepalived router_id=25; it is another deployment of this charm")
	require.Equal(t, vip+" on eth0: this unit and "+named+" have it, subnet 10.10.74.0/24", out.Juju.Results["virtual-ips"])
	require.Contains(t, out.Juju.Results["virtual-routers"], "24: version 2, priority 100, every 1s, from "+named)
	require.Contains(t, out.Juju.Status.Message, "; router_id 23 is used by "+named+" too: try juju config keepalived router_id=25; 1 more: juju run keepalived/0 check-network")
	var report show.NetworkReport
	require.NoError(t, json.Unmarshal([]byte(out.Juju.Results["json"]), &report))
	require.Contains(t, out.Juju.Results["json"], `"left-out":{}`)
	require.Equal(t, 25, report.FreeRouterID)
	require.Len(t, report.Conflicts, 2)

	proxied := with(s, func(s *charmtest.State) {
		s.Host.Network.Proxies = []conflict.Proxy{{Interface: "eth0", Host: stranger}}
	})
	out = act(t, "check-network", proxied)
	require.Contains(t, out.Juju.Results["summary"], "nothing is wrong")
	require.Contains(t, out.Juju.Results["notes"], named+" answers on eth0 for addresses that nobody has, as a proxy does")

	flooded := with(s, func(s *charmtest.State) {
		s.Host.Network.Crowds = []conflict.Crowd{{Interface: "eth0", Address: netip.MustParseAddr(vip)}, {Interface: "eth0", RouterID: 23}}
	})
	notes := act(t, "check-network", flooded).Juju.Results["notes"]
	require.Contains(t, notes, "more than 8 hosts answer for "+vip+" on eth0, the others are not listed")
	require.Contains(t, notes, "more than 8 hosts advertise virtual router ID 23 on eth0")

	out = act(t, "check-network", option(s, "virtual_ip", "192.0.2.9"))
	require.Contains(t, out.Juju.Results["notes"], "no interface has the subnet of 192.0.2.9: it is put on eth0")
	for vip, asked := range map[string]bool{"192.0.2.9": true, "192.0.2.9/32": false, "192.0.2.9/24": false, "10.10.74.251": false} {
		message := run(t, option(s, "virtual_ip", vip), "config-changed").Juju.Status.Message
		require.Equal(t, asked, strings.HasSuffix(message, "; no interface has the subnet of 192.0.2.9: is it right?"), message)
	}
	require.Contains(t, act(t, "check-network", option(s, "virtual_ip", "")).Juju.Failure, "cannot check the network: Please configure virtual ips")
	require.Contains(t, act(t, "check-network", option(s, "port", 0)).Juju.Results["summary"], "nothing is wrong")
	require.Contains(t, act(t, "check-network", option(brandNew(1), "port", 0)).Juju.Failure, "option port is")

	blocked := run(t, network(brandNew(1), says(stranger, 23)), "install")
	require.Contains(t, act(t, "check-network", blocked).Juju.Results["summary"], "1 conflict: router_id 23 is used by "+named)
	require.True(t, act(t, "check-network", network(blocked)).Host.Keepalived.Running, "the unit goes on when the conflict is gone")
}

func TestHoweverMuchIsWrongTheResultsFitIntoArguments(t *testing.T) {
	var list []string
	var there []any
	for n := range 500 {
		a := netip.AddrFrom4([4]byte{10, 10, byte(80 + n/200), byte(1 + n%200)}).String()
		list = append(list, a)
		for host := range 3 {
			by := conflict.Host{Address: netip.MustParseAddr(fmt.Sprintf("10.10.74.%d", 100+host)), MAC: fmt.Sprintf("52:54:00:74:01:%02x", host)}
			there = append(there, has(by, a))
		}
	}
	s := run(t, option(holding(t, "true"), "virtual_ip", strings.Join(list, " ")), "config-changed")
	r := act(t, "check-network", network(s, there...)).Juju.Results
	for key, value := range r {
		require.Less(t, len(value), 128<<10, key)
	}
	require.Regexp(t, `^1500 conflicts, the first: virtual_ip 10.10.80.1 `, r["summary"])
	require.Regexp(t, `(?s)^virtual_ip 10.10.80.1 .*\nand \d+ more$`, r["conflicts"])
	var report struct {
		show.NetworkReport
		LeftOut map[string]int `json:"left-out"`
	}
	require.NoError(t, json.Unmarshal([]byte(r["json"]), &report))
	require.NotEmpty(t, report.Conflicts)
	require.Equal(t, 1500, len(report.Conflicts)+report.LeftOut["conflicts"])
	require.Equal(t, 500, len(report.Addresses)+report.LeftOut["virtual-ips"])
	require.Equal(t, len(report.Conflicts)+1, len(strings.Split(r["conflicts"], "\n")))
}

// TestAUnitJoinsBesideTwoUnitsOnOneMachine: the one with the lower number serves nothing.
func TestAUnitJoinsBesideTwoUnitsOnOneMachine(t *testing.T) {
	s := charmtest.NewState(5)
	s.Juju.Options["virtual_ip"] = vip
	bags := s.Juju.Relations[endpoint.Cluster]["cluster:1"]
	bags[unit(0)] = juju.Databag{"principal": "haproxy/0", "rank": "0", "protocol": "1", "addresses": "10.10.74.11", "knows": "0:0,3:1,5:1", "ingress-address": "10.10.74.11"}
	bags[unit(3)] = juju.Databag{"principal": "haproxy/3", "rank": "3", "protocol": "1", "addresses": "10.10.74.11", "address": "10.10.74.11", "macs": "52:54:00:0a:0a:0b",
		"vrrp": "version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112", "knows": "3:1,5:1", "healthy": "true", "ingress-address": "10.10.74.11"}
	holder := conflict.Host{Address: netip.MustParseAddr("10.10.74.11"), MAC: "52:54:00:0a:0a:0b"}
	advert := conflict.Heard{Interface: "eth0", Sender: holder, Delivered: true, Advertisement: vrrp.Advertisement{Version: 3, VirtualRouterID: 23, Priority: 254, Interval: 200 * time.Millisecond,
		Addresses: []netip.Addr{netip.MustParseAddr("169.254.23.112")}}}
	s = network(s, advert, has(holder, vip))
	s = run(t, s, "install", "config-changed", "cluster-relation-changed", "update-status")
	require.Contains(t, s.Juju.Status.String(), "VIP ready")
	require.Contains(t, s.Host.Keepalived.Loaded, "virtual_router_id 23\n")
}
