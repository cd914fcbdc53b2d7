package charm_test

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/endpoint"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/needs"
)

// transition is a hook with the states it starts from.
type transition struct {
	hook string
	from charmtest.State
}

func transitions(t *testing.T) map[string]transition {
	s := serving(t)
	foreign := charmtest.NewState(0)
	foreign.Juju.Options["virtual_ip"] = vip
	foreign.Host.Installed = true
	foreign.Host.Files[layout.MainFile] = "vrrp_instance SOMEBODY {\n interface eth0\n virtual_router_id 9\n}\n"
	foreign.Host.Keepalived = charmtest.Daemon{Running: true, Loaded: foreign.Host.Files[layout.MainFile]}
	took := run(t, foreign, "config-changed")
	python := charmtest.NewState(0)
	python.Juju.Options["virtual_ip"] = "10.10.74.250/24"
	python.Host.Installed, python.Host.Holds = true, true
	python.Host.Files[layout.MainFile] = "vrrp_script chk_svc_port {\n}\nvrrp_instance VI_1 {\n interface eth0\n virtual_ipaddress {\n 10.10.74.250/24\n }\n}"
	python.Host.Keepalived = charmtest.Daemon{Running: true, Loaded: python.Host.Files[layout.MainFile]}
	two := with(s, addNeighbour)
	several := run(t, option(s, "virtual_ip", "10.10.74.250 10.10.74.251"), "config-changed")
	spread := run(t, option(several, "spread", true), "config-changed")
	return map[string]transition{
		"installed":                        {"install", charmtest.NewState(0)},
		"installed with a virtual IP":      {"install", option(charmtest.NewState(0), "virtual_ip", vip)},
		"first virtual IP":                 {"config-changed", option(run(t, charmtest.NewState(0), "install"), "virtual_ip", vip)},
		"virtual IP changed":               {"config-changed", option(s, "virtual_ip", "10.10.74.251")},
		"virtual IP changed, other net":    {"config-changed", option(s, "virtual_ip", "198.51.100.9/24")},
		"virtual router ID changed":        {"config-changed", option(s, "router_id", 51)},
		"an IPv6 address added":            {"config-changed", option(s, "virtual_ip", "10.10.74.250 2001:db8::250")},
		"IPv6 instead":                     {"config-changed", option(option(s, "virtual_ip", "2001:db8::250"), "network_interface", "eth0")},
		"multicast to unicast":             {"config-changed", option(s, "vrrp_mode", "unicast")},
		"virtual IP withdrawn":             {"config-changed", option(s, "virtual_ip", "")},
		"check changed":                    {"config-changed", option(s, "healthcheck_interval", 5)},
		"upgraded":                         {"upgrade-charm", with(s, func(s *charmtest.State) { s.Host.Charm = "charm 2" })},
		"taken over from the Python one":   {"upgrade-charm", python},
		"foreign configuration replaced":   {"config-changed", foreign},
		"foreign configuration given back": {"config-changed", option(took, "virtual_ip", "")},
		"foreign configuration, stopped":   {"stop", took},
		"foreign configuration, removed":   {"remove", took},
		"stopped":                          {"stop", s},
		"removed":                          {"remove", run(t, s, "stop")},
		"removed without a stop":           {"remove", s},
		"a peer joins":                     {"cluster-relation-changed", withPeer(s)},
		"virtual IPs spread":               {"config-changed", option(several, "spread", true)},
		"virtual IPs spread no more":       {"config-changed", option(spread, "spread", false)},
		"one of those that are spread":     {"config-changed", option(spread, "virtual_ip", "10.10.74.251")},
		"spread with another ID":           {"config-changed", option(spread, "router_id", 24)},
		"stopped beside a neighbour":       {"stop", two},
		"removed beside a neighbour":       {"remove", two},
		"changed beside a neighbour":       {"config-changed", option(two, "virtual_ip", "10.10.74.251")},
	}
}

// addNeighbour puts another serving application of the charm on the machine.
func addNeighbour(s *charmtest.State) {
	const fragment = "vrrp_instance charm_other {\n    interface eth0\n    virtual_router_id 77\n    virtual_ipaddress {\n        10.10.74.77/32\n    }\n}\n"
	other := layout.Layout{Application: "other"}
	s.Host.Files[other.Fragment()] = fragment
	s.Host.Files[other.CheckerConfig()] = "{}\n"
	s.Host.Files[other.Binary()] = "charm 0"
	s.Host.Files[other.CheckerUnit()] = "[Service]\n"
	s.Host.Files[other.DropIn()] = "[Service]\n"
	s.Host.Files[other.TrackFile()] = "0\n"
	s.Host.Units[other.CheckerUnit()], s.Host.Units[other.DropIn()] = "[Service]\n", "[Service]\n"
	s.Host.Checkers["other"] = charmtest.Checker{Running: true, Enabled: true, Binary: "charm 0", Config: "{}\n", Starts: 1}
	s.Host.Keepalived.Loaded += fragment
}

