package host_test

import (
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/host"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
	"keepalived-charm/internal/step"
)

// TestTheDaemonIsNotAskedAllTheTime: each question is a line in its journal.
func TestTheDaemonIsNotAskedAllTheTime(t *testing.T) {
	if !alone(t) {
		return
	}
	m := newMachine(t)
	m.start(t.TempDir())
	m.serves(200*time.Millisecond, "eth0", netip.MustParseAddr("10.10.74.251"))
	begun := time.Now()
	m.apply(step.Step{Action: step.Await}) // it never reads that address
	require.Greater(t, time.Since(begun), time.Second)
	asked := len(m.says("asked"))
	require.NotZero(t, asked) // a busy machine has the time for one
	require.LessOrEqual(t, asked, 8)
}

func TestARestEndsWhenAnAddressComes(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	lo, err := netlink.LinkByName("lo")
	require.NoError(t, err)
	address, err := netlink.ParseAddr("10.10.74.250/32")
	require.NoError(t, err)
	h := host.New(t.TempDir(), "")
	begun := time.Now()
	h.Rest()
	require.GreaterOrEqual(t, time.Since(begun), 200*time.Millisecond)
	here, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	require.NoError(t, err)
	defer here.Close()
	// A busy machine may make one longer, or be late with the address.
	poll.Until(t, func() bool {
		added := make(chan error, 1)
		time.AfterFunc(30*time.Millisecond, func() { added <- here.AddrAdd(lo, address) })
		begun := time.Now()
		h.Rest()
		rested := time.Since(begun)
		require.NoError(t, <-added)
		require.NoError(t, here.AddrDel(lo, address))
		return rested < 200*time.Millisecond
	}, 20*time.Second, time.Millisecond)
}
