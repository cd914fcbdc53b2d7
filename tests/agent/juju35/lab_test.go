package main

import (
	"archive/zip"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/controller"
)

// patience guards against hanging; nothing takes as long, on a slow machine either.
const patience = 2 * time.Minute

// programs are the binaries under test, built once.
type programs struct{ agent, hookTool, dir string }

var built = sync.OnceValues(func() (programs, error) {
	dir, err := os.MkdirTemp("", "unit-agent")
	if err != nil {
		return programs{}, err
	}
	p := programs{agent: filepath.Join(dir, "unit-agent"), hookTool: filepath.Join(dir, "jujuc"), dir: dir}
	for out, pkg := range map[string]string{p.agent: ".", p.hookTool: "keepalived-charm/tests/cmd/hooktool"} {
		cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if msg, err := cmd.CombinedOutput(); err != nil {
			return p, fmt.Errorf("cannot build %s: %w: %s", pkg, err, msg)
		}
	}
	return p, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if p, _ := built(); p.dir != "" {
		if err := os.RemoveAll(p.dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// lab is a controller and agents that run as processes of this host, each unit
// with a data directory of its own.
type lab struct {
	*controller.Controller
	t    *testing.T
	dir  string
	bin  programs
	mu   sync.Mutex
	runs map[string]*process
}

type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed at exit
	log  string
}

func newLab(t *testing.T, cfg controller.Config) *lab {
	t.Helper()
	bin, err := built()
	require.NoError(t, err)
	dir, err := os.MkdirTemp("/tmp", "ua") // short: socket paths are limited to 107 bytes
	require.NoError(t, err)
	l := &lab{t: t, dir: dir, bin: bin, runs: map[string]*process{}}
	cfg.OnUnitAdded = func(unit, _ string) { l.start(unit) }
	l.Controller = controller.New(cfg)
	require.NoError(t, l.Serve(l.path("controller.sock")))
	t.Cleanup(l.end)
	return l
}

func (l *lab) path(elem ...string) string { return filepath.Join(append([]string{l.dir}, elem...)...) }

// home is the directory of a unit, which stands for its machine.
func (l *lab) home(unit string) string { return l.path(strings.ReplaceAll(unit, "/", "-")) }

// start runs a unit's agent.
func (l *lab) start(unit string) {
	home := l.home(unit)
	p := &process{done: make(chan struct{}), log: filepath.Join(home, "log")}
	// TMPDIR holds the machine lock; units here do not share a machine.
	tmp := filepath.Join(home, "tmp")
	err := os.MkdirAll(tmp, 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644); err == nil {
			p.cmd = exec.Command(l.bin.agent, "--unit", unit, "--data-dir", filepath.Join(home, "juju"),
				"--transient-dir", filepath.Join(home, "run"), "--controller", l.path("controller.sock"),
				"--hook-tool", l.bin.hookTool, "--leader-guarantee", "1s", "--log", "<root>=DEBUG")
			p.cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
			p.cmd.Stdout, p.cmd.Stderr = f, f
			err = p.cmd.Start()
		}
	}
	if err != nil {
		l.t.Errorf("cannot start agent of %s: %v", unit, err)
		return
	}
	l.mu.Lock()
	l.runs[unit] = p
	l.mu.Unlock()
	go func() {
		_ = p.cmd.Wait() // ProcessState tells
		close(p.done)
	}()
}

func (l *lab) process(unit string) *process {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.runs[unit]
}

// end stops every agent and shows the logs of a failed test.
func (l *lab) end() {
	l.mu.Lock()
	runs := l.runs
	l.mu.Unlock()
	for unit, p := range runs {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		select {
		case <-p.done:
		case <-time.After(patience):
			l.t.Errorf("agent of %s does not stop", unit)
			_ = p.cmd.Process.Kill()
			<-p.done
		}
		if l.t.Failed() {
			b, _ := os.ReadFile(p.log)
			l.t.Logf("log of %s, last part:\n%s", unit, b[max(0, len(b)-6000):])
		}
	}
	require.NoError(l.t, l.Close())
	if l.t.Failed() {
		l.t.Logf("\n%s", l.Status())
		for _, e := range l.Events() {
			l.t.Logf("%s %s %s %s %s %s", e.Time.Format("05.000"), e.Unit, e.Kind, e.Name, e.Relation, e.Detail)
		}
	}
	require.NoError(l.t, os.RemoveAll(l.dir))
}

func (l *lab) settled() {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(l.t, l.Settled(ctx))
}

func (l *lab) wait(what string, cond func(controller.Snapshot) bool) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	require.NoError(l.t, l.Wait(ctx, what, cond))
}

// exec runs a command through Juju's juju-exec.
func (l *lab) exec(unit, command string) (string, error) {
	link := filepath.Join(l.home(unit), "juju-exec")
	if err := os.Symlink(l.bin.agent, link); err != nil && !os.IsExist(err) {
		return "", err
	}
	cmd := exec.Command(link, unit, command)
	cmd.Env = append(os.Environ(), "JUJU_DATA_DIR="+filepath.Join(l.home(unit), "juju"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// deploy adds machines 0..n-1, a model-only principal with a unit on each, the
// subordinate, and the relation that creates its units; it waits for them.
func (l *lab) deploy(n int) {
	l.t.Helper()
	principal := controller.Charm{Meta: controller.CharmMeta{
		Name: "haproxy",
		Endpoints: []controller.Endpoint{
			{Name: "reverseproxy", Role: controller.Requirer, Interface: "http"},
		},
	}}
	require.NoError(l.t, l.AddApplication(controller.ApplicationSpec{Charm: principal}))
	require.NoError(l.t, l.AddApplication(controller.ApplicationSpec{Charm: l.charm(0)}))
	for i := range n {
		id := fmt.Sprint(i)
		require.NoError(l.t, l.AddMachine(id, controller.Address{
			Value: "10.9.0.1" + id, CIDR: "10.9.0.0/24", Interface: "eth0", MAC: "02:00:00:00:00:0" + id,
		}))
		_, err := l.AddUnit("haproxy", id)
		require.NoError(l.t, err)
	}
	_, err := l.Integrate("sub:juju-info", "haproxy:juju-info")
	require.NoError(l.t, err)
	l.settled()
}

// charm packs a revision of the test charm.
func (l *lab) charm(revision int) controller.Charm {
	l.t.Helper()
	name := l.path(fmt.Sprintf("sub-%d.charm", revision))
	f, err := os.Create(name)
	require.NoError(l.t, err)
	z := zip.NewWriter(f)
	for path, text := range map[string]string{
		"metadata.yaml": charmMetadata, "config.yaml": charmConfig, "actions.yaml": charmActions,
		"manifest.yaml": charmManifest, "dispatch": charmDispatch, "edition": fmt.Sprint(revision),
		fmt.Sprintf("only-in-%d", revision): "",
	} {
		h := &zip.FileHeader{Name: path, Method: zip.Deflate}
		h.SetMode(0o644)
		if path == "dispatch" {
			h.SetMode(0o755)
		}
		w, err := z.CreateHeader(h)
		require.NoError(l.t, err)
		_, err = w.Write([]byte(text))
		require.NoError(l.t, err)
	}
	require.NoError(l.t, z.Close())
	require.NoError(l.t, f.Close())
	return controller.Charm{Path: name, Revision: revision, Meta: controller.CharmMeta{
		Name: "sub", Subordinate: true,
		Endpoints: []controller.Endpoint{
			{Name: "juju-info", Role: controller.Requirer, Interface: "juju-info", Scope: controller.Container},
			{Name: "website", Role: controller.Provider, Interface: "http"},
			{Name: "cluster", Role: controller.Peer, Interface: "sub-cluster"},
		},
		Options: map[string]controller.Option{
			"color": {Type: "string", Default: "red"},
			"size":  {Type: "int"},
			"fail":  {Type: "boolean", Default: false},
			"slow":  {Type: "int", Default: 0},
		},
		Actions: map[string]controller.ActionSpec{
			"greet":  {Params: map[string]controller.ActionParam{"name": {Type: "string", Default: "world"}}},
			"refuse": {}, "sleep": {},
		},
	}}
}
