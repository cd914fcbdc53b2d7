package host_test

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/step"
)

func TestSettingsThatDriftedAreSeenAndPutBack(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(layout.SysctlFile, "# Written by the Juju charm keepalived\nnet.ipv4.ip_nonlocal_bind = 1\nnet.ipv6.ip_nonlocal_bind = 1\n")
	m.put("/proc/sys/net/ipv4/ip_nonlocal_bind", "1\n")
	seen := m.observe()
	require.Empty(t, seen.Drifted, "a kernel without IPv6 has no setting for it")
	m.put("/proc/sys/net/ipv4/ip_nonlocal_bind", "0\n")
	seen = m.observe()
	require.Equal(t, []string{"net.ipv4.ip_nonlocal_bind"}, seen.Drifted)
	require.Empty(t, seen.Fixed)
	m.apply(step.Step{Action: step.Do, FollowUps: []step.FollowUp{step.ApplySysctl}})
	require.Empty(t, m.observe().Drifted)
}

func TestReadOnlySettingsAreTold(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	m := newMachine(t)
	m.put(layout.SysctlFile, "# Written by the Juju charm keepalived\nnet.ipv4.ip_nonlocal_bind = 1\n")
	m.put("/proc/sys/net/ipv4/ip_nonlocal_bind", "0\n")
	runtime.LockOSThread() // the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNS))
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	dir := m.in("/proc/sys")
	require.NoError(t, unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	require.NoError(t, unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	seen := m.observe()
	require.Equal(t, []string{"net.ipv4.ip_nonlocal_bind"}, seen.Drifted)
	require.Equal(t, seen.Drifted, seen.Fixed)
	require.NoError(t, unix.Unmount(dir, 0))
}

func TestWhatTheOwnersConfigurationIncludesIsRead(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.put(layout.MainFile, "include more.d/*.conf\ninclude /etc/other.conf\ninclude keepalived.conf\ninclude charm.d/*.conf\ninclude missing\n")
	m.put("/etc/keepalived/more.d/a.conf", "include b\n")
	m.put("/etc/keepalived/more.d/b", "global_defs {\nvrrp_strict\n}\n")
	m.put("/etc/other.conf", "include /etc/other.conf\n")
	require.Equal(t, map[string]string{
		"/etc/keepalived/more.d/a.conf": "include b\n",
		"/etc/keepalived/more.d/b":      "global_defs {\nvrrp_strict\n}\n",
		"/etc/other.conf":               "include /etc/other.conf\n",
	}, m.observe().Included)
	m.put(layout.MainFile, "# Written by the Juju charm keepalived\ninclude /etc/other.conf\n")
	require.Empty(t, m.observe().Included)
}

// TestTrackFilesAreComparedWithWhatTheDaemonReports asks a daemon that runs on its
// base priority.
func TestTrackFilesAreComparedWithWhatTheDaemonReports(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.start(t.TempDir())
	m.serves(200*time.Millisecond, "eth0")
	m.put(m.l.TrackFile(), "152  \n")
	for effective, ignores := range map[string]bool{"50": true, "202": false} {
		m.set(t, "report", `[{"data":{"iname":"charm_keepalived","state":1,"base_priority":50,"effective_priority":`+effective+`}}]`)
		seen := m.observe()
		require.Equal(t, map[string]int{"charm_keepalived": 152}, seen.Tracks)
		require.Equal(t, ignores, seen.Ignores(m.l), effective)
		require.Zero(t, seen.Scarce)
	}
}

// TestADaemonThatWatchesNoTrackFileIsFound, whatever it knows of it.
func TestADaemonThatWatchesNoTrackFileIsFound(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.set(t, "unwatched", "yes")
	m.start(t.TempDir())
	m.serves(200*time.Millisecond, "eth0")
	m.set(t, "report", `[{"data":{"iname":"charm_keepalived","state":1,"base_priority":50,"effective_priority":202}}]`)
	require.False(t, m.observe().Ignores(m.l), "there is no file")
	m.put(m.l.TrackFile(), "152  \n")
	require.True(t, m.observe().Ignores(m.l))
	m.set(t, "unwatched", "")
	require.False(t, m.observe().Ignores(m.l))
	require.NoError(t, os.Rename(m.in(m.l.Run()), m.in(m.l.Run()+".away")))
	m.put(m.l.TrackFile(), "152  \n")
	m.set(t, "unwatched", "yes")
	require.True(t, m.observe().Ignores(m.l), "the directory is another one")
}

// TestWhatRootHasNoneLeftOfIsNamed: seen in a user namespace, which has limits of its own.
func TestWhatRootHasNoneLeftOfIsNamed(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	const inside = "HOST_TEST_LACKS"
	if kind := os.Getenv(inside); kind != "" {
		m := newMachine(t)
		m.put("/proc/sys/fs/inotify/max_user_"+kind, "8192\n")
		require.Equal(t, facts.Inotify{Kind: kind, Limit: 8192}, m.observe().Scarce)
		return
	}
	for _, kind := range []string{facts.InotifyInstances, facts.InotifyWatches} {
		again := exec.Command("unshare", "--user", "--map-root-user", "sh", "-c",
			"echo 0 >/proc/sys/user/max_inotify_"+kind+" && exec "+os.Args[0]+" -test.v -test.run '^"+t.Name()+"$'")
		again.Env = append(os.Environ(), inside+"="+kind)
		out, err := again.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS: "+t.Name())
	}
}

// TestAddressesAreTakenOutOfThePacketFilterOfKeepalived: those, and nothing else.
func TestAddressesAreTakenOutOfThePacketFilterOfKeepalived(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	runtime.LockOSThread() // the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	m := newMachine(t)
	require.Empty(t, m.observe().Filtered)
	m.apply(step.Step{Action: step.Admit, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1")}})
	conn := &nftables.Conn{}
	for family, kind := range map[nftables.TableFamily]nftables.SetDatatype{nftables.TableFamilyIPv4: nftables.TypeIPAddr, nftables.TableFamilyIPv6: nftables.TypeIP6Addr} {
		for _, name := range []string{"keepalived", "mine"} {
			table := conn.AddTable(&nftables.Table{Name: name, Family: family})
			var elements []nftables.SetElement
			for _, a := range []string{"10.0.0.1", "10.0.0.2", "2001:db8::1"} {
				if a := netip.MustParseAddr(a); a.Is6() == (family == nftables.TableFamilyIPv6) {
					elements = append(elements, nftables.SetElement{Key: a.AsSlice()})
				}
			}
			require.NoError(t, conn.AddSet(&nftables.Set{Table: table, Name: "vips", KeyType: kind}, elements))
		}
	}
	require.NoError(t, conn.Flush())
	barred := m.observe().Filtered
	require.ElementsMatch(t, []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("2001:db8::1")}, barred)
	m.apply(step.Step{Action: step.Admit, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("10.0.0.9")}})
	require.Equal(t, []netip.Addr{netip.MustParseAddr("10.0.0.2")}, m.observe().Filtered)
	mine, err := conn.GetSetElements(&nftables.Set{Table: &nftables.Table{Name: "mine", Family: nftables.TableFamilyIPv4}, Name: "vips"})
	require.NoError(t, err)
	require.Len(t, mine, 2)
}

// TestAFilterThatMayNotBeChangedKeepsNothingElseFromBeingDone: a set that is constant once a
// rule uses it.
func TestAFilterThatMayNotBeChangedKeepsNothingElseFromBeingDone(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	runtime.LockOSThread() // the thread ends with the test
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	m := newMachine(t)
	four, six := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("2001:db8::1")
	conn := &nftables.Conn{}
	for _, row := range []struct {
		family nftables.TableFamily
		kind   nftables.SetDatatype
		a      netip.Addr
	}{{nftables.TableFamilyIPv4, nftables.TypeIPAddr, four}, {nftables.TableFamilyIPv6, nftables.TypeIP6Addr, six}} {
		table := conn.AddTable(&nftables.Table{Name: "keepalived", Family: row.family})
		set := &nftables.Set{Table: table, Name: "vips", KeyType: row.kind, Constant: row.a == four}
		require.NoError(t, conn.AddSet(set, []nftables.SetElement{{Key: row.a.AsSlice()}}))
		chain := conn.AddChain(&nftables.Chain{Name: "in", Table: table})
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: []expr.Any{
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: uint32(len(row.a.AsSlice()))},
			&expr.Lookup{SourceRegister: 1, SetName: set.Name, SetID: set.ID}}})
	}
	require.NoError(t, conn.Flush())
	m.apply(step.Step{Action: step.Admit, Addresses: []netip.Addr{four, six}})
	require.Equal(t, []netip.Addr{four}, m.observe().Filtered, "the status tells of it")
}

