package host

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/needs"
	"keepalived-charm/templates"
)

// TestAStartRightAfterABootIsMarked: later starts of the daemon are not, and find
// the track file as the health checker left it.
func TestAStartRightAfterABootIsMarked(t *testing.T) {
	run := filepath.Join(t.TempDir(), "run")
	c := healthcheck.Config{
		Application: "keepalived",
		Instances: []healthcheck.Instance{{Name: "charm_keepalived", TrackFile: filepath.Join(run, "priority"), Interface: "lo",
			Addresses: []netip.Addr{netip.MustParseAddr("169.254.23.112")}, Wait: healthcheck.Wait{Watch: "10.10.74.250:443"}}},
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
			Instances: []healthcheck.Instance{{Name: "charm_keepalived", TrackFile: filepath.Join(dir, "priority"), Interface: "lo", Addresses: []netip.Addr{stale}, Wait: healthcheck.Wait{Aside: c.aside}}}}
		if c.booted != "" {
			config.Booted, config.Instances[0].Watch = filepath.Join(dir, c.booted), "10.10.74.250:443"
		}
		text, err := config.Marshal()
		require.NoError(t, err, claim)
		file := filepath.Join(t.TempDir(), "checker.json")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		stays := c != struct{ aside, booted string }{}

		err = Prepare(file)
		require.Error(t, err, claim)
		require.NoFileExists(t, config.Instances[0].TrackFile, claim)
		require.Equal(t, stays, errors.Is(err, ErrUnprepared), claim)
		addresses, err := netlink.AddrList(lo, netlink.FAMILY_V4)
		require.NoError(t, err)
		require.Empty(t, addresses, "%s: what a crashed daemon left goes all the same", claim)

		// An empty one, of whoever, is none.
		require.NoError(t, os.WriteFile(config.Instances[0].TrackFile, nil, 0o600))
		require.Error(t, Prepare(file), claim)
		// Nor may what another revision left keep keepalived away.
		require.NoError(t, os.WriteFile(filepath.Join(dir, "unprepared"), nil, 0o600))
		free()
		require.NoError(t, Prepare(file), claim)
		require.NoFileExists(t, filepath.Join(dir, "unprepared"), claim)
		value, err := os.ReadFile(config.Instances[0].TrackFile)
		require.NoError(t, err)
		require.Equal(t, map[bool]string{true: "-254 \n", false: "0    \n"}[stays], string(value), claim)
		require.ErrorIs(t, os.WriteFile(filepath.Join(run, "filler"), make([]byte, 128<<10), 0o600), unix.ENOSPC)
		require.NoError(t, Prepare(file), "%s: what is there stays", claim)
	}
}

// TestWhereNothingCanBeMadeNoUnitTakesPartThatMustStandAside, not even a file that says so.
func TestWhereNothingCanBeMadeNoUnitTakesPartThatMustStandAside(t *testing.T) {
	for claim, options := range map[string]string{"no inode is left": "nr_inodes=1", "it is read-only": "ro"} {
		run, _ := fullRun(t)
		require.NoError(t, unix.Mount("tmpfs", run, "tmpfs", 0, options))
		config := healthcheck.Config{Application: "keepalived", Links: []string{"lo"}, Check: healthcheck.Check{Type: healthcheck.None}, Instances: []healthcheck.Instance{{
			Name: "charm_keepalived", Interface: "lo", TrackFile: filepath.Join(run, "keepalived", "priority"), Addresses: []netip.Addr{netip.MustParseAddr("10.10.74.250")}, Wait: healthcheck.Wait{Aside: "paused"}}}}
		text, err := config.Marshal()
		require.NoError(t, err)
		file := filepath.Join(t.TempDir(), "checker.json")
		require.NoError(t, os.WriteFile(file, text, 0o600))
		require.ErrorIs(t, Prepare(file), ErrUnprepared, claim)
		require.NoError(t, unix.Unmount(run, unix.MNT_DETACH))
	}
}

// TestAUnitThatCannotTellWhetherItTakesPartDoesNot, and what a daemon left behind goes all the
// same: what keepalived is about to read says what that is.
func TestAUnitThatCannotTellWhetherItTakesPartDoesNot(t *testing.T) {
	_, eth0 := inOwnNamespace(t)
	stale := netip.MustParseAddr("10.10.74.250")
	l := layout.Layout{Application: "keepalived"}
	for claim, text := range map[string]string{"no file": "", "no text": "{", "of a later revision": `{"version": 99}`} {
		h := New(t.TempDir(), "")
		put := func(path, text string) {
			require.NoError(t, os.MkdirAll(filepath.Dir(h.path(path)), 0o755))
			require.NoError(t, os.WriteFile(h.path(path), []byte(text), 0o600))
		}
		if text != "" {
			put(l.CheckerConfig(), text)
		}
		require.NotErrorIs(t, h.prepareStart(l.CheckerConfig()), ErrUnprepared, "%s: keepalived reads nothing of this application", claim)
		put(l.Fragment(), "vrrp_instance charm_keepalived {\n interface eth0\n virtual_ipaddress {\n 169.254.23.112/32\n }\n virtual_ipaddress_excluded {\n 10.10.74.250/32 dev eth0\n }\n}\n"+
			"vrrp_instance charm_keepalived_1 {\n interface eth0\n virtual_ipaddress {\n 169.254.24.112/32\n }\n}\n")
		put(l.At(1).TrackFile(), "152  \n")
		require.NoError(t, netlink.AddrAdd(eth0, single(stale)))
		require.Error(t, h.prepareStart(l.CheckerConfig()), claim)
		left, err := netlink.AddrList(eth0, netlink.FAMILY_V4)
		require.NoError(t, err)
		require.Empty(t, left, claim)
		for number, want := range []string{"-254 \n", "152  \n"} {
			value, err := os.ReadFile(h.path(l.At(number).TrackFile()))
			require.NoError(t, err)
			require.Equal(t, want, string(value), "%s: what the health checker wrote stays", claim)
		}
		require.NoError(t, os.RemoveAll(h.path(l.Run())))
		put(layout.RunRoot+"/keepalived", "in the way")
		require.ErrorIs(t, h.prepareStart(l.CheckerConfig()), ErrUnprepared, claim)
	}
}

