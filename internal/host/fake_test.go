package host_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/host"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

// fakes is the program that stands in for systemctl, keepalived, apt-get, dpkg and others.
var fakes string

// jsonSignal is what the fake keepalived calls its JSON signal.
const jsonSignal = 36

// TestMain builds the fake programs. Tests that wait do so together, whatever number of
// processors there is, unless -parallel says how many.
func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", "16"); err != nil {
		panic(err)
	}
	os.Exit(build(m.Run))
}

func build(run func() int) int {
	const built = "HOST_TEST_FAKES" // by the test that runs this one
	if fakes = os.Getenv(built); fakes != "" {
		return run()
	}
	dir, err := os.MkdirTemp("", "host-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	fakes = filepath.Join(dir, "programs")
	cmd := exec.Command("go", "build", "-ldflags=-s -w", "-o", fakes, "./testdata/programs")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "cannot build the fake programs: %v\n%s", err, out)
		return 1
	}
	if err := os.Setenv(built, fakes); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return run()
}

// programs is the state of the fake programs.
type programs struct{ dir string }

func (p programs) path(elements ...string) string {
	return filepath.Join(append([]string{p.dir}, elements...)...)
}

// says returns the content of a state file, empty when there is none.
func (p programs) says(name string) string {
	text, _ := os.ReadFile(p.path(name))
	return string(text)
}

func (p programs) set(t *testing.T, name, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(p.path(name), []byte(text), 0o600))
}

// machine is a machine below a temporary root, with fake programs.
type machine struct {
	*host.Host
	programs
	t    *testing.T
	root string
	// charm is the charm's program, in its directory.
	charm string
	l     layout.Layout
}

func newMachine(t *testing.T) machine {
	t.Helper()
	root := t.TempDir()
	m := machine{programs: programs{filepath.Join(root, "usr/bin")}, t: t, root: root, l: layout.Layout{Application: "keepalived"}}
	require.NoError(t, os.MkdirAll(m.dir, 0o755))
	for _, name := range []string{"systemctl", "keepalived", "apt-get", "dpkg", "dpkg-deb", "dpkg-query", "daemon", "holder", "useradd", "userdel"} {
		require.NoError(t, os.Symlink(fakes, m.programs.path(name)))
	}
	m.charm = filepath.Join(t.TempDir(), "charm")
	require.NoError(t, os.WriteFile(m.charm, []byte("charm 1"), 0o755))
	m.Host = host.New(m.root, m.charm)
	return m
}

func (m machine) in(path string) string { return filepath.Join(m.root, path) }

func (m machine) put(path, text string) {
	m.t.Helper()
	require.NoError(m.t, os.MkdirAll(filepath.Dir(m.in(path)), 0o755))
	require.NoError(m.t, os.WriteFile(m.in(path), []byte(text), 0o640))
}

// serves records virtual IPs on an interface, with an advertisement interval.
func (m machine) serves(interval time.Duration, iface string, vips ...netip.Addr) {
	m.t.Helper()
	r := applied.Record{Addresses: map[netip.Addr]applied.Place{}, Routers: map[int]applied.Router{0: {Link: iface, Parameters: vrrp.Parameters{
		Version: 3, Mode: vrrp.Multicast, VirtualRouterID: 23, Interval: interval, Anchor: vrrp.Anchor(23, false)}}}}
	for _, a := range vips {
		r.Addresses[a] = applied.Place{Interface: iface, Bits: a.BitLen()}
	}
	text, err := r.Encode()
	require.NoError(m.t, err)
	m.put(m.l.Record(), text)
}

func (m machine) text(path string) string {
	m.t.Helper()
	text, err := os.ReadFile(m.in(path))
	require.NoError(m.t, err)
	return string(text)
}

func (m machine) observe() facts.Machine {
	m.t.Helper()
	seen, err := m.Observe(m.l)
	require.NoError(m.t, err)
	return seen
}

func (m machine) apply(s step.Step) {
	m.t.Helper()
	require.NoError(m.t, m.Apply(m.l, s))
}

// calls returns what was run and forgets it.
func (m machine) calls() []string {
	m.t.Helper()
	lines := strings.Split(strings.TrimSpace(m.says("calls")), "\n")
	m.set(m.t, "calls", "")
	return lines
}

// files lists all files below the root but for the fake programs and their state.
func (m machine) files() []string {
	m.t.Helper()
	var names []string
	require.NoError(m.t, filepath.WalkDir(m.root, func(path string, d os.DirEntry, err error) error {
		if path == m.dir {
			return filepath.SkipDir
		}
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(path, m.root))
		}
		return err
	}))
	return names
}

// start starts the fake daemon and tells systemctl of it.
func (m machine) start(tmp string, environment ...string) {
	m.t.Helper()
	cmd := exec.Command(m.programs.path("daemon"), fmt.Sprint(jsonSignal))
	cmd.Env = append(append(os.Environ(), "TMPDIR="+tmp, "FAKE_TRACKS="+m.in(m.l.Run())), environment...)
	out, err := cmd.StdoutPipe()
	require.NoError(m.t, err)
	require.NoError(m.t, cmd.Start())
	m.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ready := make([]byte, 6)
	_, err = out.Read(ready)
	require.NoError(m.t, err)
	m.set(m.t, "keepalived.service", fmt.Sprintf("active %d", cmd.Process.Pid))
	m.set(m.t, "signum", fmt.Sprint(jsonSignal))
}

// hold has another process lock a file until the returned function is called, and tells
// its ID.
func (m machine) hold(file string) (pid int, release func()) {
	m.t.Helper()
	cmd := exec.Command(m.programs.path("holder"), file)
	in, err := cmd.StdinPipe()
	require.NoError(m.t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(m.t, err)
	require.NoError(m.t, cmd.Start())
	_, err = out.Read(make([]byte, 6))
	require.NoError(m.t, err)
	release = sync.OnceFunc(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	m.t.Cleanup(release)
	return cmd.Process.Pid, release
}

// checkerConfig is a configuration of the health checker with one track file.
func checkerConfig(t *testing.T, trackFile string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"application": "keepalived",
		"instances": []any{map[string]any{"name": "charm_keepalived", "track_file": trackFile, "interface": "eth0", "addresses": []string{"10.10.74.250"}}},
		"policy":    map[string]any{}, "peers": false, "check": map[string]any{"type": "none"}})
	require.NoError(t, err)
	return string(text)
}
