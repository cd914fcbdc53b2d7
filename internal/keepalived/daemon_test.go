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
	if os.Geteuid() != 0 {
		t.Skip("only root may make a network namespace; CI runs this as root")
	}
	renderAll(t) // the golden files may be about to be written
	main, err := os.ReadFile("testdata/main.golden")
	require.NoError(t, err)
	names, err := filepath.Glob("testdata/fragment-*.golden")
	require.NoError(t, err)
	require.Len(t, names, len(cases()))
	for _, root := range daemons(t) {
		d := daemon{root}
		t.Run(d.version(t), func(t *testing.T) {
			enterNamespace(t)
			for _, name := range names {
				fragment, err := os.ReadFile(name)
				require.NoError(t, err)
				said, status := d.test(t, string(main), string(fragment), true)
				assert.NoError(t, status, "%s: %s", name, said)
				assert.Empty(t, said, name)
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
