package charm_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/charmtest"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/step"
)

// interfaceWith is an interface that works, with addresses.
func interfaceWith(name string, addresses ...string) facts.Interface {
	i := facts.Interface{Name: name, Up: true}
	for _, a := range addresses {
		i.Addresses = append(i.Addresses, netip.MustParsePrefix(a))
	}
	return i
}

// plus gives a machine more interfaces.
func plus(s charmtest.State, more ...facts.Interface) charmtest.State {
	return with(s, func(s *charmtest.State) { s.Host.Interfaces = append(s.Host.Interfaces, more...) })
}

// holdingThese is a unit that serves virtual IPs and holds them.
func holdingThese(t *testing.T, list string) charmtest.State {
	s := charmtest.NewState(0)
	s.Juju.Options["virtual_ip"], s.Host.Holds = list, true
	return run(t, s, "install", "config-changed", "start")
}

func TestTheInterfaceInUseStays(t *testing.T) {
	s := holdingThese(t, vip)
	smaller := interfaceWith("eth7", "10.10.74.249/28")
	bridge := smaller
	bridge.Name, bridge.Kind, bridge.Up = "br-x", "bridge", false
	for claim, s := range map[string]charmtest.State{
		"an unused bridge with a smaller subnet": plus(s, bridge),
		"an interface with a smaller subnet":     plus(s, smaller),
		"the interface has another address":      with(s, func(s *charmtest.State) { s.Host.Interfaces[1] = interfaceWith("eth0", "10.99.0.1/24") }),
		"the interface is gone, a bridge is left": with(plus(s, bridge), func(s *charmtest.State) {
			s.Host.Interfaces = slices.Delete(s.Host.Interfaces, 1, 2)
		}),
	} {
		require.Empty(t, charmtest.Run(t, "update-status", s).Steps, claim)
	}
	renamed := with(s, func(s *charmtest.State) { s.Host.Interfaces[1].Name, s.Host.DefaultInterface4 = "ens3", "ens3" })
	require.Contains(t, run(t, renamed, "update-status").Host.Keepalived.Loaded, vip+"/32 dev ens3\n", "it was renamed")
	named := option(plus(s, smaller), "network_interface", "eth7")
	named = run(t, named, "config-changed")
	require.Contains(t, named.Host.Keepalived.Loaded, vip+"/32 dev eth7\n", "the option says otherwise")
	require.Equal(t, "active: VIP ready: holds "+vip, named.Juju.Status.String())
	back := with(named, func(s *charmtest.State) {
		s.Host.Interfaces[len(s.Host.Interfaces)-1] = interfaceWith("eth7", "10.99.0.1/24")
	})
	require.Contains(t, run(t, option(back, "network_interface", ""), "config-changed").Host.Keepalived.Loaded, vip+"/32 dev eth0\n", "it no longer does")
}