// TestAnAddressOnTheLoopbackDeviceIsItsOwners, as that of an LVS-DR real server which answers by ARP
// for no address of lo. keepalived has anchors there, and hooks what they pinned.
func TestAnAddressOnTheLoopbackDeviceIsItsOwners(t *testing.T) {
	lo, eth0 := inOwnNamespace(t)
	h, l := New(t.TempDir(), ""), layout.Layout{Application: "keepalived"}
	owners, pin, anchor := netip.MustParseAddr("10.10.74.250"), netip.MustParseAddr("10.10.74.251"), netip.MustParseAddr("169.254.23.112")
	config := healthcheck.Config{Application: "keepalived", Links: []string{"eth0"}, Check: healthcheck.Check{Type: healthcheck.None}, Instances: []healthcheck.Instance{{
		Name: "charm_keepalived", Interface: "eth0", TrackFile: h.path(l.TrackFile()), Addresses: []netip.Addr{anchor, owners, pin}}}}
	text, err := config.Marshal()
	require.NoError(t, err)
	require.NoError(t, h.write(l.CheckerConfig(), string(text), 0o600))
	require.NoError(t, h.write(l.Pinned(), pin.String(), 0o600))
	for _, a := range []netip.Addr{owners, pin, anchor} {
		for _, link := range []netlink.Link{lo, eth0} {
			require.NoError(t, netlink.AddrAdd(link, single(a)))
		}
	}
	require.NoError(t, h.prepareStart(l.CheckerConfig()))
	for link, want := range map[netlink.Link][]string{lo: {owners.String()}, eth0: nil} {
		left, err := netlink.AddrList(link, netlink.FAMILY_V4)
		require.NoError(t, err)
		var names []string
		for _, a := range left {
			if !a.IP.IsLoopback() {
				names = append(names, a.IP.String())
			}
		}
		require.Equal(t, want, names, link.Attrs().Name)
	}
}

// inOwnNamespace gives this thread a network namespace with lo and eth0.
func inOwnNamespace(t *testing.T) (lo, eth0 netlink.Link) {
	t.Helper()
	needs.Root(t)
	runtime.LockOSThread() // the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	lo, err := netlink.LinkByName("lo")
	require.NoError(t, err)
	eth0 = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "eth0"}}
	require.NoError(t, netlink.LinkAdd(eth0))
	return lo, eth0
}

// TestKeepalivedStartsUnlessItsPreparationForbidsIt: also where the program is gone, or another
// one.
func TestKeepalivedStartsUnlessItsPreparationForbidsIt(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	text, err := templates.Render("drop-in.conf", map[string]any{"Application": "keepalived", "Start": time.Second, "Run": dir, "Binary": program, "CheckerConfig": "x", "Notify": false})
	require.NoError(t, err)
	command := regexp.MustCompile(`(?m)^ExecStartPre=sh -c '(.*prepare.*)'$`).FindStringSubmatch(text)
	require.Len(t, command, 2)
	starts := func() bool { return exec.Command("sh", "-c", strings.ReplaceAll(command[1], "$$", "$")).Run() == nil }
	require.True(t, starts())
	for end, want := range map[string]bool{"exit 0": true, "exit 1": true, "kill -KILL $$": true, fmt.Sprint("exit ", UnpreparedStatus): false} {
		require.NoError(t, os.WriteFile(program, []byte("#!/bin/sh\n"+end+"\n"), 0o755))
		require.Equal(t, want, starts(), end)
	}
}

// TestTheSecondStartAfterABootIsAsCareful: the first found room for one of two track files.
func TestTheSecondStartAfterABootIsAsCareful(t *testing.T) {
	run, free := fullRun(t)
	config := healthcheck.Config{Application: "keepalived", Links: []string{"lo"}, Check: healthcheck.Check{Type: healthcheck.None}, Booted: filepath.Join(run, "booted")}
	for n := range 2 {
		config.Instances = append(config.Instances, healthcheck.Instance{Name: fmt.Sprint("charm_keepalived_", n), Interface: "lo", Wait: healthcheck.Wait{Watch: "10.10.74.250:443"},
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

	require.ErrorIs(t, Prepare(file), ErrUnprepared, "the second virtual router must stand aside too")
	free()
	require.NoError(t, Prepare(file))
	value, err := os.ReadFile(config.Instances[1].TrackFile)
	require.NoError(t, err)
	require.Equal(t, "-254 \n", string(value))
}
