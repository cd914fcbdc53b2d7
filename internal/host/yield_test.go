package host

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

func TestWhoYields(t *testing.T) {
	for _, row := range []struct {
		claim string
		set   func(*healthcheck.Config, *healthcheck.Instance, *int)
		want  bool
	}{
		{"a healthy holder", func(*healthcheck.Config, *healthcheck.Instance, *int) {}, true},
		{"a healthy holder that pre-emption does not spare", func(_ *healthcheck.Config, _ *healthcheck.Instance, v *int) { *v = vrrp.HealthyWeight }, true},
		{"not a sick one: clients have no answer from it", func(_ *healthcheck.Config, _ *healthcheck.Instance, v *int) { *v = vrrp.HolderWeight }, false},
		{"one whose peers Juju has taken away", func(c *healthcheck.Config, _ *healthcheck.Instance, _ *int) { c.Peers = false }, true},
		{"not one that would not hear its successor", func(c *healthcheck.Config, _ *healthcheck.Instance, _ *int) { c.Deserted = true }, false},
		{"not one among units of the Python charm", func(c *healthcheck.Config, _ *healthcheck.Instance, _ *int) { c.Policy.Mixed = true }, false},
		{"not one that stands aside", func(_ *healthcheck.Config, i *healthcheck.Instance, _ *int) { i.Aside = "for something" }, false},
	} {
		c, i, v := healthcheck.Config{Peers: true}, healthcheck.Instance{}, vrrp.HealthyWeight+vrrp.HolderWeight
		row.set(&c, &i, &v)
		require.Equal(t, row.want, mayYield(c, i, v), row.claim)
	}
}

// holder is a machine in a network namespace of its own that may hold an anchor.
type holder struct {
	*Host
	t      *testing.T
	l      layout.Layout
	lo     netlink.Link
	anchor *netlink.Addr
}

func newHolder(t *testing.T, interval string) holder {
	t.Helper()
	needs.Root(t)
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	m := holder{Host: New(t.TempDir(), ""), t: t, l: layout.Layout{Application: "keepalived"}}
	var err error
	m.lo, err = netlink.LinkByName("lo")
	require.NoError(t, err)
	require.NoError(t, netlink.LinkSetUp(m.lo))
	m.anchor, err = netlink.ParseAddr("169.254.23.112/32")
	require.NoError(t, err)
	m.configure(vrrp.Policy{})
	m.put(m.l.TrackFile(), "204  \n")
	m.advertise(interval)
	return m
}

// patient is the longest interval that is yielded in: daemon has more than 9 s.
const patient = "2.4s"

// advertise sets the interval, which says how long a holder waits for a successor.
func (m holder) advertise(interval string) {
	m.t.Helper()
	text, err := runs(interval).Encode()
	require.NoError(m.t, err)
	m.put(m.l.Record(), text)
}

func (m holder) put(path, text string) {
	m.t.Helper()
	require.NoError(m.t, os.MkdirAll(filepath.Dir(m.path(path)), 0o700))
	require.NoError(m.t, os.WriteFile(m.path(path), []byte(text), 0o600))
}

func (m holder) configure(p vrrp.Policy) {
	m.t.Helper()
	config, err := healthcheck.Config{
		Application: "keepalived", Peers: true, Policy: p,
		Instances: []healthcheck.Instance{{Name: m.l.Instance(), TrackFile: m.l.TrackFile(), Interface: "lo", Addresses: []netip.Addr{netip.MustParseAddr("169.254.23.112")}}},
		Check:     healthcheck.Check{Type: healthcheck.None},
	}.Marshal()
	require.NoError(m.t, err)
	m.put(m.l.CheckerConfig(), string(config))
}

func (m holder) hold() { require.NoError(m.t, netlink.AddrAdd(m.lo, m.anchor)) }

func (m holder) says() string {
	m.t.Helper()
	text, err := os.ReadFile(m.path(m.l.TrackFile()))
	require.NoError(m.t, err)
	return string(text)
}

// daemon takes the anchor away once the priority is low; the returned function waits
// for it.
func (m holder) daemon() func() {
	m.t.Helper()
	namespace, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	require.NoError(m.t, err)
	gone := make(chan error, 1)
	go func() {
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if text, err := os.ReadFile(m.path(m.l.TrackFile())); err == nil && string(text) == "52   \n" {
				break
			}
		}
		gone <- namespace.AddrDel(m.lo, m.anchor)
	}()
	return func() {
		m.t.Helper()
		require.NoError(m.t, <-gone)
		namespace.Close()
	}
}

// TestAHolderThatNobodyRelievesIsAsGoodAsBefore, at whatever moment of a look the wait ends.
func TestAHolderThatNobodyRelievesIsAsGoodAsBefore(t *testing.T) {
	m := newHolder(t, "50ms")
	m.hold()
	r, err := m.reign(m.l.CheckerConfig())
	require.NoError(t, err)
	require.Len(t, r.yields, 1)
	for n := range 100 {
		limit := time.Duration(2*n) * time.Microsecond
		require.NoError(t, m.awaitSuccessor(r.yields, limit))
		require.Equal(t, "204  \n", m.says(), "after %v", limit)
	}
}

