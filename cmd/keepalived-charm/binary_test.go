package main_test

import (
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/host"
	"keepalived-charm/internal/needs"
	"keepalived-charm/internal/systemdtest"
)

// version is that of the binary that most tests run.
const version = "v1.2.3"

// built are the binaries by package and version, in a directory that TestMain removes.
var built = struct {
	sync.Mutex
	dir      string
	binaries map[string]string
}{binaries: map[string]string{}}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "keepalived-charm-test-")
	if err != nil {
		panic(err)
	}
	built.dir = dir
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// build compiles a package as the Makefile does, once.
func build(t testing.TB, pkg, version string) string {
	t.Helper()
	built.Lock()
	defer built.Unlock()
	key := pkg + " " + version
	if binary := built.binaries[key]; binary != "" {
		return binary
	}
	binary := filepath.Join(built.dir, fmt.Sprint("binary", len(built.binaries)))
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version="+version, "-o", binary, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	built.binaries[key] = binary
	return binary
}

func TestAPersonIsToldWhatThisIs(t *testing.T) {
	binary := build(t, ".", version)
	for _, c := range []struct {
		args []string
		want string
		bad  bool
	}{
		{[]string{"--help"}, "Juju starts it as dispatch or hooks/NAME", false},
		{[]string{"-h"}, "juju status keepalived", false},
		{[]string{"--version"}, version + "\n", false},
		{nil, "error: cannot run outside a Juju hook: see --help\n", true},
		{[]string{"dance"}, `error: cannot do "dance": see ` + binary + " --help\n", true},
		{[]string{"checker"}, "error: cannot run checker: it takes --config FILE and nothing else\n", true},
		{[]string{"notify", "--unit", "x y", "/news"}, "error: cannot run notify: it takes --unit UNIT and the files that say that there are news\n", true},
		{[]string{"refresh"}, "error: cannot run outside a Juju hook: see --help\n", true},
		{[]string{"check", "--config", "/nonexistent"}, "error: cannot read checker configuration: open /nonexistent: no such file or directory\n", true},
		{[]string{"ended", "--config", "/nonexistent"}, "open /nonexistent: no such file or directory\n", true},
		{[]string{"prepare", "--config", "/nonexistent"}, "error: cannot read /nonexistent for keepalived: open /nonexistent: no such file or directory\n", true},
	} {
		cmd := exec.Command(binary, c.args...)
		cmd.Env = []string{}
		out, err := cmd.CombinedOutput()
		assert.Equal(t, c.bad, err != nil, "%q", c.args)
		assert.Contains(t, string(out), c.want)
	}
	unprepared := filepath.Join(t.TempDir(), "checker.json")
	require.NoError(t, os.WriteFile(unprepared, []byte(`{"application":"keepalived","instances":[{"name":"charm_keepalived","track_file":"/dev/null/priority","interface":"nosuch",`+
		`"addresses":["192.0.2.1"],"aside":"paused"}],"policy":{},"peers":false,"check":{"type":"none"}}`), 0o600))
	var exit *exec.ExitError
	require.ErrorAs(t, exec.Command(binary, "prepare", "--config", unprepared).Run(), &exit)
	require.Equal(t, host.UnpreparedStatus, exit.ExitCode(), "systemd starts no keepalived")
	for path, want := range map[string]string{
		"elsewhere/stop": "neither hooks/NAME nor actions/NAME",
	} {
		cmd := exec.Command(binary)
		cmd.Env = []string{"JUJU_DISPATCH_PATH=" + path, "JUJU_UNIT_NAME=keepalived/0"}
		out, err := cmd.CombinedOutput()
		require.Error(t, err)
		assert.Contains(t, string(out), want)
	}
	for _, hook := range []string{"collect-metrics", "nosuch", "data-storage-attached", "website-relation-mended"} {
		cmd := exec.Command(binary)
		cmd.Env = []string{"JUJU_DISPATCH_PATH=hooks/" + hook, "JUJU_UNIT_NAME=keepalived/0"}
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "a hook that brings nothing, or that a later Juju has, ends at once: %s", out)
		assert.Empty(t, out)
	}
}

// TestTwoBuildsDifferInTheirFirstPage: that is how a hook finds out that the
// installed copy is another version.
func TestTwoBuildsDifferInTheirFirstPage(t *testing.T) {
	needs.Time(t)
	page := func(version string) string {
		text, err := os.ReadFile(build(t, ".", version))
		require.NoError(t, err)
		return string(text[:4096])
	}
	require.NotEqual(t, page(version), page("v1.2.4"))
}

// stage is a file system of its own in which the binary runs as a charm.
type stage struct {
	t    testing.TB
	root string
}

const peers = 3