// TestAVirtualIPFollowsItsNetwork: netplan, or Juju for a container, makes the interface a port
// of a bridge or bond, and what arrives there arrives at that one.
func TestAVirtualIPFollowsItsNetwork(t *testing.T) {
	const far = "10.10.76.250"
	into := func(vips, master, kind, address string, more ...facts.Interface) charmtest.State {
		return with(holdingThese(t, vips), func(s *charmtest.State) {
			s.Host.Interfaces[1].Addresses, s.Host.Interfaces[1].Master = nil, master
			m := interfaceWith(master)
			if m.Kind = kind; address != "" {
				m = interfaceWith(master, address)
				m.Kind = kind
			}
			s.Host.Interfaces = append(append(s.Host.Interfaces, m), more...)
			s.Host.DefaultInterface4 = ""
		})
	}
	defaulting := func(s charmtest.State, name string) charmtest.State {
		return with(s, func(s *charmtest.State) { s.Host.DefaultInterface4 = name })
	}
	beside := interfaceWith("eth1", "10.10.74.12/25")
	patched := interfaceWith("br-ex", "10.10.74.11/24")
	patched.Kind = "openvswitch"
	bond := interfaceWith("bond0")
	bond.Kind, bond.Master = "bond", "br-eth0"
	inBond := into(vip, "br-eth0", "bridge", "10.10.74.11/24", bond)
	inBond.Host.Interfaces[1].Master = "bond0"
	stale := into(vip, "br-eth0", "bridge", "10.10.74.11/24")
	stale.Host.Interfaces[1].Addresses = []netip.Prefix{netip.MustParsePrefix("10.10.74.11/24")}
	for claim, c := range map[string]struct {
		s          charmtest.State
		vip, where string
	}{
		"into a bridge":                              {into(vip, "br-eth0", "bridge", "10.10.74.11/24"), vip, "br-eth0"},
		"into a bond":                                {into(vip, "bond0", "bond", "10.10.74.11/24"), vip, "bond0"},
		"into a bond of a bridge":                    {inBond, vip, "br-eth0"},
		"into a bridge, another is in the subnet":    {into(vip, "br-eth0", "bridge", "10.10.74.11/24", beside), vip, "br-eth0"},
		"into a bridge, and keeps its address":       {stale, vip, "br-eth0"},
		"into a bridge that has the default route":   {defaulting(into(far, "br-eth0", "bridge", "10.10.74.11/24"), "br-eth0"), far, "br-eth0"},
		"into a switch of which another is a port":   {into(vip, "ovs-system", "openvswitch", "", patched), vip, "br-ex"},
		"not into a bridge that has no address yet":  {into(vip, "br-eth0", "bridge", ""), vip, "eth0"},
		"not into a bridge of another subnet":        {into(vip, "br-eth0", "bridge", "10.99.0.1/24"), vip, "eth0"},
		"not into a VRF, where it goes on by itself": {into(vip, "vrf-a", "vrf", "10.10.74.1/24"), vip, "eth0"},
	} {
		s := run(t, c.s, "update-status")
		require.Contains(t, s.Host.Keepalived.Loaded, c.vip+"/32 dev "+c.where+"\n", claim)
		require.Contains(t, s.Host.Keepalived.Loaded, "interface "+c.where+"\n", claim)
		require.Empty(t, charmtest.Run(t, "update-status", s).Steps, claim)
	}
}

