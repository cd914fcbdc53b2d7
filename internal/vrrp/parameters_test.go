package vrrp_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/vrrp"
)

func parameters() vrrp.Parameters {
	return vrrp.Parameters{Version: 3, Mode: vrrp.Multicast, VirtualRouterID: 23, Interval: 200 * time.Millisecond, Anchor: vrrp.Anchor(23, false)}
}

func TestParametersAreReadAsTheyWereWritten(t *testing.T) {
	for _, p := range []vrrp.Parameters{
		parameters(),
		{Version: 2, Mode: vrrp.Unicast, VirtualRouterID: 255, Interval: 40950 * time.Millisecond, Anchor: vrrp.Anchor(255, true)},
		{Version: 2, Mode: vrrp.Multicast, VirtualRouterID: 1, Interval: time.Second, Anchor: netip.MustParseAddr("10.10.74.250")},
		{Version: 3, Mode: vrrp.Multicast, VirtualRouterID: 1, Interval: time.Second, Anchor: vrrp.Anchor(1, false), Spread: true},
	} {
		got, ok := vrrp.ParseParameters(p.String())
		require.True(t, ok, "%s", p)
		require.Equal(t, p, got)
	}
}

func TestEveryVirtualRouterHasAnAnchorOfItsOwn(t *testing.T) {
	seen := map[netip.Addr]bool{}
	for id := vrrp.VirtualRouterID(1); id <= 255; id++ {
		for _, six := range []bool{false, true} {
			a := vrrp.Anchor(id, six)
			require.False(t, seen[a])
			require.Equal(t, six, a.Is6())
			require.False(t, a.IsLoopback() || a.IsMulticast() || a.IsGlobalUnicast() && !a.IsPrivate(), "%s is nobody's on the internet", a)
			seen[a] = true
		}
	}
}

func TestWhoUnderstandsWhom(t *testing.T) {
	p := parameters()
	slower := p
	slower.Interval = time.Second
	assert.True(t, p.Understands(slower), "version 3 learns the interval")
	old, oldSlower := p, slower
	old.Version, oldSlower.Version = 2, 2
	assert.False(t, old.Understands(oldSlower), "version 2 does not")
	assert.True(t, old.Understands(old))
	for _, change := range []func(*vrrp.Parameters){
		func(q *vrrp.Parameters) { q.Version = 2 }, func(q *vrrp.Parameters) { q.Mode = vrrp.Unicast },
		func(q *vrrp.Parameters) { q.VirtualRouterID = 24 }, func(q *vrrp.Parameters) { q.Anchor = vrrp.Anchor(23, true) },
	} {
		q := p
		change(&q)
		assert.False(t, p.Understands(q) || q.Understands(p), "%s", q)
	}
}

// FuzzParseParameters: only the exact text that a unit of this charm writes passes.
func FuzzParseParameters(f *testing.F) {
	f.Add(parameters().String())
	f.Add("version=3 mode=multicast vrid=023 interval=200ms anchor=169.254.23.112")
	f.Add("version=3 mode=multicast vrid=23 interval=200ms anchor=169.254.23.112\n}")
	f.Add("version=3 version=2 mode= vrid=256 interval=-1h anchor=fe80::1%x")
	f.Fuzz(func(t *testing.T, text string) {
		p, ok := vrrp.ParseParameters(text)
		if !ok {
			return
		}
		require.Equal(t, text, p.String())
		require.False(t, strings.ContainsAny(text, "\n\r{}\"#!%"))
	})
}