// mostBare is how many Go programs that do nothing a hook without a change may cost at
// most, programs that it starts aside: 5 to 7 where they take 5 to 9 ms of processor, the
// more the busier the machine. Page faults differ less, by the size of a page only: 500.
//
// mostPrograms is how many it starts, beyond one for each peer: Juju's tools alone, each
// for something that the decision needs and nothing else tells. They read the options, the
// network, of three endpoints the relations and what the unit itself publishes there (Juju
// changes that, too), who its peers are, and the status (Juju sets that, too).
const (
	mostPrograms = 13
	mostBare     = 25
	mostFaults   = 850
)

// newStage moves this thread into namespaces of its own, where the binary can do
// no harm: a network with one interface, and a directory as file system. The
// thread ends with the test.
func newStage(t testing.TB) stage {
	t.Helper()
	s := stage{t, t.TempDir()}
	for _, dir := range []string{"proc", "dev", "tools", "fake", "tmp", "charm/hooks", "etc/keepalived", "etc/systemd/system", "etc/sysctl.d", "run/systemd", "var/lib"} {
		require.NoError(t, os.MkdirAll(filepath.Join(s.root, dir), 0o755))
	}
	copyFile(t, build(t, ".", version), filepath.Join(s.root, "charm/dispatch"))
	copyFile(t, build(t, "./testdata/faketools", version), filepath.Join(s.root, "tools/measure"))
	copyFile(t, build(t, "./testdata/bare", version), filepath.Join(s.root, "tools/bare"))
	for _, tool := range append(hookTools(), "systemctl", "keepalived") {
		require.NoError(t, os.Symlink("measure", filepath.Join(s.root, "tools", tool)))
	}
	require.NoError(t, os.Symlink("../dispatch", filepath.Join(s.root, "charm/hooks/update-status")))
	s.model()

	s.systemd()
	t.Cleanup(s.stopKeepalived)
	runtime.LockOSThread()
	require.NoError(t, unix.Unshare(unix.CLONE_NEWNET|unix.CLONE_NEWNS))
	require.NoError(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	require.NoError(t, unix.Mount("/proc", filepath.Join(s.root, "proc"), "", unix.MS_BIND|unix.MS_REC, ""))
	require.NoError(t, unix.Mount("/dev", filepath.Join(s.root, "dev"), "", unix.MS_BIND, ""))
	t.Cleanup(func() {
		assert.NoError(t, unix.Unmount(filepath.Join(s.root, "dev"), unix.MNT_DETACH))
		assert.NoError(t, unix.Unmount(filepath.Join(s.root, "proc"), unix.MNT_DETACH))
	})
	attributes := netlink.NewLinkAttrs()
	attributes.Name = "eth0"
	link := &netlink.Veth{LinkAttrs: attributes, PeerName: "peer0"}
	require.NoError(t, netlink.LinkAdd(link))
	require.NoError(t, netlink.LinkSetUp(link))
	address, err := netlink.ParseAddr("10.10.74.11/24")
	require.NoError(t, err)
	require.NoError(t, netlink.AddrAdd(link, address))
	return s
}

// systemd says of units what the fake systemctl made of them.
func (s stage) systemd() {
	s.t.Helper()
	listener, err := net.Listen("unix", filepath.Join(s.root, "run/systemd/private"))
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = listener.Close() })
	active := filepath.Join(s.root, "fake/active-")
	go systemdtest.Systemd{Unit: func(path dbus.ObjectPath) systemdtest.Unit {
		found, _ := filepath.Glob(active + "*")
		for _, f := range found {
			if checker.UnitPath(strings.TrimPrefix(f, active)) == path {
				text, _ := os.ReadFile(f)
				pid, _ := strconv.ParseUint(string(text), 10, 32)
				return systemdtest.Unit{ActiveState: "active", UnitFileState: "enabled", MainPID: uint32(pid)}
			}
		}
		return systemdtest.Unit{ActiveState: "inactive"}
	}}.Serve(listener)
}

// stopKeepalived ends the daemon that the fake systemctl started, if it did.
func (s stage) stopKeepalived() {
	text, err := os.ReadFile(filepath.Join(s.root, "fake/active-keepalived.service"))
	if os.IsNotExist(err) {
		return
	}
	require.NoError(s.t, err)
	pid, err := strconv.Atoi(string(text))
	require.NoError(s.t, err)
	assert.NoError(s.t, syscall.Kill(pid, syscall.SIGKILL))
}

// healthy is the word of a health checker that has just checked.
func (s stage) healthy() {
	require.NoError(s.t, os.MkdirAll(filepath.Join(s.root, "run/keepalived-charm/keepalived"), 0o755))
	s.put("run/keepalived-charm/keepalived/status.json", `{"verdict":"healthy","written":"`+time.Now().UTC().Format(time.RFC3339Nano)+`"}`)
}