// TestAHolderYields plays the daemon: it takes the address away once the priority
// is low, or does not.
func TestAHolderYields(t *testing.T) {
	m := newHolder(t, "50ms")
	require.NoError(t, m.yield(m.l.CheckerConfig()))
	require.Equal(t, "204  \n", m.says(), "a standby has nothing to yield")

	m.hold()
	began := time.Now()
	require.NoError(t, m.yield(m.l.CheckerConfig()))
	require.Greater(t, time.Since(began), 200*time.Millisecond, "it waits for a successor")
	require.Equal(t, "204  \n", m.says(), "nobody came: it is as good as before")

	m.advertise(patient)
	gone := m.daemon()
	require.NoError(t, m.yield(m.l.CheckerConfig()))
	gone()
	require.Equal(t, "52   \n", m.says())
}

func TestAHandOverWithoutASuccessorReleasesNothing(t *testing.T) {
	m := newHolder(t, "50ms")
	m.hold()
	require.EqualError(t, m.Apply(m.l, step.Step{Action: step.HandOver}),
		"cannot hand over: no other unit took the virtual IPs within 1.4s, this one holds them still")
	require.Equal(t, "204  \n", m.says())
	require.Empty(t, events(t, m.Host, m.l), "nothing happened")

	m.advertise(patient)
	gone := m.daemon()
	require.NoError(t, m.Apply(m.l, step.Step{Action: step.HandOver}), "whether or not there is a health checker to release it")
	gone()
	require.Equal(t, []string{"failover asked for: action of an operator"}, events(t, m.Host, m.l))
}

func TestAHandOverReleasesWhatCannotBeYielded(t *testing.T) {
	m := newHolder(t, "5s")
	require.NoError(t, m.Apply(m.l, step.Step{Action: step.HandOver}), "a standby has nothing to release")
	m.hold()
	require.EqualError(t, m.Apply(m.l, step.Step{Action: step.HandOver}),
		"cannot ask the health checker at "+m.path(m.l.Orders())+": no such file or directory", "it does not run")
	given := m.checker("done")
	require.NoError(t, m.Apply(m.l, step.Step{Action: step.HandOver}))
	require.Equal(t, "hand over\n", <-given, "an interval too long to wait for")

	m = newHolder(t, "50ms")
	m.configure(vrrp.Policy{Mixed: true})
	m.hold()
	given = m.checker("there is no order")
	require.EqualError(t, m.Apply(m.l, step.Step{Action: step.HandOver}), "the health checker refuses to hand over: there is no order")
	require.Equal(t, "hand over\n", <-given, "units of the Python charm have no room to yield")
	require.Equal(t, "204  \n", m.says())
}

// checker answers one order in the health checker's place, and tells what it was.
func (m holder) checker(answer string) <-chan string {
	m.t.Helper()
	dir, err := os.Open(filepath.Dir(m.path(m.l.Orders())))
	require.NoError(m.t, err)
	defer dir.Close()
	listener, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), healthcheck.Orders)) // the name is too long
	require.NoError(m.t, err)
	m.t.Cleanup(func() { listener.Close() })
	given := make(chan string, 1)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		text, _ := bufio.NewReader(conn).ReadString('\n') // what came all the same
		given <- text
		fmt.Fprintln(conn, answer)
	}()
	return given
}

func TestAPauseThatCannotBeMarkedMovesNothing(t *testing.T) {
	m := newHolder(t, "50ms")
	m.hold()
	m.put(filepath.Join(m.l.Paused(), "in"), "the way\n")
	before := time.Now().Add(-time.Hour).Truncate(time.Second)
	require.NoError(t, os.Chtimes(m.path(m.l.TrackFile()), before, before))
	require.ErrorContains(t, m.Apply(m.l, step.Step{Action: step.Pause}), "cannot write "+m.l.Paused())
	track, err := os.Stat(m.path(m.l.TrackFile()))
	require.NoError(t, err)
	require.True(t, track.ModTime().Equal(before), "its priority was never lowered")
	require.Equal(t, "204  \n", m.says())
	require.Empty(t, events(t, m.Host, m.l))
}

func TestAPauseIsMarkedBeforeAnythingMoves(t *testing.T) {
	m := newHolder(t, patient)
	m.hold()
	gone := m.daemon()
	require.NoError(t, m.Apply(m.l, step.Step{Action: step.Pause}))
	gone()
	text, err := os.ReadFile(m.path(m.l.Paused()))
	require.NoError(t, err)
	require.NotEmpty(t, text, "it takes room on the disk")
	marked, err := os.Stat(m.path(m.l.Paused()))
	require.NoError(t, err)
	lowered, err := os.Stat(m.path(m.l.TrackFile()))
	require.NoError(t, err)
	require.False(t, lowered.ModTime().Before(marked.ModTime()))
}
