package conflict_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/conflict"
)

func TestControlsAreAddressesThatNobodyIsKnownToHave(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)).Uint64
	for subnet, broadcast := range map[string]string{"10.10.74.0/24": "10.10.74.255", "10.10.74.8/29": "10.10.74.15", "10.0.0.0/8": "10.255.255.255",
		"0.0.0.0/0": "255.255.255.255", "fd00:74::/64": "", "fd00:74::/48": "", "fd00:74::10/124": "", "::/0": ""} {
		p := netip.MustParsePrefix(subnet)
		for range 200 {
			used := []netip.Addr{netip.MustParseAddr("10.10.74.9"), netip.MustParseAddr("10.10.74.250"), netip.MustParseAddr("fd00:74::11")}
			list := conflict.Controls(p, used, random)
			require.Len(t, list, 3, subnet)
			seen := map[netip.Addr]bool{}
			for _, a := range list {
				assert.True(t, p.Contains(a), "%s is in %s", a, subnet)
				assert.NotContains(t, used, a)
				assert.NotEqual(t, p.Masked().Addr(), a, "the network's own address")
				assert.NotEqual(t, broadcast, a.String(), "the broadcast address")
				seen[a] = true
			}
			assert.Len(t, seen, 3)
		}
	}
	for _, subnet := range []string{"10.10.74.8/30", "10.10.74.8/31", "10.10.74.8/32", "fd00:74::8/127", "fd00:74::8/128"} {
		assert.Empty(t, conflict.Controls(netip.MustParsePrefix(subnet), nil, random), "%s has too few", subnet)
	}
}

func TestAProxyAnswersForNobody(t *testing.T) {
	vip, peer := netip.MustParseAddr("10.10.74.250"), netip.MustParseAddr("10.10.74.12")
	asked := []netip.Addr{netip.MustParseAddr("10.10.74.31"), netip.MustParseAddr("10.10.74.77"), netip.MustParseAddr("10.10.74.141")}
	const proxy, owner, host = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"
	answer := func(iface, mac string, addresses ...netip.Addr) []conflict.Answer {
		var list []conflict.Answer
		for _, a := range addresses {
			list = append(list, conflict.Answer{Interface: iface, Address: a, By: conflict.Host{MAC: mac}, Last: true})
		}
		return list
	}
	for claim, c := range map[string]struct {
		answers, left [][]conflict.Answer
		proxies       []string
	}{
		"nobody answers": {},
		"an owner answers for what it has": {
			answers: [][]conflict.Answer{answer("eth0", owner, vip)}, left: [][]conflict.Answer{answer("eth0", owner, vip)}},
		"a proxy answers for everything": {
			answers: [][]conflict.Answer{answer("eth0", proxy, append(asked, vip, peer)...)}, proxies: []string{proxy}},
		"one answer of a proxy got lost": {
			answers: [][]conflict.Answer{answer("eth0", proxy, asked[0], asked[2], vip)}, proxies: []string{proxy}},
		"an owner is told beside a proxy": {
			answers: [][]conflict.Answer{answer("eth0", proxy, append(asked, vip)...), answer("eth0", owner, vip)},
			left:    [][]conflict.Answer{answer("eth0", owner, vip)}, proxies: []string{proxy}},
		"a control that is somebody's makes him no proxy": {
			answers: [][]conflict.Answer{answer("eth0", host, asked[1], vip)}, left: [][]conflict.Answer{answer("eth0", host, vip)}},
		"a proxy of one interface has an address on another": {
			answers: [][]conflict.Answer{answer("eth0", proxy, append(asked, vip)...), answer("eth1", proxy, vip)},
			left:    [][]conflict.Answer{answer("eth1", proxy, vip)}, proxies: []string{proxy}},
	} {
		t.Run(claim, func(t *testing.T) {
			flat := func(lists [][]conflict.Answer) []conflict.Answer {
				all := []conflict.Answer{}
				for _, l := range lists {
					all = append(all, l...)
				}
				return all
			}
			got := conflict.Look{Answers: flat(c.answers)}.Sift(asked)
			assert.Equal(t, flat(c.left), got.Answers)
			var proxies []string
			for _, p := range got.Proxies {
				proxies = append(proxies, p.Host.MAC)
			}
			assert.Equal(t, c.proxies, proxies)
		})
	}
}
