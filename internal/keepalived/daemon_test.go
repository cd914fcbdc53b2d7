package keepalived_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/vrrp"
)

// daemons finds keepalived as several releases have it, by the directory to chroot into:
// that of this host, and those that tests/scripts/fetch-keepalived brought.
func daemons(t *testing.T) []string {
	t.Helper()
	_, err := exec.LookPath("keepalived")
	require.NoError(t, err, "install keepalived to run this test: apt-get install --no-install-recommends keepalived")
	cache := os.Getenv("KEEPALIVED_LAB_CACHE")
	if cache == "" {
		cache = "/var/cache/keepalived-lab"
	}
	fetched, err := filepath.Glob(filepath.Join(cache, "keepalived-*"))
	require.NoError(t, err)
	if os.Getenv("CI") != "" {
		require.Len(t, fetched, 2, "make test brings keepalived of Debian 13 and of the next one")
	}
	return append([]string{"/"}, fetched...)
}

// TestTheRealKeepalivedAcceptsEveryGoldenFile feeds the golden files to the config
// test of every keepalived at hand, in a network namespace of its own.
func TestTheRealKeepalivedAcceptsEveryGoldenFile(t *testing.T) {
	needs.Root(t)
	t.Parallel()
	renderAll(t) // the golden files may be about to be written
	main, err := os.ReadFile("testdata/main.golden")
	require.NoError(t, err)
	names, err := filepath.Glob("testdata/fragment-*.golden")
	require.NoError(t, err)
	require.Len(t, names, len(cases()))
	for _, root := range daemons(t) {
		d := daemon{root}
		t.Run(d.version(t), func(t *testing.T) {
			t.Parallel()
			enterNamespace(t)
			// Also with defaults of the machine's owner.
			owned := strings.Replace(string(main), "global_defs {\n", "global_defs {\n"+ownersDefaults, 1)
			for _, name := range names {
				for _, main := range []string{owned, string(main)}[:needs.Of(2, 1)] {
					fragment, err := os.ReadFile(name)
					require.NoError(t, err)
					said, status := d.test(t, main, string(fragment), true)
					assert.NoError(t, status, "%s: %s", name, said)
					assert.Empty(t, said, name)
				}
			}
			// The test would notice a fault.
			for _, bad := range []string{"vrrp_instance x {\n}\n", "}\n", "nonsense\n"} {
				said, status := d.test(t, string(main), bad, true)
				assert.Error(t, status, "%q passed and said %q", bad, said)
			}
			// That is why the charm makes what it names, and the fakes refuse it.
			fragment, err := os.ReadFile(names[0])
			require.NoError(t, err)
			said, status := d.test(t, string(main), string(fragment), false)
			if old := strings.HasPrefix(d.version(t), "2.2.7"); old {
				assert.NoError(t, status, "2.2.7 passes a track file without a directory: %s", said)
			} else {
				assert.Error(t, status)
				assert.Contains(t, said, "realpath() error 2")
			}
		})
	}
}

// daemon is the keepalived of a root directory.
type daemon struct{ root string }

// command runs it, in a network namespace that the thread has entered.
func (d daemon) command(args ...string) *exec.Cmd {
	if d.root == "/" {
		return exec.Command("keepalived", args...)
	}
	cmd := exec.Command("/usr/sbin/keepalived", args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: d.root}
	cmd.Dir = "/"
	return cmd
}

func (d daemon) version(t *testing.T) string {
	t.Helper()
	out, err := d.command("--version").CombinedOutput()
	require.NoError(t, err, "%s: %s", d.root, out)
	version, _, _ := strings.Cut(strings.TrimPrefix(string(out), "Keepalived v"), " ")
	return version
}

// ownersDefaults are defaults that break an instance which does not say otherwise.
const ownersDefaults = `    vrrp_strict
    vrrp_version 2
    vrrp_garp_extra_if all 30
    vrrp_down_timer_adverts 9
    vrrp_lower_prio_no_advert true
    vrrp_skip_check_adv_addr
`

// enterNamespace moves this test's thread into a network namespace with the
// interfaces that the golden files name. The thread ends with the test.
func enterNamespace(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET))
	for _, name := range []string{"eth0", "bond0.100"} {
		attributes := netlink.NewLinkAttrs()
		attributes.Name = name
		link := &netlink.Veth{LinkAttrs: attributes, PeerName: "peer-" + name}
		require.NoError(t, netlink.LinkAdd(link))
		require.NoError(t, netlink.LinkSetUp(link))
		address, err := netlink.ParseAddr("10.10.74.11/24")
		require.NoError(t, err)
		require.NoError(t, netlink.AddrAdd(link, address))
	}
}

