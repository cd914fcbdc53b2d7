package keepalived_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

// python is the file of the Python charm, with its lines in its order.
const python = `vrrp_script chk_svc_port {
    script "bash -c '</dev/tcp/127.0.0.1/443'"
    interval 2
    weight 2
}

vrrp_instance VI_1 {
    interface eth0
    state MASTER
    virtual_router_id 23
    priority 101
    virtual_ipaddress {
        10.10.74.250/24
    }
    track_script {
        chk_svc_port
    }
}`

func TestParametersOfEveryRenderedFragmentAreFoundAgain(t *testing.T) {
	for name, f := range cases() {
		text, err := f.Render()
		require.NoError(t, err)
		for _, i := range f.Instances {
			got, ok := keepalived.ReadParameters(text, i.Name)
			require.True(t, ok, name)
			require.Equal(t, i.Parameters, got, name)
		}
		peers := 0
		for _, i := range f.Instances {
			if i.Mode == vrrp.Unicast {
				require.Equal(t, i.Peers, keepalived.Peers(text), name)
				peers++
			}
		}
		require.Equal(t, peers > 0, len(keepalived.Peers(text)) > 0, name)
		_, ok := keepalived.ReadParameters(text, "charm_other")
		require.False(t, ok)
	}
}

func TestParametersOfThePythonCharm(t *testing.T) {
	for prefix, version := range map[string]int{"10.10.74.250/24": 2, "2001:db8::250/64": 3, "2001:db8::250/64\n10.10.74.250/24": 3, "10.10.74.250/24\n2001:db8::250/64": 2} {
		got, ok := keepalived.ReadPython(strings.Replace(python, "10.10.74.250/24", prefix, 1))
		require.True(t, ok, prefix)
		first, _, _ := strings.Cut(prefix, "/")
		require.Equal(t, vrrp.Parameters{Version: version, Mode: vrrp.Multicast, VirtualRouterID: 23, Interval: time.Second,
			Anchor: netip.MustParseAddr(first)}, got, prefix)
	}
	for _, text := range []string{"", "vrrp_instance VI_1", "vrrp_script chk_svc_port vrrp_instance VI_1 virtual_router_id"} {
		_, ok := keepalived.ReadPython(text)
		require.False(t, ok, "%q", text)
	}
}

func FuzzReadPython(f *testing.F) {
	f.Add(python)
	f.Add("vrrp_script chk_svc_port vrrp_instance VI_1 virtual_ipaddress { 10.0.0.1 } virtual_router_id")
	f.Add("vrrp_script chk_svc_port vrrp_instance VI_1 virtual_ipaddress { 10.0.0.1 } virtual_router_id 999")
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := keepalived.ReadPython(text); ok {
			require.True(t, p.Anchor.IsValid() && p.VirtualRouterID >= 1 && p.VirtualRouterID <= 255)
		}
		if p, ok := keepalived.ReadParameters(text, "charm_keepalived"); ok {
			require.True(t, p.VirtualRouterID >= 1 && p.VirtualRouterID <= 255)
		}
	})
}

// TestABraceInQuotesHidesNoInstance: it is a part of a word, to keepalived and here.
func TestABraceInQuotesHidesNoInstance(t *testing.T) {
	for _, word := range []string{`"ab{c"`, `"ab}c"`, `"/bin/sh -c '[ x ] && {'"`, `"a}}b"`} {
		found := keepalived.Instances("vrrp_instance A {\n    interface eth0\n    authentication {\n        auth_type PASS\n        auth_pass " + word +
			"\n    }\n    virtual_router_id 5\n    virtual_ipaddress {\n        10.0.0.5/32\n    }\n}\nvrrp_instance B {\n    interface eth0\n    virtual_router_id 6\n    virtual_ipaddress {\n        10.0.0.6/32\n    }\n}\n")
		require.Len(t, found, 2, word)
		require.Equal(t, []netip.Addr{netip.MustParseAddr("10.0.0.5")}, found[0].Addresses, word)
		require.Equal(t, []netip.Addr{netip.MustParseAddr("10.0.0.6")}, found[1].Addresses, word)
	}
}

// TestABroadcastAddressIsNoVirtualAddress: IPADDR[/MASK] [brd IPADDR] [peer IPADDR] [dev NAME],
// keepalived.conf(5).
func TestABroadcastAddressIsNoVirtualAddress(t *testing.T) {
	require.Equal(t, []netip.Addr{netip.MustParseAddr("10.0.0.5")},
		keepalived.VirtualAddresses("vrrp_instance A {\n    virtual_ipaddress {\n        10.0.0.5/24 brd 10.0.0.255 dev eth0\n    }\n}\n"))
}

func TestAnInstanceClaimsWhatItsBlockSays(t *testing.T) {
	for claim, text := range map[string]string{
		"alone":                   "",
		"a group for ARP follows": "garp_group {\n  garp_interval 1\n  interface eth1\n}\n",
		"one that keepalived does not know follows": "other {\n  virtual_router_id 9\n  native_ipv6\n  virtual_ipaddress {\n    10.0.0.9\n  }\n}\n",
	} {
		require.Equal(t, []keepalived.Instance{{Name: "A", Interface: "eth0", VirtualRouterID: 7,
			Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.7")}, Advertised: []netip.Addr{netip.MustParseAddr("10.0.0.7")}}},
			keepalived.Instances("vrrp_instance A {\n  interface eth0\n  virtual_router_id 7\n  virtual_ipaddress {\n    10.0.0.7\n  }\n}\n"+text), claim)
	}
}
