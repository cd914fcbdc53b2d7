package keepalived_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/vrrp"
)

const fragments = "/etc/keepalived/charm.d"

// runRoot is where the golden files have their track files.
const runRoot = "/run/keepalived-charm"

func one(change func(*keepalived.VRRPInstance)) keepalived.Fragment {
	i := keepalived.VRRPInstance{
		Name: "charm_keepalived", Interface: "eth0", Priority: vrrp.Base(0),
		Parameters: vrrp.Parameters{Version: 3, Mode: vrrp.Multicast, VirtualRouterID: 23,
			Interval: 200 * time.Millisecond, Anchor: vrrp.Anchor(23, false)},
		TrackFile: "/run/keepalived-charm/keepalived/priority",
		Addresses: at("10.10.74.250/32"),
	}
	change(&i)
	return keepalived.Fragment{Application: "keepalived", Instances: []keepalived.VRRPInstance{i}}
}

// at puts addresses on eth0.
func at(addresses ...string) []keepalived.VirtualAddress {
	var list []keepalived.VirtualAddress
	for _, a := range addresses {
		list = append(list, keepalived.VirtualAddress{Prefix: netip.MustParsePrefix(a), Interface: "eth0"})
	}
	return list
}

func cases() map[string]keepalived.Fragment {
	two := one(func(*keepalived.VRRPInstance) {})
	second := one(func(i *keepalived.VRRPInstance) {
		i.Name, i.TrackFile = "charm_keepalived_1", "/run/keepalived-charm/keepalived/priority-1"
		i.VirtualRouterID, i.Anchor = 24, vrrp.Anchor(24, false)
		i.Addresses = at("10.10.74.251/32")
	})
	two.Instances = append(two.Instances, second.Instances...)
	return map[string]keepalived.Fragment{
		"one-vip":     one(func(*keepalived.VRRPInstance) {}),
		"with-prefix": one(func(i *keepalived.VRRPInstance) { i.Addresses = at("198.51.100.9/24") }),
		"several-both-families": one(func(i *keepalived.VRRPInstance) {
			i.Addresses = at("10.10.74.250/32", "10.10.74.251/32", "2001:db8::250/128", "198.51.100.9/24")
		}),
		"ipv6-only": one(func(i *keepalived.VRRPInstance) {
			i.Anchor, i.Addresses = vrrp.Anchor(23, true), at("2001:db8::250/128")
		}),
		"ipv6-first": one(func(i *keepalived.VRRPInstance) { i.Addresses = at("2001:db8::250/64", "10.10.74.250/32") }),
		"unicast": one(func(i *keepalived.VRRPInstance) {
			i.Mode, i.Peers = vrrp.Unicast, []netip.Addr{netip.MustParseAddr("10.10.74.12"), netip.MustParseAddr("10.10.74.13")}
		}),
		"unicast-ipv6": one(func(i *keepalived.VRRPInstance) {
			i.Mode, i.Peers = vrrp.Unicast, []netip.Addr{netip.MustParseAddr("2001:db8::12")}
			i.Anchor, i.Addresses = vrrp.Anchor(23, true), at("2001:db8::250/128")
		}),
		"beside-the-python-charm": one(func(i *keepalived.VRRPInstance) {
			i.Version, i.Interval, i.Anchor = 2, time.Second, netip.MustParseAddr("10.10.74.250")
			i.Addresses = at("10.10.74.250/24", "10.10.74.251/32")
		}),
		"beside-the-python-charm-with-two-vips": one(func(i *keepalived.VRRPInstance) {
			i.Version, i.Interval, i.Anchor = 2, time.Second, netip.MustParseAddr("10.10.74.250")
			i.Addresses = at("10.10.74.250/32", "10.10.74.251/32", "2001:db8::250/128")
			i.Also = []netip.Addr{netip.MustParseAddr("10.10.74.251")}
		}),
		"beside-the-python-charm-ipv6": one(func(i *keepalived.VRRPInstance) {
			i.Interval, i.Anchor = time.Second, netip.MustParseAddr("2001:db8::250")
			i.Addresses = at("2001:db8::250/64", "10.10.74.250/32")
		}),
		"fastest": one(func(i *keepalived.VRRPInstance) {
			i.Interval, i.Priority = 50*time.Millisecond, vrrp.Base(vrrp.Ranks-1)
		}),
		"slowest": one(func(i *keepalived.VRRPInstance) { i.Interval = 40950 * time.Millisecond }),
		"longest-names": one(func(i *keepalived.VRRPInstance) {
			i.Name, i.Interface = "charm_"+strings.Repeat("k", 58), "bond0.100"
			i.TrackFile = "/run/keepalived-charm/" + strings.Repeat("k", 58) + "/priority"
			i.Addresses[0].Interface = "bond0.100"
		}),
		"two-instances": two,
		"no-vip":        one(func(i *keepalived.VRRPInstance) { i.Addresses = nil }),
	}
}

// golden compares with a file of testdata; UPDATE_GOLDEN=1 writes it anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if os.Getenv("UPDATE_GOLDEN") != "" {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got, "UPDATE_GOLDEN=1 writes %s anew", path)
}

func TestRender(t *testing.T) { renderAll(t) }

func renderAll(t *testing.T) {
	t.Helper()
	main, err := keepalived.Main{Fragments: fragments}.Render()
	require.NoError(t, err)
	golden(t, "main", main)
	for name, f := range cases() {
		text, err := f.Render()
		require.NoError(t, err)
		golden(t, "fragment-"+name, text)
	}
}

func TestIntervalsAreWrittenInPlainSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		50 * time.Millisecond: "0.05", 200 * time.Millisecond: "0.2", time.Second: "1", 40950 * time.Millisecond: "40.95",
	} {
		require.Equal(t, want, keepalived.VRRPInstance{Parameters: vrrp.Parameters{Interval: d}}.Seconds())
	}
}

func TestEveryRenderedAddressIsFoundAgain(t *testing.T) {
	for name, f := range cases() {
		text, err := f.Render()
		require.NoError(t, err)
		var want []netip.Addr
		for _, i := range f.Instances {
			want = append(want, i.Anchor)
			for _, a := range i.Addresses {
				if a.Addr() != i.Anchor {
					want = append(want, a.Addr())
				}
			}
		}
		require.Equal(t, want, keepalived.VirtualAddresses(text), name)
	}
}
