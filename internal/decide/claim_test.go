package decide_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/decide"
	"keepalived-charm/internal/decidetest"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/plan"
	"keepalived-charm/internal/show"
	"keepalived-charm/internal/vrrp"
)

// serving is a unit that serves what observed is about to.
func serving(t *testing.T) facts.Observed {
	t.Helper()
	o := decidetest.Observed()
	o.Machine.Applied = decidetest.Record(t, o)
	return o
}

// claims are what a unit wants, in words; the password, which nobody wants here, left out.
func claims(d decide.Desired) (list []string) {
	for _, c := range d.Claims[1:] {
		list = append(list, c.String())
	}
	return list
}

// TestWhatIsHeldIsKeptAndWhatIsNewIsRefused: one way for everything that can speak against
// a claim.
func TestWhatIsHeldIsKeptAndWhatIsNewIsRefused(t *testing.T) {
	const vip, id = "10.10.74.250 on eth0", "virtual router ID 23 on eth0"
	neighbour := facts.Other{Owner: "application other"}
	stranger := conflict.Host{Address: netip.MustParseAddr("10.10.74.99"), MAC: "52:54:00:00:00:63"}
	for claim, c := range map[string]struct {
		change func(*facts.Observed)
		begins []string // what a unit wants that serves nothing yet
		serves []string // the same for one that does
	}{
		"nothing speaks against it": {func(*facts.Observed) {},
			[]string{vip + ": granted", id + ": granted"},
			[]string{vip + ": held", id + ": held"}},
		"another application has the virtual IP": {func(o *facts.Observed) {
			neighbour.Instances = []keepalived.Instance{{Interface: "eth0", VirtualRouterID: 99, Addresses: []netip.Addr{netip.MustParseAddr("10.10.74.250")}}}
			o.Machine.Others = []facts.Other{neighbour}
		},
			[]string{vip + `: refused, option virtual_ip is "10.10.74.250", must be a free address, 10.10.74.250 belongs to application other`},
			[]string{vip + `: held, though option virtual_ip is "10.10.74.250", must be a free address, 10.10.74.250 belongs to application other`, id + ": held"}},
		"another application has the virtual router ID": {func(o *facts.Observed) {
			neighbour.Instances = []keepalived.Instance{{Interface: "eth0", VirtualRouterID: 23}}
			o.Machine.Others = []facts.Other{neighbour}
		},
			[]string{vip + ": granted", id + `: refused, option router_id is "23", must be another one, application other uses it on interface eth0`},
			[]string{vip + ": held", id + `: held, though option router_id is "23", must be another one, application other uses it on interface eth0`}},
		"another application has it on another interface": {func(o *facts.Observed) {
			neighbour.Instances = []keepalived.Instance{{Interface: "eth1", VirtualRouterID: 23}}
			o.Machine.Others = []facts.Other{neighbour}
		},
			[]string{vip + ": granted", id + ": granted"},
			[]string{vip + ": held", id + ": held"}},
		"the interface's subnet has become one in which it is no host": {func(o *facts.Observed) {
			o.Machine.Interfaces[0].Addresses[0] = netip.MustParsePrefix("10.10.74.241/28")
			o.Options.Raw["virtual_ip"] = "10.10.74.255"
		},
			[]string{`10.10.74.255 on eth0: refused, option virtual_ip is "10.10.74.255", must be a free host address, 10.10.74.255 is the broadcast address of 10.10.74.240/28`},
			[]string{`10.10.74.255 on eth0: refused, option virtual_ip is "10.10.74.255", must be a free host address, 10.10.74.255 is the broadcast address of 10.10.74.240/28`}},
		"IPv6 is disabled where it is to be": {func(o *facts.Observed) {
			o.Machine.Interfaces[0].NoIPv6 = true
			o.Options.Raw["virtual_ip"] = "10.10.74.250,2001:db8::250"
			o.Machine.DefaultInterface6 = "eth0"
		},
			[]string{vip + ": granted", "2001:db8::250 on eth0: refused, virtual IP 2001:db8::250 cannot be on interface eth0, where IPv6 is disabled: sysctl net.ipv6.conf.eth0.disable_ipv6=0"},
			[]string{vip + ": held", "2001:db8::250 on eth0: refused, virtual IP 2001:db8::250 cannot be on interface eth0, where IPv6 is disabled: sysctl net.ipv6.conf.eth0.disable_ipv6=0"}},
		"no interface is left for it": {func(o *facts.Observed) {
			o.Machine.Interfaces, o.Machine.DefaultInterface4 = nil, ""
		},
			[]string{"10.10.74.250 on no interface: refused, no interface for virtual IP 10.10.74.250: no subnet of this machine holds it and there is no default route; set option network_interface"},
			[]string{vip + ": held", id + ": held"}},
		"a stranger on the network has the virtual router ID": {func(o *facts.Observed) {
			o.Look = &conflict.Look{Heard: []conflict.Heard{{Interface: "eth0", Sender: stranger, Delivered: true,
				Advertisement: vrrp.Advertisement{Version: 3, VirtualRouterID: 23, Priority: 200, Addresses: []netip.Addr{vrrp.Anchor(23, false)}}}}}
		},
			[]string{vip + ": granted", id + ": refused, router_id 23 is used by 10.10.74.99 (52:54:00:00:00:63): try juju config keepalived router_id=24"},
			[]string{vip + ": held", id + ": held"}},
	} {
		t.Run(claim, func(t *testing.T) {
			o := decidetest.Observed()
			c.change(&o)
			d, _ := decide.Decide(decidetest.Typed(o))
			require.Equal(t, c.begins, claims(d), "a unit that serves nothing yet")
			o = serving(t)
			c.change(&o)
			d, _ = decide.Decide(decidetest.Typed(o))
			require.Equal(t, c.serves, claims(d), "a unit that serves")
		})
	}
}