// TestAVirtualIPStaysWhenItsNetworkMovesToWhereItCannotBe, with a finding: no option asked for
// that, so there are none to go back to.
func TestAVirtualIPStaysWhenItsNetworkMovesToWhereItCannotBe(t *testing.T) {
	for vips, c := range map[string]struct {
		bridge     facts.Interface
		stays, why string
	}{
		vip + " 2001:db8::250": {facts.Interface{NoIPv6: true, Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.74.11/24")}}, "2001:db8::250/128",
			"virtual IP 2001:db8::250 cannot be on interface br0, where IPv6 is disabled: sysctl net.ipv6.conf.br0.disable_ipv6=0"},
		vip + " 10.10.74.248": {facts.Interface{Addresses: []netip.Prefix{netip.MustParsePrefix("10.10.74.249/29")}}, "10.10.74.248/32",
			"10.10.74.248 is the network address of 10.10.74.248/29"},
	} {
		s := charmtest.NewState(0)
		s.Host.DefaultInterface6, s.Juju.Options["virtual_ip"] = "eth0", vips
		s.Host.Interfaces[1].Addresses = append(s.Host.Interfaces[1].Addresses, netip.MustParsePrefix("2001:db8::11/64"))
		s = run(t, s, "install", "config-changed", "start")
		c.bridge.Name, c.bridge.Kind, c.bridge.Up = "br0", "bridge", true
		s.Host.Interfaces[1].Master, s.Host.Interfaces[1].Addresses = "br0", nil
		s.Host.DefaultInterface4, s.Host.DefaultInterface6 = "br0", "br0"
		s = run(t, plus(s, c.bridge), "update-status")
		require.Contains(t, s.Juju.Status.Message, c.why+"; meanwhile VIP ready")
		require.Contains(t, s.Host.Keepalived.Loaded, vip+"/32 dev br0\n", vips)
		require.Contains(t, s.Host.Keepalived.Loaded, c.stays+" dev eth0\n", vips)
		require.Empty(t, charmtest.Run(t, "update-status", s).Steps, vips)
		s.Juju.Parameters = map[string]any{"force": true}
		s = run(t, s, "actions/pause")
		require.Empty(t, s.Juju.Failure, vips)
		require.Contains(t, s.Host.Files, s.Layout().Paused(), vips)
	}
}

func TestTheInterfaceOfTheDefaultRouteStaysWhenOneOfTheSubnetComes(t *testing.T) {
	const far = "10.10.76.250"
	s := plus(holdingThese(t, far), interfaceWith("eth1", "10.10.76.11/24"))
	out := charmtest.Run(t, "update-status", s)
	require.Empty(t, out.Steps)
	require.Equal(t, "active: VIP ready: holds "+far+"; "+far+" is in the subnet of eth1, not of eth0: see network_interface", out.Juju.Status.String())
}

func TestTheFirstChoiceOfAnInterface(t *testing.T) {
	const far = "10.10.76.250"
	of := func(name, kind, address string) facts.Interface {
		i := interfaceWith(name, address)
		i.Kind = kind
		return i
	}
	port := func(name, master, address string) facts.Interface {
		i := of(name, "", address)
		i.Master = master
		return i
	}
	down := of("eth8", "", "10.10.76.241/28")
	down.Up = false
	silent := of("kube-ipvs0", "dummy", "10.10.76.99/24")
	silent.NoARP = true
	for claim, c := range map[string]struct {
		there []facts.Interface
		want  string
	}{
		"the smallest subnet":             {[]facts.Interface{interfaceWith("eth1", "10.10.76.11/24"), interfaceWith("eth2", "10.10.0.11/16")}, "eth1"},
		"the first by name of two":        {[]facts.Interface{interfaceWith("eth2", "10.10.76.12/24"), interfaceWith("eth1", "10.10.76.11/24")}, "eth1"},
		"no bridge beside one":            {[]facts.Interface{of("br0", "bridge", "10.10.76.249/28"), interfaceWith("eth1", "10.10.76.11/24")}, "eth1"},
		"a bridge alone":                  {[]facts.Interface{of("br0", "bridge", "10.10.76.249/28")}, "br0"},
		"a vlan":                          {[]facts.Interface{of("eth0.7", "vlan", "10.10.76.249/28")}, "eth0.7"},
		"none that is a port of another":  {[]facts.Interface{port("eth9", "br0", "10.10.76.249/28"), of("br0", "bridge", "10.10.76.11/24")}, "br0"},
		"the pair of a container":         {[]facts.Interface{of("eth1", "veth", "10.10.76.11/24")}, "eth1"},
		"none that is down beside one":    {[]facts.Interface{down, interfaceWith("eth1", "10.10.76.11/24")}, "eth1"},
		"one that is down, before others": {[]facts.Interface{down}, "eth8"},
		"the default route before a container engine's": {[]facts.Interface{of("docker0", "bridge", "10.10.76.1/24"), of("lxdbr0", "bridge", "10.10.76.1/24"),
			of("br-0123456789ab", "bridge", "10.10.76.1/24"), of("wg0", "wireguard", "10.10.76.1/24"), of("vxlan.calico", "vxlan", "10.10.76.1/24"), silent}, "eth0"},
	} {
		s := run(t, plus(with(charmtest.NewState(0), func(s *charmtest.State) { s.Juju.Options["virtual_ip"] = far }), c.there...), "install", "config-changed")
		require.Contains(t, s.Host.Keepalived.Loaded, far+"/32 dev "+c.want+"\n", claim)
	}
}

// TestAnOwnAddressThatIsAwayForAMomentIsNotLost: a lease that ended, a network that was
// configured anew.
func TestAnOwnAddressThatIsAwayForAMomentIsNotLost(t *testing.T) {
	const own = "10.10.74.11/24"
	away := func(s charmtest.State) charmtest.State {
		return with(s, func(s *charmtest.State) {
			i := &s.Host.Interfaces[1]
			i.Addresses = slices.DeleteFunc(i.Addresses, func(p netip.Prefix) bool { return p.String() == own })
		})
	}
	back := func(s charmtest.State) charmtest.State {
		return with(s, func(s *charmtest.State) {
			s.Host.Interfaces[1].Addresses = append(s.Host.Interfaces[1].Addresses, netip.MustParsePrefix(own))
			s.Host.Late = []netip.Prefix{netip.MustParsePrefix(own)}
		})
	}
	s := holdingThese(t, vip+"/24")
	require.Contains(t, s.Host.Keepalived.Loaded, vip+"/32 dev eth0\n")
	out := charmtest.Run(t, "update-status", away(s))
	require.Empty(t, out.Steps, "the prefix stays")
	require.Empty(t, charmtest.Run(t, "update-status", back(out.State)).Steps)

	late := charmtest.NewState(0)
	late.Juju.Options["virtual_ip"], late.Host.Holds = vip+"/24", true
	s = run(t, away(late), "install", "config-changed", "start")
	require.Contains(t, s.Host.Keepalived.Loaded, vip+"/24 dev eth0\n", "deployed while it is away")
	s = run(t, back(s), "update-status")
	require.Contains(t, s.Host.Keepalived.Loaded, vip+"/32 dev eth0\n")
	require.Contains(t, s.Host.Interfaces[1].Addresses, netip.MustParsePrefix(own), "the machine has its address")
}

func TestThePrefixIsAsTheOptionSays(t *testing.T) {
	s := holdingThese(t, "10.77.0.250")
	require.Contains(t, s.Host.Keepalived.Loaded, "10.77.0.250/32 dev eth0\n")
	s = run(t, option(s, "virtual_ip", "10.77.0.250/24"), "config-changed", "update-status")
	require.Contains(t, s.Host.Keepalived.Loaded, "10.77.0.250/24 dev eth0\n")
}

func TestAVirtualIPThatGoesTakesNoOtherAlong(t *testing.T) {
	const a, b = "10.77.0.250", "10.77.0.251"
	s := holdingThese(t, a+"/24,"+b+"/24")
	s = run(t, option(s, "virtual_ip", b+"/24"), "config-changed")
	require.Empty(t, s.Host.Lost)
	require.Equal(t, "active: VIP ready: holds "+b, s.Juju.Status.String())
}

// TestAnAddressThatItsOwnerHasOnTheLoopbackDeviceIsPutBackWhereClientsFindIt: it is there on a real
// server of LVS, for the director alone.
func TestAnAddressThatItsOwnerHasOnTheLoopbackDeviceIsPutBackWhereClientsFindIt(t *testing.T) {
	s := serving(t)
	s.Host.Lost, s.Host.Pinned = []netip.Addr{netip.MustParseAddr(vip)}, []netip.Addr{netip.MustParseAddr(vip)}
	out := charmtest.Run(t, "update-status", s)
	require.Equal(t, []step.Step{{Action: step.Restore, Addresses: s.Host.Lost}}, out.Steps)
	require.Equal(t, s.Host.Pinned, out.Host.Pinned)
	require.Equal(t, "active: VIP ready: holds "+vip, out.Juju.Status.String())
}

// TestAnAddressThatWasLostIsPutBack: on a machine that does not let its settings be
// changed, say.
func TestAnAddressThatWasLostIsPutBack(t *testing.T) {
	s := with(holdingThese(t, vip+",10.10.74.251"), func(s *charmtest.State) { s.Host.Lost = []netip.Addr{netip.MustParseAddr("10.10.74.251")} })
	out := charmtest.Run(t, "update-status", s)
	require.Equal(t, []step.Action{step.Restore}, actions(out.Steps))
	require.Equal(t, "active: VIP ready: holds "+vip+", 10.10.74.251", out.Juju.Status.String())
	require.Empty(t, out.Stale())
}

func actions(steps []step.Step) (list []step.Action) {
	for _, s := range steps {
		list = append(list, s.Action)
	}
	return list
}

// TestCopiesOfOthersAreLeftAlone: kube-proxy in IPVS mode keeps each service's address
// on an interface that does not answer ARP.
func TestCopiesOfOthersAreLeftAlone(t *testing.T) {
	copies := facts.Interface{Name: "kube-ipvs0", Kind: "dummy", NoARP: true, Addresses: []netip.Prefix{netip.MustParsePrefix(vip + "/32")}}
	for _, holds := range []bool{true, false} {
		s := charmtest.NewState(0)
		s.Juju.Options["virtual_ip"], s.Host.Holds = vip, holds
		before := run(t, s, "install", "config-changed", "start")
		first := run(t, plus(s, copies), "install", "config-changed", "start")
		require.Equal(t, before.Juju.Status, first.Juju.Status, "it was there before the charm")
		out := charmtest.Run(t, "update-status", plus(before, copies))
		require.Empty(t, out.Steps)
		require.Equal(t, before.Juju.Status, out.Juju.Status)
		out = charmtest.Run(t, "update-status", with(plus(before, copies), func(s *charmtest.State) {
			if holds {
				s.Host.Lost = []netip.Addr{netip.MustParseAddr(vip)}
			} else {
				s.Host.Stray = []netip.Addr{netip.MustParseAddr(vip)}
			}
		}))
		require.Equal(t, map[bool][]step.Action{true: {step.Restore}, false: {step.Flush}}[holds], actions(out.Steps))
	}
}

// TestWhereNobodyFindsAddressesNothingIsServed, whatever the operator says.
func TestWhereNobodyFindsAddressesNothingIsServed(t *testing.T) {
	own := []netip.Prefix{netip.MustParsePrefix("10.10.74.9/24")}
	for _, c := range []struct {
		port facts.Interface
		must string
	}{
		{facts.Interface{Master: "br0"}, "must be an interface that gets what arrives, port0 is a port of br0"},
		{facts.Interface{Kind: "dummy", Addresses: own}, "must be an interface that answers on a network for its addresses, port0 does not"},
		{facts.Interface{NoARP: true, Addresses: own}, "must be an interface that answers on a network for its addresses, port0 does not"},
	} {
		bridge := interfaceWith("br0", "10.10.74.8/24")
		port, must := c.port, c.must
		bridge.Kind, port.Name, port.Up = "bridge", "port0", true
		const is = `blocked: option network_interface is "port0", `
		begins := option(option(charmtest.NewState(0), "virtual_ip", vip), "network_interface", "port0")
		begins = run(t, plus(begins, port, bridge), "install", "config-changed", "start")
		require.Equal(t, is+must, begins.Juju.Status.String(), "one that begins")
		s := run(t, option(plus(holdingThese(t, vip), port, bridge), "network_interface", "port0"), "config-changed")
		require.Contains(t, s.Host.Keepalived.Loaded, vip+"/32 dev eth0\n")
		require.Equal(t, is+must+"; meanwhile VIP ready: holds "+vip, s.Juju.Status.String())
		held := run(t, option(plus(holdingThese(t, vip), interfaceWith("port0", "10.10.74.9/24"), bridge), "network_interface", "port0"), "config-changed")
		held.Host.Interfaces[slices.IndexFunc(held.Host.Interfaces, func(i facts.Interface) bool { return i.Name == "port0" })] = port
		held = run(t, held, "update-status")
		require.Contains(t, held.Host.Keepalived.Loaded, vip+"/32 dev port0\n")
		require.Contains(t, held.Juju.Status.String(), is+must+"; meanwhile ", "one that is there already")

		alone, on := vip+"%port0", "must be on "+strings.TrimPrefix(must, "must be ")
		begins = run(t, plus(option(charmtest.NewState(0), "virtual_ip", alone), port, bridge), "install", "config-changed", "start")
		require.Equal(t, `blocked: option virtual_ip is "`+alone+`", `+on, begins.Juju.Status.String(), "one that begins")
		held = run(t, option(plus(holdingThese(t, vip), interfaceWith("port0", "10.10.74.9/24"), bridge), "virtual_ip", alone), "config-changed")
		held.Host.Interfaces[slices.IndexFunc(held.Host.Interfaces, func(i facts.Interface) bool { return i.Name == "port0" })] = port
		held = run(t, held, "update-status")
		require.Contains(t, held.Host.Keepalived.Loaded, vip+"/32 dev port0\n")
		require.Contains(t, held.Juju.Status.String(), on+"; meanwhile ", "one that is there already")
	}
}

// TestWhatIsServedDoesNotMoveToAnInterfaceThatCannotServeIt: the one in use serves.
func TestWhatIsServedDoesNotMoveToAnInterfaceThatCannotServeIt(t *testing.T) {
	four := []netip.Prefix{netip.MustParsePrefix("10.10.75.11/24")}
	for claim, c := range map[string]struct {
		mode string
		eth1 facts.Interface
	}{
		"unicast, no IPv4":   {"unicast", facts.Interface{Name: "eth1", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::12/64")}}},
		"multicast, no IPv4": {"multicast", facts.Interface{Name: "eth1", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("fe80::12/64")}}},
		"multicast, down":    {"multicast", facts.Interface{Name: "eth1", Addresses: four}},
	} {
		t.Run(claim, func(t *testing.T) {
			s := run(t, option(serving(t), "vrrp_mode", c.mode), "config-changed", "update-status")
			s.Host.Interfaces = append(s.Host.Interfaces, c.eth1)
			s = run(t, option(s, "network_interface", "eth1"), "config-changed", "update-status")
			require.Contains(t, s.Host.Keepalived.Loaded, "interface eth0\n", "%s", s.Juju.Status)
		})
	}
}

// TestTheOrderOfVirtualIPsMovesNoAdvertisements: with two interfaces all units go on where they
// are, hook by hook, and who joins comes there.
func TestTheOrderOfVirtualIPsMovesNoAdvertisements(t *testing.T) {
	const here, there, late = "10.10.74.250", "10.10.76.250", "10.10.76.251"
	wire := func(c *charmtest.Cluster) {
		n := c.Nodes[len(c.Nodes)-1]
		n.Host.Interfaces = append(n.Host.Interfaces, interfaceWith("eth1", fmt.Sprintf("10.10.76.%d/24", 11+len(c.Nodes))))
	}
	c := charmtest.NewCluster(t, clusterOptions())
	c.Set(map[string]any{"virtual_ip": here + " " + there})
	for range 3 {
		c.Add()
		wire(c)
	}
	rest(t, c)
	on := func(claim string) {
		t.Helper()
		for _, n := range c.Nodes {
			require.Contains(t, n.Host.Keepalived.Loaded, "vrrp_instance charm_keepalived {\n    interface eth0\n", "%s, %s", claim, n.Juju.Unit)
		}
		require.Len(t, c.Serving(), 1, claim)
	}
	on("deployed")
	gaps := c.GapsAt[netip.MustParseAddr(there)]
	for _, vips := range []string{there + " " + here, there, late + " " + there, there + " " + late, here + " " + there} {
		c.Set(map[string]any{"virtual_ip": vips})
		for _, n := range c.Nodes {
			work(c, n)
			on(vips)
		}
		rest(t, c)
		on(vips)
	}
	c.Set(map[string]any{"virtual_ip": there})
	rest(t, c)
	c.Add()
	wire(c)
	rest(t, c)
	on("one joins")
	require.Equal(t, gaps, c.GapsAt[netip.MustParseAddr(there)])
}