// TestAddressesThatAMaskedKeepalivedLeftAreTakenAway, those of one that runs, or that
// systemd is about to start, are not.
func TestAddressesThatAMaskedKeepalivedLeftAreTakenAway(t *testing.T) {
	t.Parallel()
	_, eth0 := inNamespace(t)
	vip, own := "10.10.74.250/32", "10.10.74.11/24"
	m := newMachine(t)
	c := healthcheck.Config{
		Application: "keepalived", Links: []string{"eth0"}, History: m.l.History(),
		Instances: []healthcheck.Instance{{Name: "charm_keepalived", TrackFile: "/run/priority", Interface: "eth0",
			Addresses: []netip.Addr{netip.MustParseAddr("10.10.74.250")}}},
		Check: healthcheck.Check{Type: healthcheck.None},
	}
	text, err := c.Marshal()
	require.NoError(t, err)
	m.put(m.l.CheckerConfig(), string(text))
	for _, a := range []string{vip, own} {
		address, err := netlink.ParseAddr(a)
		require.NoError(t, err)
		require.NoError(t, netlink.AddrAdd(eth0, address))
	}
	for _, row := range []struct {
		state string
		left  []string
	}{{"active 12", []string{vip, own}}, {"activating 0", []string{vip, own}}, {"failed 0", []string{own}}} {
		m.set(t, "keepalived.service", row.state)
		require.NoError(t, m.Orphaned(m.l.CheckerConfig()))
		list, err := netlink.AddrList(eth0, netlink.FAMILY_V4)
		require.NoError(t, err)
		var left []string
		for _, a := range list {
			left = append(left, a.IPNet.String())
		}
		require.ElementsMatch(t, row.left, left, row.state)
	}
}
