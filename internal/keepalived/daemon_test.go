package keepalived_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestTheRealKeepalivedAcceptsEveryGoldenFile feeds the golden files to the config
// test of the installed keepalived, in a network namespace of its own.
func TestTheRealKeepalivedAcceptsEveryGoldenFile(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may make a network namespace; CI runs this as root")
	}
	_, err := exec.LookPath("keepalived")
	require.NoError(t, err, "install keepalived to run this test: apt-get install --no-install-recommends keepalived")
	renderAll(t) // the golden files may be about to be written
	enterNamespace(t)
	main, err := os.ReadFile("testdata/main.golden")
	require.NoError(t, err)
	names, err := filepath.Glob("testdata/fragment-*.golden")
	require.NoError(t, err)
	require.Len(t, names, len(cases()))
	for _, name := range names {
		fragment, err := os.ReadFile(name)
		require.NoError(t, err)
		said, status := configTest(t, string(main), string(fragment))
		assert.NoError(t, status, "%s: %s", name, said)
		assert.Empty(t, said, name)
	}
	// The test would notice a fault.
	for _, bad := range []string{"vrrp_instance x {\n}\n", "}\n", "nonsense\n"} {
		said, status := configTest(t, string(main), bad)
		assert.Error(t, status, "%q passed and said %q", bad, said)
	}
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

// configTest runs the config test on a main file with one fragment.
func configTest(t *testing.T, main, fragment string) (said string, status error) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(dir, "charm.d"), 0o755))
	file := filepath.Join(dir, "keepalived.conf")
	main = strings.ReplaceAll(main, fragments, filepath.Join(dir, "charm.d"))
	require.NoError(t, os.WriteFile(file, []byte(main), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "charm.d", "keepalived.conf"), []byte(fragment), 0o600))
	out, err := exec.Command("keepalived", "-t", "-f", file).CombinedOutput()
	return string(out), err
}
