package host

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestARefusedConnectionIsAnAnswer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	target := netip.MustParseAddrPort(l.Addr().String())
	end := New(t.TempDir(), "").Watch(target)
	time.Sleep(300 * time.Millisecond)
	require.NoError(t, l.Close())
	time.Sleep(300 * time.Millisecond)
	_, answers := end()
	require.True(t, answers)
}