// TestAUnitGoesOnBesideWhatSpeaksAgainstIt: it mends, tells clients, and says what is wrong.
func TestAUnitGoesOnBesideWhatSpeaksAgainstIt(t *testing.T) {
	o := serving(t)
	o.Machine.Others = []facts.Other{{Owner: "application other", Instances: []keepalived.Instance{{Interface: "eth0", VirtualRouterID: 23}}}}
	d, err := decidetest.Desire(o)
	require.NoError(t, err)
	require.Contains(t, d.Files, d.Layout.Fragment())
	require.Equal(t, "10.10.74.250", d.Publish["website:3"]["hostname"], "clients are told")
	require.Contains(t, show.Shown(d, decidetest.Typed(o)).String(), `blocked: option router_id is "23", must be another one, application other uses it on interface eth0; meanwhile `)
	var says []string
	for _, s := range plan.Steps(d, o) {
		says = append(says, string(s.Action))
	}
	require.Contains(t, says, "write", "what is gone is written anew")
}

// TestAnAddressThatTheKernelRefusesIsAFinding: the others are served, and the unit says what
// is wrong.
func TestAnAddressThatTheKernelRefusesIsAFinding(t *testing.T) {
	o := decidetest.Observed()
	o.Options.Raw["virtual_ip"], o.Machine.DefaultInterface6 = "10.10.74.250,2001:db8::250", "eth0"
	o.Machine.Applied = decidetest.Record(t, o)
	o.Machine.Interfaces[0].NoIPv6 = true
	d, err := decidetest.Desire(o)
	require.NoError(t, err)
	require.ErrorContains(t, d.Finding(), "virtual IP 2001:db8::250 cannot be on interface eth0")
}

// TestAVirtualRouterIDIsAskedForAnew when it is to be used in another way: with multicast,
// strangers that have it count.
func TestAVirtualRouterIDIsAskedForAnew(t *testing.T) {
	o := decidetest.Observed()
	o.Options.Raw["vrrp_mode"] = "unicast"
	o.Machine.Applied = decidetest.Record(t, o)
	o.Options.Raw["vrrp_mode"] = "multicast"
	o = decidetest.Typed(o)
	require.NotNil(t, decide.Ask(o))
	o.Look = &conflict.Look{Heard: []conflict.Heard{{Interface: "eth0", Delivered: true,
		Sender:        conflict.Host{Address: netip.MustParseAddr("10.10.74.99"), MAC: "52:54:00:00:00:63"},
		Advertisement: vrrp.Advertisement{Version: 3, VirtualRouterID: 23, Priority: 200, Addresses: []netip.Addr{vrrp.Anchor(23, false)}}}}}
	_, err := decide.Decide(o)
	require.ErrorContains(t, err, "router_id 23 is used by 10.10.74.99")
}

// TestAUnitStaysNotWhereTheOthersAreAboutToLeave: they agree on another interface, and it has
// none.
func TestAUnitStaysNotWhereTheOthersAreAboutToLeave(t *testing.T) {
	o := decidetest.Observed()
	o.Machine.Interfaces = append(o.Machine.Interfaces, facts.Interface{Name: "eth1", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.7/24")}})
	o.Options.Raw["network_interface"] = "eth1"
	o.Machine.Applied = decidetest.Record(t, o)
	o.Options.Raw["network_interface"] = ""
	o.Machine.Interfaces, o.Machine.DefaultInterface4 = o.Machine.Interfaces[1:], ""
	d, err := decide.Decide(decidetest.Typed(o))
	require.ErrorContains(t, err, "no interface for virtual IP 10.10.74.250")
	require.Contains(t, d.Claims[1].String(), "10.10.74.250 on no interface: refused, ")
}
