package checker

import (
	"bytes"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/poll"
)

// taken tells whether there were news, and takes them in.
func taken(t *testing.T, dir string) bool {
	t.Helper()
	err := os.Remove(filepath.Join(dir, healthcheck.Pending))
	if err != nil {
		require.ErrorIs(t, err, os.ErrNotExist)
	}
	return err == nil
}

func TestOnlyWhatChangesIsNews(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", "news")
	n, err := openNews(dir, Status{}, ownIdentity(), log.New(os.Stderr, "", 0))
	require.NoError(t, err)
	defer n.close()
	for _, step := range []struct {
		claim   string
		verdict verdict
		holds   []string
		news    bool
	}{
		{"nothing is known yet", unknown, nil, false},
		{"the first verdict", healthy, nil, true},
		{"the same again", healthy, nil, false},
		{"an address came", healthy, []string{"b"}, true},
		{"another came", healthy, []string{"b", "a"}, true},
		{"in another order", healthy, []string{"a", "b"}, false},
		{"the verdict turned", sick, []string{"a", "b"}, true},
		{"all went", sick, nil, true},
	} {
		n.take(step.verdict, step.holds, "", "")
		require.Equal(t, step.news, taken(t, dir), step.claim)
	}
	n.take(healthy, nil, "", "")
	n.take(sick, nil, "", "")
	require.True(t, taken(t, dir), "much news is one file")
	require.False(t, taken(t, dir))
}

func TestWhatTheCheckerBeforeSaidIsNoNews(t *testing.T) {
	dir := t.TempDir()
	before := Status{Verdict: "healthy", Holds: []string{"VI_1"}}
	open := func(before Status) *news {
		n, err := openNews(dir, before, ownIdentity(), log.New(os.Stderr, "", 0))
		require.NoError(t, err)
		t.Cleanup(n.close)
		return n
	}
	n := open(before)
	n.take(unknown, []string{"VI_1"}, "", "")
	n.take(healthy, []string{"VI_1"}, "", "")
	require.False(t, taken(t, dir))
	open(before).take(unknown, nil, "", "")
	require.True(t, taken(t, dir), "a loss while no checker ran is")
	open(Status{}).take(unknown, []string{"VI_1"}, "", "")
	require.True(t, taken(t, dir), "an unreadable status says nothing")
}

func TestNewsThatCannotBeToldAreLoggedOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "news")
	var said bytes.Buffer
	n, err := openNews(dir, Status{}, ownIdentity(), log.New(&said, "", 0))
	require.NoError(t, err)
	defer n.close()
	require.NoError(t, os.RemoveAll(dir))
	n.take(healthy, nil, "", "")
	n.take(sick, nil, "", "")
	require.Equal(t, 1, bytes.Count(said.Bytes(), []byte("\n")), said.String())
	require.Contains(t, said.String(), "the unit's status follows at the next hook")
	var nobody *news
	nobody.take(healthy, nil, "", "")
	nobody.close()
}

// TestTheUnprivilegedCheckerTellsOfAddressesAndLinks: in a directory that its user
// cannot reach by name.
func TestTheUnprivilegedCheckerTellsOfAddressesAndLinks(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	c := localConfig(t)
	c.News = filepath.Join(filepath.Dir(c.StatusFile), "news")
	c.Links = []string{"br0"}
	p := start(t, c)
	p.becomes(healthyStandby)
	told := func() bool { return taken(t, c.News) }
	eventually := func(claim string) {
		t.Helper()
		poll.Until(t, told, 30*time.Second, time.Millisecond, claim)
		time.Sleep(100 * time.Millisecond)
		told()
	}
	require.False(t, told(), "without a check there is no verdict to tell of")
	info, err := os.Stat(c.News)
	require.NoError(t, err)
	require.NotZero(t, info.Sys().(*syscall.Stat_t).Uid)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
	p.inNamespace(func() error { return up("br0") })
	br0 := func(set func(netlink.Link) error) {
		p.inNamespace(func() error {
			link, err := netlink.LinkByName("br0")
			if err != nil {
				return err
			}
			return set(link)
		})
	}
	// What is there when the watch begins is no news, and who knows when it begins.
	poll.Until(t, func() bool {
		br0(netlink.LinkSetDown)
		time.Sleep(50 * time.Millisecond)
		br0(netlink.LinkSetUp)
		return told()
	}, 30*time.Second, 50*time.Millisecond)
	time.Sleep(200 * time.Millisecond)
	told()
	p.inNamespace(func() error { return up("other0") })
	time.Sleep(200 * time.Millisecond)
	require.False(t, told(), "another interface is no news")
	p.inNamespace(func() error { return address("br0", "192.0.2.10/32", true) })
	eventually("the address comes")
	p.inNamespace(func() error { return address("br0", "192.0.2.10/32", false) })
	eventually("the address goes")
	p.inNamespace(func() error { return address("br0", "192.0.2.11/32", true) })
	eventually("a virtual IP comes to a unit that does not hold")
	p.inNamespace(func() error { return address("br0", "192.0.2.1/24", true) })
	eventually("an address to send from comes")
	poll.Until(t, func() (usable bool) { // the link-local one comes when nobody else was found to have it
		br0(func(link netlink.Link) error {
			list, err := netlink.AddrList(link, netlink.FAMILY_V6)
			for _, a := range list {
				usable = usable || a.IP.IsLinkLocalUnicast() && a.Flags&unix.IFA_F_TENTATIVE == 0
			}
			return err
		})
		return usable
	}, 30*time.Second, 20*time.Millisecond)
	time.Sleep(200 * time.Millisecond)
	told()
	// A router that advertises short lifetimes, and who adds addresses of its own.
	for n := range 50 {
		for _, there := range []bool{true, false} {
			p.inNamespace(func() error { return address("br0", fmt.Sprintf("2001:db8::%x/64", 100+n), there) })
			p.inNamespace(func() error { return address("br0", fmt.Sprintf("192.0.2.%d/24", 100+n), there) })
		}
	}
	time.Sleep(300 * time.Millisecond)
	require.False(t, told(), "others change nothing")
	p.inNamespace(func() error { return address("br0", "192.0.2.1/24", false) })
	eventually("the address to send from goes")
	br0(netlink.LinkSetDown)
	eventually("the interface goes down")
}