// TestAHookKilledAnywhereAndRetriedConverges kills a hook before, amid and after
// every step and every call, runs it again, and compares with the hook that lived.
func TestAHookKilledAnywhereAndRetriedConverges(t *testing.T) {
	for claim, tr := range transitions(t) {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			clean := charmtest.Run(t, tr.hook, tr.from)
			// One hook later Juju's and the charm's view of private-address agree.
			want := settled(t, tr.hook, clean.State).String()
			left := leftovers{}
			converges := func(died charmtest.State, claim string) {
				if !left.news(died) {
					return
				}
				again := charmtest.Run(t, tr.hook, died)
				require.Equal(t, clean.Host.String(), again.Host.String(), claim)
				require.Empty(t, again.Stale(), claim)
				require.Equal(t, want, settled(t, tr.hook, again.State).String(), claim)
			}
			for _, death := range deaths(clean) {
				died := charmtest.RunHook(t, charmtest.Hook{Name: tr.hook, Death: death}, tr.from)
				require.Error(t, died.Err, "%+v", death)
				converges(died.State, fmt.Sprintf("%+v", death))
				// Dying twice at the same point does no harm either.
				died = charmtest.RunHook(t, charmtest.Hook{Name: tr.hook, Death: death}, died.State)
				converges(died.State, fmt.Sprintf("%+v twice", death))
			}
		})
	}
}

// leftovers are the states that killed hooks have left. A hook that dies after a step
// leaves what one leaves that dies before the next, and calls that only ask leave nothing.
type leftovers map[string]bool

// news tells that no hook has left this state so far.
func (l leftovers) news(s charmtest.State) bool {
	text := fmt.Sprintf("%+v", s)
	before := l[text]
	l[text] = true
	return !before
}

func settled(t *testing.T, hook string, s charmtest.State) charmtest.State {
	if hook == "stop" || hook == "remove" {
		return s
	}
	return run(t, s, "update-status")
}

// deaths lists every point at which a hook can die.
func deaths(clean charmtest.Out) []charmtest.Death {
	var list []charmtest.Death
	for _, when := range []charmtest.When{charmtest.Before, charmtest.Amid, charmtest.After} {
		for n := range clean.Steps {
			list = append(list, charmtest.Death{Step: n + 1, When: when})
		}
		if when == charmtest.Amid {
			continue
		}
		for n := range clean.Calls {
			list = append(list, charmtest.Death{Call: n + 1, When: when})
		}
	}
	part := list[:0]
	for n := 0; n < len(list); n += needs.Of(1, 5) {
		part = append(part, list[n])
	}
	return part
}

// TestADebtIsPaidWhateverComesNext: after a hook was killed the operator may have
// changed the options, or Juju removes the unit.
func TestADebtIsPaidWhateverComesNext(t *testing.T) {
	for claim, tr := range transitions(t) {
		if tr.hook == "stop" || tr.hook == "remove" || tr.from.Juju.Options["spread"] == true {
			continue // where virtual IPs have places of their own, what came before tells which
		}
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			clean := charmtest.Run(t, tr.hook, tr.from)
			removed := run(t, clean.State, "stop", "remove").Host.String()
			fresh := map[string]string{}
			for _, v := range []string{"", vip, "10.10.74.240"} {
				fresh[v] = effective(run(t, option(clean.State, "virtual_ip", v), tr.hook, "update-status"))
			}
			left := leftovers{}
			for _, death := range deaths(clean) {
				if death.Step == 0 {
					continue // of the steps on the machine none is half done
				}
				died := charmtest.RunHook(t, charmtest.Hook{Name: tr.hook, Death: death}, tr.from).State
				if !left.news(died) {
					continue
				}
				for v, want := range fresh {
					got := run(t, option(died, "virtual_ip", v), tr.hook, "update-status")
					require.Equal(t, want, effective(got), "%+v then %q", death, v)
					require.Empty(t, got.Stale())
				}
				require.Equal(t, removed, run(t, died, "stop", "remove").Host.String(), "%+v then removed", death)
			}
		})
	}
}

// effective prints a state without what an idle unit keeps until it is removed:
// it has no effect, and is there or not depending on how far the unit once got. So does
// how often the unit has begun.
func effective(s charmtest.State) string {
	s = s.Clone()
	for _, bags := range s.Juju.Relations[endpoint.Cluster] {
		delete(bags[s.Juju.Unit], "knows") // how often it has begun to serve
	}
	if _, serves := s.Host.Files[s.Layout().Fragment()]; !serves {
		for _, p := range append(s.Host.Below(s.Layout().Run()), s.Host.Below(layout.StateRoot)...) {
			if p != layout.StateRoot+"/installed-package" {
				delete(s.Host.Files, p)
			}
		}
	}
	return s.String()
}

