package checker

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnAddressThatComesOrGoesIsNewsOnce(t *testing.T) {
	p, ip := primaries{}, netip.MustParseAddr("10.0.0.1")
	require.True(t, p.news(ip, 2, true))
	require.False(t, p.news(ip, 2, true), "its lifetime was prolonged")
	require.True(t, p.news(ip, 3, true), "the same on another interface")
	require.True(t, p.news(ip, 2, false))
	require.True(t, p.news(ip, 2, true), "it is back")
}
