package host

import (
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
	"keepalived-charm/internal/reconcile"
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

// TestAHolderYields plays the daemon: it takes the address away once the priority
// is low, or does not.
func TestAHolderYields(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may make a network namespace; CI runs this as root")
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	lo, err := netlink.LinkByName("lo")
	require.NoError(t, err)
	require.NoError(t, netlink.LinkSetUp(lo))
	anchor, err := netlink.ParseAddr("169.254.23.112/32")
	require.NoError(t, err)
	h, l := New(t.TempDir(), ""), reconcile.Layout{Application: "keepalived"}
	track := h.path(l.TrackFile())
	config, err := healthcheck.Config{
		Application: "keepalived", Peers: true, Policy: vrrp.Policy{},
		Instances: []healthcheck.Instance{{Name: l.Instance(), TrackFile: l.TrackFile(), Interface: "lo", Addresses: []netip.Addr{netip.MustParseAddr("169.254.23.112")}}},
		Check:     healthcheck.Check{Type: healthcheck.None},
	}.Marshal()
	require.NoError(t, err)
	for path, text := range map[string]string{
		l.CheckerConfig(): string(config), l.TrackFile(): "204  \n",
		l.Fragment(): "# parameters charm_keepalived: version=3 mode=multicast vrid=23 interval=50ms anchor=169.254.23.112\n" +
			"vrrp_instance charm_keepalived {\n}\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(h.path(path)), 0o700))
		require.NoError(t, os.WriteFile(h.path(path), []byte(text), 0o600))
	}
	says := func() string {
		text, err := os.ReadFile(track)
		require.NoError(t, err)
		return string(text)
	}

	require.NoError(t, h.yield(l.CheckerConfig()))
	require.Equal(t, "204  \n", says(), "a standby has nothing to yield")

	require.NoError(t, netlink.AddrAdd(lo, anchor))
	began := time.Now()
	require.NoError(t, h.yield(l.CheckerConfig()))
	require.Greater(t, time.Since(began), 200*time.Millisecond, "it waits for a successor")
	require.Less(t, time.Since(began), 5*time.Second)
	require.Equal(t, "204  \n", says(), "nobody came: it is as good as before")

	namespace, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	require.NoError(t, err)
	defer namespace.Close()
	gone := make(chan error, 1)
	go func() {
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
			if text, err := os.ReadFile(track); err == nil && string(text) == "52   \n" {
				break
			}
		}
		gone <- namespace.AddrDel(lo, anchor)
	}()
	require.NoError(t, h.yield(l.CheckerConfig()))
	require.NoError(t, <-gone)
	require.Equal(t, "52   \n", says())
}
