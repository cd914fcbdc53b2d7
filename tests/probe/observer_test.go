package probe

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"

	"keepalived-charm/tests/poll"
)

// fakeKernel drops messages when it is told to.
type fakeKernel struct {
	mu      sync.Mutex
	has     []netlink.Addr
	updates chan netlink.AddrUpdate
	drop    chan struct{}
	// listing is how long a list takes, broken what it fails with.
	listing time.Duration
	broken  error
	closed  bool
}

func (k *fakeKernel) subscribe(done <-chan struct{}, _ func(error)) (<-chan netlink.AddrUpdate, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	updates, drop := make(chan netlink.AddrUpdate), make(chan struct{})
	k.updates, k.drop = updates, drop
	go func() {
		select {
		case <-done:
		case <-drop:
		}
		close(updates)
	}()
	return updates, nil
}

func (k *fakeKernel) list() ([]netlink.Addr, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	time.Sleep(k.listing)
	return slices.Clone(k.has), k.broken
}

func (k *fakeKernel) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.closed = true
	return nil
}

// loses has the kernel drop all messages from a change of its addresses on.
func (k *fakeKernel) loses(change func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	change()
	close(k.drop)
}

func onEth0(address string) netlink.Addr {
	ip := net.ParseIP(address)
	return netlink.Addr{IPNet: &net.IPNet{IP: ip, Mask: net.CIDRMask(32, 32)}, LinkIndex: 2}
}

func TestAnObserverFindsItsPlaceAgain(t *testing.T) {
	kept, gone, come := netip.MustParseAddr("10.10.74.1"), netip.MustParseAddr("10.10.74.2"), netip.MustParseAddr("10.10.74.3")
	for claim, c := range map[string]struct {
		listing time.Duration
		broken  error
		want    string // error
	}{
		"what was missed a moment ago is made good":        {},
		"a long time without messages is a hole":           {listing: 2 * moment, want: "cannot follow addresses of a: messages are missing over "},
		"who can list nothing any more has lost its place": {broken: errors.New("no such device"), want: "cannot follow addresses of a: no such device"},
	} {
		t.Run(claim, func(t *testing.T) {
			t.Parallel()
			k := &fakeKernel{has: []netlink.Addr{onEth0(kept.String()), onEth0(gone.String()), onEth0("127.0.0.1")}}
			o := NewObserver()
			require.NoError(t, o.follow("a", k))
			require.ErrorContains(t, o.follow("a", &fakeKernel{}), "watched already")
			require.Equal(t, []netip.Addr{kept, gone}, o.HeldBy("a", time.Now()))
			before := time.Now()
			k.loses(func() {
				k.has = []netlink.Addr{onEth0(kept.String()), onEth0(come.String()), onEth0("127.0.0.1")}
				k.listing, k.broken = c.listing, c.broken
			})
			if c.broken == nil {
				poll.Until(t, func() bool { return slices.Equal(o.HeldBy("a", time.Now()), []netip.Addr{kept, come}) }, 30*time.Second, time.Millisecond)
				require.Equal(t, []netip.Addr{kept, gone}, o.HeldBy("a", before), "what was seen stays as it was")
				require.Zero(t, o.Between(kept, before, time.Now()).None)
				k.mu.Lock()
				updates := k.updates
				k.mu.Unlock()
				updates <- netlink.AddrUpdate{LinkAddress: *onEth0(come.String()).IPNet, LinkIndex: 2}
				poll.Until(t, func() bool { return len(o.Holders(come)) == 0 }, 30*time.Second, time.Millisecond, "and it goes on")
			}
			if c.want == "" {
				require.NoError(t, o.Err())
			} else {
				poll.Until(t, func() bool { return o.Err() != nil }, 2*patience+30*time.Second, time.Millisecond)
				require.ErrorContains(t, o.Err(), c.want)
			}
			o.Forget("a", time.Now())
			require.True(t, k.closed)
			require.Empty(t, o.HeldBy("a", time.Now()))
		})
	}
}

func TestAWatchThatEndsWhileItLooksForItsPlaceIsNoFault(t *testing.T) {
	k := &fakeKernel{}
	o := NewObserver()
	require.NoError(t, o.follow("a", k))
	k.loses(func() { k.broken = errors.New("no such device") })
	time.Sleep(moment)
	o.Close()
	require.NoError(t, o.Err())
	require.True(t, k.closed)
}