func hookTools() []string {
	return []string{"config-get", "relation-ids", "relation-list", "relation-get", "relation-set", "network-get",
		"status-get", "status-set", "application-version-set", "juju-log", "goal-state", "is-leader", "state-get", "state-set", "action-get", "action-set", "action-fail"}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, text, 0o755))
}

// model is what the hook tools answer: every relation is there, in the form in
// which Juju 2.9 and 3.x print it.
func (s stage) model() {
	juju := `{"egress-subnets":"10.10.74.11/32","ingress-address":"10.10.74.11","private-address":"10.10.74.11"}`
	units, goal := "", `"keepalived/0":{"status":"active"}`
	for n := 1; n <= peers; n++ {
		units += fmt.Sprintf(`,"keepalived/%d"`, n)
		goal += fmt.Sprintf(`,"keepalived/%d":{"status":"active"}`, n)
		s.put(fmt.Sprintf("fake/bag-cluster:1-keepalived-%d", n),
			fmt.Sprintf(`{"principal":"haproxy/%d","rank":"%d","addresses":"10.10.74.%d","ingress-address":"10.10.74.%d"}`, n, n, 11+n, 11+n))
	}
	for name, text := range map[string]string{
		"config-get":                 `{"advert_interval":0.2,"port":443,"preempt":false,"router_id":23,"vip_hostname":"","virtual_ip":"10.10.74.250"}`,
		"network-get":                `{"bind-addresses":[{"mac-address":"00:16:3e:00:00:01","interface-name":"eth0","addresses":[{"hostname":"","value":"10.10.74.11","cidr":"10.10.74.0/24"}]}],"egress-subnets":["10.10.74.11/32"],"ingress-addresses":["10.10.74.11"]}`,
		"status-get":                 `{"message":"","status":"unknown","status-data":{}}`,
		"relation-ids-website":       `["website:3"]`,
		"relation-ids-ha":            "[]",
		"relation-ids-lb-consumers":  "[]",
		"relation-ids-loadbalancer":  `["loadbalancer:4"]`,
		"relation-ids-cos-agent":     `[]`,
		"relation-ids-cluster":       `["cluster:1"]`,
		"relation-ids-lb-sink":       `["lb-sink:5"]`,
		"relation-ids-juju-info":     `["juju-info:0"]`,
		"relation-list-cluster:1":    "[" + strings.TrimPrefix(units, ",") + "]",
		"goal-state":                 `{"units":{` + goal + `},"relations":{}}`,
		"is-leader":                  "true",
		"action-get":                 "{}",
		"bag-website:3-keepalived-0": juju, "bag-loadbalancer:4-keepalived-0": juju, "bag-cluster:1-keepalived-0": juju,
	} {
		s.put("fake/"+name, text)
	}
}

func (s stage) put(path, text string) {
	s.t.Helper()
	require.NoError(s.t, os.WriteFile(filepath.Join(s.root, path), []byte(text), 0o600))
}

func (s stage) text(path string) string {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, path))
	require.NoError(s.t, err)
	return string(text)
}

// cost is what a hook took.
type cost struct {
	// own and total are microseconds of processor: of the hook by itself, and with all that
	// it started.
	own, total int64
	// faults are page faults of the hook by itself.
	faults int64
	memory int64 // KiB at most
	calls  []string
}

// run runs a hook; path is that of the program.
func (s stage) run(path, hook string) cost {
	s.t.Helper()
	s.put("fake/calls", "")
	s.healthy()
	cmd := exec.Command("/tools/measure", path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: s.root}
	cmd.Dir = "/charm"
	cmd.Env = []string{"PATH=/tools", "JUJU_UNIT_NAME=keepalived/0", "JUJU_PRINCIPAL_UNIT=haproxy/0", "JUJU_VERSION=3.5.4"}
	if hook != "" {
		cmd.Env = append(cmd.Env, "JUJU_DISPATCH_PATH="+dispatched(hook))
	}
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	require.NoError(s.t, err, errs.String())
	var c cost
	_, err = fmt.Sscan(string(out), &c.own, &c.faults, &c.total, &c.memory)
	require.NoError(s.t, err)
	for line := range strings.Lines(s.text("fake/calls")) {
		c.calls = append(c.calls, strings.TrimSpace(line))
	}
	return c
}

// hookTools counts the calls of Juju's tools.
func (c cost) hookTools() int {
	return len(slices.DeleteFunc(slices.Clone(c.calls), func(call string) bool {
		return strings.HasPrefix(call, "systemctl ") || strings.HasPrefix(call, "keepalived ")
	}))
}

