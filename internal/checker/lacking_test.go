package checker

import (
	"bytes"
	"errors"
	"log"
	"net/netip"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/needs"
)

func TestALackingAddressIsToldOnceAfterAWhile(t *testing.T) {
	var l lacking
	var text bytes.Buffer
	now, logger := time.Now(), log.New(&text, "", 0)
	a, b := netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.12")
	take := func(after time.Duration, list ...netip.Addr) string {
		now = now.Add(after)
		l.take(list, now, logger)
		return l.lasting()
	}
	require.Empty(t, take(0))
	require.Empty(t, take(0, a), "for a moment")
	require.Empty(t, take(lackedFor-1, a))
	require.Equal(t, a.String(), take(1, a))
	require.Equal(t, a.String(), take(time.Hour, a), "the same condition: no news")
	require.Empty(t, take(0, b, a), "another one")
	require.Equal(t, a.String()+" "+b.String(), take(lackedFor, a, b), "in whatever order")
	require.Empty(t, take(0))
	require.Equal(t, "keepalived is MASTER without 192.0.2.11\nkeepalived is MASTER without 192.0.2.11 192.0.2.12\nno virtual IP is lacking any more\n", text.String())
}

// TestAnAddressThatLacksForLongEndsTheChecker, as Juju may be away, and at most once a
// minute: it may be in vain.
func TestAnAddressThatLacksForLongEndsTheChecker(t *testing.T) {
	now := time.Now()
	for claim, c := range map[string]struct {
		lacks, runs time.Duration
		told        bool
		ends        bool
	}{
		"for long":                               {lackedLong, time.Hour, true, true},
		"somebody else may still put it back":    {lackedLong - 1, time.Hour, true, false},
		"it was put back":                        {time.Hour, time.Hour, false, false},
		"a checker that began a moment ago":      {lackedLong, rescuePause - 1, true, false},
		"one that has gone on since for a while": {time.Hour, rescuePause, true, true},
	} {
		l := newTestLoop(t)
		l.began = now.Add(-c.runs)
		l.lacking = lacking{addresses: "192.0.2.11", since: now.Add(-c.lacks), told: c.told}
		err := l.lookAtLacking(now)
		require.Equal(t, c.ends, errors.Is(err, ErrLacking), claim)
	}
}

// TestAHolderWithoutAnAddressIsNews: a copy of it on an interface that is none of the
// instance's does not count.
func TestAHolderWithoutAnAddressIsNews(t *testing.T) {
	needs.Root(t)
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	links := map[string]netlink.Link{}
	for _, name := range []string{"br0", "kube-ipvs0"} {
		links[name] = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: name}}
		require.NoError(t, netlink.LinkAdd(links[name]))
	}
	l := newTestLoop(t)
	l.config.Links = []string{"br0"}
	dir := filepath.Join(t.TempDir(), "news")
	var err error
	l.news, err = openNews(dir, Status{}, ownIdentity(), l.log)
	require.NoError(t, err)
	put := func(name, address string) {
		at, err := netlink.ParseAddr(address)
		require.NoError(t, err)
		require.NoError(t, netlink.AddrAdd(links[name], at))
	}
	pass := func(after time.Duration) bool {
		l.lacking.since = l.lacking.since.Add(-after)
		l.readHolders()
		l.apply(time.Now())
		return taken(t, dir)
	}
	put("kube-ipvs0", "192.0.2.11/32")
	require.False(t, pass(0), "a standby lacks nothing")
	put("br0", "192.0.2.10/32")
	require.True(t, pass(0), "it holds")
	require.False(t, pass(0), "the other one may come yet")
	require.True(t, pass(lackedFor))
	require.False(t, pass(time.Hour), "told once")
	put("br0", "192.0.2.11/32")
	require.True(t, pass(0), "it is back")
}
