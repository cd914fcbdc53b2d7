package host_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
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

// TestMain lets the test binary stand in for systemctl, keepalived, apt-get, dpkg, dpkg-deb
// and dpkg-query: it is what the links on the PATH point at. Their state lies in files.
func TestMain(m *testing.M) {
	dir := os.Getenv("FAKE_PROGRAMS")
	if dir == "" {
		os.Exit(m.Run())
	}
	program := filepath.Base(os.Args[0])
	switch program {
	case "daemon":
		daemon()
	case "holder":
		holder(os.Args[1])
		return
	}
	f, err := os.OpenFile(filepath.Join(dir, "calls"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(f, program, strings.Join(os.Args[1:], " "))
	s := programs{dir}
	switch program {
	case "systemctl":
		os.Exit(s.systemctl(os.Args[1:]))
	case "keepalived":
		os.Exit(s.keepalived(os.Args[1:]))
	case "dpkg-query": // only the package's state is asked of it
		os.Exit(s.dpkgQuery())
	case "dpkg": // only --configure is asked of it
		_ = os.Remove(s.path("interrupted"))
		return
	case "dpkg-deb": // only --extract is asked of it
		os.Exit(s.dpkgDeb(os.Args[1:]))
	}
	os.Exit(s.apt(os.Args[1:]))
}

// daemon writes a report when it gets keepalived's JSON signal: like keepalived it
// has the file there before the text. In a root of its own it heeds no TMPDIR, as
// before 2.2.7.
func daemon() {
	dir := os.Getenv("TMPDIR")
	asked, err := os.OpenFile(programs{os.Getenv("FAKE_PROGRAMS")}.path("asked"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	if root := os.Getenv("FAKE_ROOT"); root != "" {
		if err := syscall.Chroot(root); err != nil {
			panic(err)
		}
		dir = "/tmp"
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.Signal(jsonSignal), syscall.SIGHUP)
	fmt.Println("ready")
	for s := range signals {
		if s == syscall.SIGHUP {
			if err := os.WriteFile(filepath.Join(os.Getenv("FAKE_PROGRAMS"), "read"), []byte("again"), 0o600); err != nil {
				panic(err)
			}
			continue
		}
		if _, err := asked.WriteString("."); err != nil {
			panic(err)
		}
		name := filepath.Join(dir, "keepalived.json")
		report := programs{os.Getenv("FAKE_PROGRAMS")}.says("report")
		if report == "" {
			report = `[{"data":{"iname":"charm_keepalived","state":2,"vips":["10.10.74.250 dev eth0 scope global set"]}}]`
		}
		for _, text := range []string{"", report[:len(report)/2], report} {
			if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
				panic(err)
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
}

const jsonSignal = 36

// holder has a file locked, as apt and dpkg do, until its input ends.
func holder(file string) {
	f, err := os.OpenFile(file, os.O_RDWR|os.O_CREATE, 0o640)
	if err == nil {
		err = syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &syscall.Flock_t{Type: syscall.F_WRLCK})
	}
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
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

func (p programs) systemctl(args []string) int {
	if args[0] == "show" {
		for n, name := range args[2:] {
			if n > 0 {
				fmt.Println()
			}
			state, pid, _ := strings.Cut(p.says(name), " ")
			if state == "" {
				state, pid = "inactive", "0"
			}
			fmt.Printf("MainPID=%s\nId=%s\nActiveState=%s\nUnitFileState=%s\n", pid, name, state, p.says(name+".file"))
		}
		return 0
	}
	if name := args[len(args)-1]; strings.HasPrefix(p.says(name+".file"), "masked") && slices.Contains([]string{"enable", "start", "restart", "reload-or-restart"}, args[0]) {
		fmt.Fprintf(os.Stderr, "Failed to %s %s: Unit %s is masked.\n", args[0], name, name)
		return 1
	}
	if slices.Contains(strings.Fields(p.says("failing")), args[0]) {
		fmt.Fprintf(os.Stderr, "Failed to %s: Access denied\n", args[0])
		return 1
	}
	return 0
}

func (p programs) keepalived(args []string) int {
	if needs := p.says("needs"); needs != "" {
		if _, err := os.Stat(needs); err != nil {
			fmt.Fprintln(os.Stderr, "Unable to read build config options file")
			return 1
		}
	}
	switch args[0] {
	case "--version":
		fmt.Fprintln(os.Stderr, "Keepalived v2.2.7 (01/16,2022)\n\nCopyright")
	case "--signum=JSON":
		fmt.Println(p.says("signum"))
	case "--config-test":
		file := args[2]
		text, err := os.ReadFile(file)
		if err != nil {
			return 2
		}
		included, status := "", 0
		// Like keepalived 2.2.7 it names a file that is included, not the first one.
		remark := func(text []byte, place string) {
			n := 0
			for line := range strings.Lines(string(text)) {
				if n++; strings.HasPrefix(line, "odd ") {
					fmt.Fprintf(os.Stderr, "(%sLine %d) warning: %s", place, n, line)
					status = 5
				}
			}
		}
		remark(text, "")
		for line := range strings.Lines(string(text)) {
			if pattern, found := strings.CutPrefix(strings.TrimSpace(line), "include "); found {
				names, _ := filepath.Glob(pattern)
				for _, n := range names {
					more, _ := os.ReadFile(n)
					included += string(more)
					remark(more, n+": ")
				}
			}
		}
		if err := os.WriteFile(p.path("tested"), []byte(string(text)+included), 0o600); err != nil {
			panic(err)
		}
		// From 2.2.8 on.
		for line := range strings.Lines(string(text) + included) {
			name, found := strings.CutPrefix(strings.TrimSpace(line), `file "`)
			if _, err := filepath.EvalSymlinks(filepath.Dir(name)); found && err != nil {
				fmt.Fprintf(os.Stderr, "(%s) realpath() error %d - %s\n", file, syscall.ENOENT, name)
				return 5
			}
		}
		if refusal := p.says("refusal"); refusal != "" {
			fmt.Fprintln(os.Stderr, strings.ReplaceAll(refusal, "FILE", file))
		}
		if p.says("status") != "" {
			return 5
		}
		return status
	}
	return 0
}

func (p programs) dpkgQuery() int {
	state := p.says("package")
	if state == "" {
		fmt.Fprintln(os.Stderr, "dpkg-query: no packages found matching keepalived")
		return 1
	}
	fmt.Print(state)
	return 0
}

// dpkgDeb extracts the one package that there is.
func (p programs) dpkgDeb(args []string) int {
	text, err := os.ReadFile(args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "dpkg-deb: error: failed to read archive")
		return 2
	}
	file := filepath.Join(args[2], "etc/keepalived/keepalived.config-opts")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		panic(err)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		panic(err)
	}
	return 0
}

func (p programs) apt(args []string) int {
	if slices.Contains(args, p.says("apt-locks")) {
		f, err := os.Open(p.path("lock"))
		if err != nil {
			panic(err)
		}
		held := syscall.Flock_t{Type: syscall.F_WRLCK}
		if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &held); err != nil {
			panic(err)
		}
		if held.Type != syscall.F_UNLCK {
			fmt.Fprintf(os.Stderr, "E: Could not get lock %s. It is held by process %d (holder)\nE: Unable to lock directory %s\n", f.Name(), held.Pid, p.dir)
			return 100
		}
	}
	if slices.Contains(args, p.says("apt-fails")) {
		fmt.Fprintln(os.Stderr, cmp.Or(p.says("apt-says"), "E: Unable to fetch some archives, maybe run apt-get update or try with --fix-missing?"))
		return 100
	}
	if slices.Contains(args, "download") {
		if err := os.WriteFile("keepalived_1%3a2.3.3-1_amd64.deb", []byte("--build=x86_64-linux-gnu"), 0o600); err != nil {
			panic(err)
		}
	}
	if slices.Contains(args, "install") && p.says("interrupted") != "" {
		fmt.Fprintln(os.Stderr, "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.")
		return 100
	}
	if slices.Contains(args, "install") {
		if err := os.WriteFile(p.path("package"), []byte("installed"), 0o600); err != nil {
			panic(err)
		}
	}
	return 0
}

// machine is a machine below a temporary root, with fake programs on the PATH.
type machine struct {
	*host.Host
	programs
	t    *testing.T
	root string
	l    layout.Layout
}

func newMachine(t *testing.T) machine {
	t.Helper()
	m := machine{programs: programs{t.TempDir()}, t: t, root: t.TempDir(), l: layout.Layout{Application: "keepalived"}}
	self, err := os.Executable()
	require.NoError(t, err)
	for _, name := range []string{"systemctl", "keepalived", "apt-get", "dpkg", "dpkg-deb", "dpkg-query", "daemon", "holder"} {
		require.NoError(t, os.Symlink(self, m.programs.path(name)))
	}
	t.Setenv("PATH", m.dir)
	t.Setenv("FAKE_PROGRAMS", m.dir)
	t.Setenv("GORACE", "atexit_sleep_ms=0") // each of them would take a second to end
	charm := filepath.Join(t.TempDir(), "charm")
	require.NoError(t, os.WriteFile(charm, []byte("charm 1"), 0o755))
	m.Host = host.New(m.root, charm)
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

// files lists all files below the root.
func (m machine) files() []string {
	m.t.Helper()
	var names []string
	require.NoError(m.t, filepath.WalkDir(m.root, func(path string, d os.DirEntry, err error) error {
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
	cmd := exec.Command(m.programs.path("daemon"))
	cmd.Env = append(append(os.Environ(), "TMPDIR="+tmp), environment...)
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