func TestANeighbourStaysUntouched(t *testing.T) {
	s := with(serving(t), addNeighbour)
	require.Empty(t, s.Host.Stale("other"))
	other := layout.Layout{Application: "other"}
	neighbour := func(s charmtest.State) string {
		text := fmt.Sprint(s.Host.Checkers["other"], s.Host.Stale("other"), s.Host.Installed, s.Host.Keepalived.Running, s.Host.Settings)
		for _, p := range append(s.Host.Below(other.State()), append(s.Host.Below(other.Run()), other.Fragment(), other.DropIn(), other.CheckerUnit(), layout.SysctlFile, layout.MainFile)...) {
			text += p + "\n" + s.Host.Files[p]
		}
		return text
	}
	want := neighbour(s)
	for claim, after := range map[string]charmtest.State{
		"option changed": run(t, option(s, "virtual_ip", "10.10.74.251"), "config-changed"),
		"withdrawn":      run(t, option(s, "virtual_ip", ""), "config-changed"),
		"stopped":        run(t, s, "stop"),
		"removed":        run(t, s, "stop", "remove"),
	} {
		require.Equal(t, want, neighbour(after), claim)
		require.Contains(t, after.Host.Keepalived.Loaded, "charm_other", claim)
		require.Equal(t, s.Host.Keepalived.Starts, after.Host.Keepalived.Starts, "%s: never restarted", claim)
	}
	gone := run(t, s, "stop", "remove")
	require.NotContains(t, gone.Host.Keepalived.Loaded, "charm_keepalived")
	require.Empty(t, gone.Host.Below(s.Layout().State()))
	require.Empty(t, gone.Host.Below(s.Layout().Run()))
}

func TestAClashOfVirtualRouterIDsBlocksTheSecond(t *testing.T) {
	s := option(with(serving(t), addNeighbour), "router_id", 77)
	out := charmtest.Run(t, "config-changed", s)
	require.Equal(t, juju.Blocked, out.Juju.Status.Level)
	require.Equal(t, s.Host.String(), out.Host.String())
}

// TestASecondApplicationSharesTheDaemon runs both applications' hooks on one
// machine, the second one's removal included.
func TestASecondApplicationSharesTheDaemon(t *testing.T) {
	before := charmtest.NewState(0)
	first := option(before, "virtual_ip", vip)
	second := option(charmtest.NewState(0), "virtual_ip", "10.10.74.251")
	second.Juju = charmtest.NewJuju(juju.Unit{Application: "lb2"}, juju.Unit{Application: "nginx"}, "10.10.74.11")
	second.Juju.Relate(endpoint.Cluster, "cluster:7")
	second = option(option(second, "virtual_ip", "10.10.74.251"), "router_id", 24)
	first = run(t, first, "install", "config-changed", "start")
	second.Host = first.Host
	second = run(t, second, "install", "config-changed", "start")
	require.Empty(t, second.Host.Stale("keepalived"))
	require.Empty(t, second.Host.Stale("lb2"))
	require.Contains(t, second.Host.Keepalived.Loaded, "charm_keepalived")
	require.Contains(t, second.Host.Keepalived.Loaded, "charm_lb2")
	first.Host = second.Host
	first = run(t, first, "update-status", "stop", "remove")
	require.True(t, first.Host.Installed)
	second.Host = first.Host
	second = run(t, second, "update-status")
	require.Empty(t, second.Stale())
	second = run(t, second, "stop", "remove")
	require.Equal(t, before.Host.String(), second.Host.String())
}

// TestAVirtualIPThatWasTakenAwayIsNoDeadHolder: a unit that stands aside, or has booted, goes by
// what it heard last, and the first virtual IP of then may be gone while the others are served.
func TestAVirtualIPThatWasTakenAwayIsNoDeadHolder(t *testing.T) {
	const second = "10.10.74.251"
	for claim, off := range map[string]bool{"an agent is away": false, "a machine is off": true} {
		for _, change := range []map[string]any{{"router_id": 42}, {"vrrp_mode": "unicast"}} {
			t.Run(fmt.Sprint(claim, change), func(t *testing.T) {
				c := deployed(t, 2, map[string]any{"virtual_ip": vip + " " + second})
				holder, standby := c.Nodes[0], c.Nodes[1]
				require.Equal(t, []*charmtest.Node{holder}, c.Serving())
				if off {
					c.PowerOff(standby)
				}
				c.Set(change)
				work(c, holder, standby)
				standby.Agent = false
				c.Pass(3)
				holder.Await("update-status")
				work(c, holder)
				c.Set(map[string]any{"virtual_ip": second})
				work(c, holder)
				if off {
					c.PowerOn(standby)
				}
				c.Pass(3)
				c.Pass(3)
				require.Len(t, c.Holders(netip.MustParseAddr(second)), 1, "%s", c)
			})
		}
	}
}