// TestTheBinaryAsACharm runs the built binary with fake programs on the PATH: what
// it starts, what it costs, what it leaves.
func TestTheBinaryAsACharm(t *testing.T) {
	needs.Root(t)
	s := newStage(t)
	first := s.run("/charm/dispatch", "config-changed")
	assert.LessOrEqual(t, first.hookTools(), 18+peers, "%s", strings.Join(first.calls, "\n"))
	assert.Contains(t, s.text("etc/keepalived/charm.d/keepalived.conf"), "10.10.74.250/32")
	assert.Contains(t, s.text("fake/bag-website:3-keepalived-0"), `"private-address":"10.10.74.250"`)
	assert.Contains(t, s.text("fake/bag-loadbalancer:4-keepalived-0"), `"public-address":"10.10.74.250"`)
	assert.Contains(t, s.text("fake/bag-cluster:1-keepalived-0"), `"principal":"haproxy/0"`)
	second := s.run("/charm/dispatch", "update-status")
	assert.Contains(t, strings.Join(second.calls, "\n"), "application-version-set 2.2.7")
	assert.Contains(t, s.text("fake/status-get"), "VIP ready: holds 10.10.74.250")

	var costs []cost
	bare := int64(math.MaxInt64) // the least: a busy machine makes any of them longer
	for n := range 7 {
		bare = min(bare, s.run("/tools/bare", "").own)
		path, hook := "/charm/dispatch", "update-status"
		if n == 0 {
			path, hook = "/charm/hooks/update-status", "" // as a Juju that finds no dispatch starts it
		}
		c := s.run(path, hook)
		for _, call := range c.calls {
			for _, change := range []string{"relation-set", "juju-log", "systemctl re", "systemctl stop", "systemctl daemon-reload", "keepalived --config-test"} {
				require.False(t, strings.HasPrefix(call, change), "a hook that changes nothing runs %q", call)
			}
		}
		costs = append(costs, c)
	}
	slices.SortFunc(costs, func(a, b cost) int { return int(a.own - b.own) })
	median := costs[len(costs)/2]
	memory := slices.MaxFunc(costs, func(a, b cost) int { return int(a.memory - b.memory) }).memory
	t.Logf("a hook that changes nothing: %.1f ms of processor by itself, %.1f ms with the %d programs it starts, %.1f MB of memory",
		float64(median.own)/1000, float64(median.total)/1000, len(median.calls), float64(memory)/1024)
	fewest := slices.MinFunc(costs, func(a, b cost) int { return len(a.calls) - len(b.calls) }).calls
	assert.Len(t, fewest, mostPrograms+peers, "%s", strings.Join(fewest, "\n"))
	assert.Equal(t, len(fewest), cost{calls: fewest}.hookTools(), "each program is a hook tool: %s", strings.Join(fewest, "\n"))
	t.Logf("config-changed: %d hook tools with %d peers; update-status: %d", first.hookTools(), peers, median.hookTools())
	least := costs[0].own
	t.Logf("by itself it takes %.1f times the processor of a Go program that does nothing, which is %.1f ms", float64(least)/float64(bare), float64(bare)/1000)
	assert.Less(t, least, mostBare*bare)
	faults := slices.MinFunc(costs, func(a, b cost) int { return int(a.faults - b.faults) }).faults
	t.Logf("it takes %d page faults by itself", faults)
	assert.Less(t, faults, int64(mostFaults))
	assert.Less(t, memory, int64(30*1024))
}

// BenchmarkHookFromStartToExit is a hook that changes nothing, as Juju starts it, in
// processor time: of the charm by itself in that of a Go program that does nothing, and with
// the programs that it starts, the least of each.
func BenchmarkHookFromStartToExit(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("only root may make namespaces")
	}
	s := newStage(b)
	s.run("/charm/dispatch", "config-changed")
	s.run("/charm/dispatch", "update-status")
	own, all, bare, memory, programs := int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64), int64(0), 0
	for b.Loop() {
		c := s.run("/charm/dispatch", "update-status")
		own, all, memory, programs = min(own, c.own), min(all, c.total), max(memory, c.memory), len(c.calls)
		bare = min(bare, s.run("/tools/bare", "").own)
	}
	b.ReportMetric(float64(programs), "programs")
	b.ReportMetric(float64(own)/float64(bare), "own-bare-programs")
	b.ReportMetric(float64(all)/float64(bare), "all-bare-programs")
	b.ReportMetric(float64(memory)/1024, "MB")
}

// dispatched is the path by which Juju names a hook, hooks/NAME where it is a name alone.
func dispatched(hook string) string {
	if strings.Contains(hook, "/") {
		return hook
	}
	return "hooks/" + hook
}
