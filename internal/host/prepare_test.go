package host

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/needs"
)

// TestAStartRightAfterABootIsMarked: later starts of the daemon are not, and find
// the track file as the health checker left it.
func TestAStartRightAfterABootIsMarked(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	c := healthcheck.Config{
		Application: "keepalived",
		Instances: []healthcheck.Instance{{Name: "charm_keepalived", TrackFile: filepath.Join(run, "priority"), Interface: "lo",
			Addresses: []netip.Addr{netip.MustParseAddr("169.254.23.112")}, Watch: "10.10.74.250:443"}},
		Check:  healthcheck.Check{Type: healthcheck.None},
		Booted: filepath.Join(run, "booted"),
	}
	text, err := c.Marshal()
	require.NoError(t, err)
	config := filepath.Join(t.TempDir(), "checker.json")
	require.NoError(t, os.WriteFile(config, text, 0o600))
	require.NoError(t, Prepare(config))
	require.FileExists(t, c.Booted)
	value, err := os.ReadFile(c.Instances[0].TrackFile)
	require.NoError(t, err)
	require.Equal(t, "-254 \n", string(value), "out of the election until the health checker runs")

	require.NoError(t, os.Remove(c.Booted))
	require.NoError(t, os.WriteFile(c.Instances[0].TrackFile, []byte("152  \n"), 0o600))
	require.NoError(t, Prepare(config))
	require.NoFileExists(t, c.Booted)
	value, err = os.ReadFile(c.Instances[0].TrackFile)
	require.NoError(t, err)
	require.Equal(t, "152  \n", string(value))
}

// fullRun moves this thread into namespaces of its own, with a /run in which no file finds
// room for its text. It returns that directory, and what makes room.
func fullRun(t *testing.T) (run string, free func()) {
	t.Helper()
	needs.Root(t)
	run = t.TempDir()
	runtime.LockOSThread() // the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNS|unix.CLONE_NEWNET))
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	require.NoError(t, unix.Mount("tmpfs", run, "tmpfs", 0, "size=64k"))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(run, unix.MNT_DETACH)) })
	filler := filepath.Join(run, "filler")
	require.ErrorIs(t, os.WriteFile(filler, make([]byte, 128<<10), 0o600), unix.ENOSPC)
	return run, func() { require.NoError(t, os.Remove(filler)) }
}

// TestOnAFullRunNoUnitTakesPartThatMustStandAside: an empty track file would count as 0,
// and so does one that is not there.
func TestOnAFullRunNoUnitTakesPartThatMustStandAside(t *testing.T) {
	run, free := fullRun(t)
	stale := netip.MustParseAddr("10.10.74.250")
	lo, err := netlink.LinkByName("lo")
	require.NoError(t, err)
	for claim, c := range map[string]struct{ aside, booted string }{
		"after a boot":     {booted: "booted"},
		"it stands aside":  {aside: "until resumed"},
		"and after a boot": {"until resumed", "booted"},
		"it takes part":    {},
	} {
		require.NoError(t, netlink.AddrAdd(lo, single(stale)))
		dir := filepath.Join(run, fmt.Sprint(len(claim)))
		config := healthcheck.Config{Application: "keepalived", Links: []string{"lo"}, Check: healthcheck.Check{Type: healthcheck.None},
			Instances: []healthcheck.Instance{{Name: "charm_keepalived", TrackFile: filepath.Join(dir, "priority"), Interface: "lo", Addresses: []netip.Addr{stale}, Aside: c.aside}}}
		if c.booted != "" {
			config.Booted, config.Instances[0].Watch = filepath.Join(dir, c.booted), "10.10.74.250:443"
		}
		text, err := config.Marshal()
		require.NoError(t, err, claim)
		file := filepath.Join(t.TempDir(), "checker.json")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		mark := filepath.Join(dir, "unprepared")

		require.Error(t, Prepare(file), claim)
		require.NoFileExists(t, config.Instances[0].TrackFile, claim)
		require.Equal(t, c != struct{ aside, booted string }{}, missing(mark) == nil, "%s: systemd starts no keepalived with that file there", claim)
		addresses, err := netlink.AddrList(lo, netlink.FAMILY_V4)
		require.NoError(t, err)
		require.Empty(t, addresses, "%s: what a crashed daemon left goes all the same", claim)

		// An empty one, of whoever, is none.
		require.NoError(t, os.WriteFile(config.Instances[0].TrackFile, nil, 0o600))
		require.Error(t, Prepare(file), claim)
		free()
		require.NoError(t, Prepare(file), claim)
		require.NoFileExists(t, mark, claim)
		value, err := os.ReadFile(config.Instances[0].TrackFile)
		require.NoError(t, err)
		require.Equal(t, map[bool]string{true: "-254 \n", false: "0    \n"}[c != struct{ aside, booted string }{}], string(value), claim)
		require.ErrorIs(t, os.WriteFile(filepath.Join(run, "filler"), make([]byte, 128<<10), 0o600), unix.ENOSPC)
		require.NoError(t, Prepare(file), "%s: what is there stays", claim)
	}
}

// TestTheSecondStartAfterABootIsAsCareful: the first found room for one of two track files.
func TestTheSecondStartAfterABootIsAsCareful(t *testing.T) {
	run, free := fullRun(t)
	config := healthcheck.Config{Application: "keepalived", Links: []string{"lo"}, Check: healthcheck.Check{Type: healthcheck.None}, Booted: filepath.Join(run, "booted")}
	for n := range 2 {
		config.Instances = append(config.Instances, healthcheck.Instance{Name: fmt.Sprint("charm_keepalived_", n), Interface: "lo", Watch: "10.10.74.250:443",
			TrackFile: filepath.Join(run, fmt.Sprint("priority-", n)), Addresses: []netip.Addr{netip.MustParseAddr(fmt.Sprint("10.10.74.25", n))}})
	}
	text, err := config.Marshal()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "checker.json")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	require.Error(t, Prepare(file))
	free()
	require.NoError(t, os.WriteFile(config.Instances[0].TrackFile, []byte("-254 \n"), 0o600))
	require.ErrorIs(t, os.WriteFile(filepath.Join(run, "filler"), make([]byte, 128<<10), 0o600), unix.ENOSPC)

	require.Error(t, Prepare(file))
	require.FileExists(t, filepath.Join(run, "unprepared"), "the second virtual router must stand aside too")
	free()
	require.NoError(t, Prepare(file))
	require.NoFileExists(t, filepath.Join(run, "unprepared"))
	value, err := os.ReadFile(config.Instances[1].TrackFile)
	require.NoError(t, err)
	require.Equal(t, "-254 \n", string(value))
}