// test runs the config test on a main file with one fragment, whose track files are there
// or not.
func (d daemon) test(t *testing.T, main, fragment string, tracked bool) (said string, status error) {
	t.Helper()
	place, err := os.MkdirTemp(filepath.Join(d.root, "tmp"), "config-test-")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(place) })
	inside := filepath.Join("/tmp", filepath.Base(place))
	require.NoError(t, os.Mkdir(filepath.Join(place, "charm.d"), 0o755))
	if tracked {
		for line := range strings.Lines(fragment) {
			if name, found := strings.CutPrefix(strings.TrimSpace(line), `file "`+runRoot+"/"); found {
				file := filepath.Join(place, "run", strings.TrimSuffix(name, `"`))
				require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
				require.NoError(t, os.WriteFile(file, []byte("0    \n"), 0o600))
			}
		}
	}
	fragment = strings.ReplaceAll(fragment, runRoot, filepath.Join(inside, "run"))
	main = strings.ReplaceAll(main, fragments, filepath.Join(inside, "charm.d"))
	require.NoError(t, os.WriteFile(filepath.Join(place, "keepalived.conf"), []byte(main), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(place, "charm.d", "keepalived.conf"), []byte(fragment), 0o600))
	out, err := d.command("-t", "-f", filepath.Join(inside, "keepalived.conf")).CombinedOutput()
	return string(out), err
}

// followScript starts keepalived where root may have no inotify instance or watch, a limit
// of each user namespace, and prints its report before and after the track file changed,
// and when it has reloaded with some to be had; each time with its watches.
const followScript = `
set -e
limit=/proc/sys/user/max_inotify_$KIND
ip link set lo up
ip link add eth0 type veth peer name peer
ip link set eth0 up
ip link set peer up
ip addr add 10.10.74.11/24 dev eth0
report() {
	rm -f keepalived.json
	kill -s "$(keepalived --signum=JSON)" $pid
	for i in $(seq 100); do
		[ -s keepalived.json ] && tail -c 2 keepalived.json | grep -q ']' && break
		sleep 0.05
	done
	sleep 0.1
	tr -d '\n' <keepalived.json
	echo
	cat $(printf '/proc/%s/fdinfo/* ' $(cat /proc/$pid/task/$pid/children)) | grep -c '^inotify wd:.* ino:'"$(printf %x "$(stat -c %i .)") " || true
}
echo '152  ' >priority
echo 0 >$limit
TMPDIR=$PWD keepalived -n -f $PWD/keepalived.conf -p $PWD/a.pid -r $PWD/b.pid >/dev/null 2>&1 &
pid=$!
trap 'kill $pid; wait $pid || true' EXIT
sleep 1.5
report
echo '100  ' >priority
sleep 0.3
report
echo 8 >$limit
kill -HUP $pid
sleep 1
report
`

// TestAReloadHasTheRealKeepalivedFollowItsTrackFile: what Plan counts on. Without an
// inotify instance it runs on its base priority, without a watch on what it read last.
func TestAReloadHasTheRealKeepalivedFollowItsTrackFile(t *testing.T) {
	needs.Time(t)
	needs.Root(t)
	t.Parallel()
	dir := t.TempDir()
	config := "global_defs {\n    max_auto_priority -1\n}\ntrack_file x {\n    file \"" + dir + "/priority\"\n    weight 1\n}\n" +
		"vrrp_instance x {\n    interface eth0\n    virtual_router_id 23\n    version 3\n    priority 30\n    advert_int 0.1\n" +
		"    virtual_ipaddress {\n        10.10.74.250/32\n    }\n    track_file {\n        x\n    }\n}\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "keepalived.conf"), []byte(config), 0o600))
	for kind, known := range map[string]vrrp.Priority{"instances": 30, "watches": vrrp.Effective(30, 152)} {
		cmd := exec.Command("unshare", "--user", "--map-root-user", "--net", "--mount", "sh", "-c", followScript)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "KIND="+kind)
		out, err := cmd.Output()
		require.NoError(t, err, "%s", out)
		var priorities []vrrp.Priority
		var watches []string
		for line := range strings.Lines(string(out)) {
			if !strings.HasPrefix(line, "[") {
				watches = append(watches, strings.TrimSpace(line))
				continue
			}
			states, err := keepalived.ParseState([]byte(line))
			require.NoError(t, err)
			require.Len(t, states, 1)
			require.EqualValues(t, 30, states[0].Base)
			priorities = append(priorities, states[0].Effective)
		}
		require.Equal(t, []vrrp.Priority{known, known, vrrp.Effective(30, 100)}, priorities, kind)
		require.Equal(t, []string{"0", "0", "1"}, watches, kind)
	}
}
