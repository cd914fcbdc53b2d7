package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"keepalived-charm/tests/machine"
)

// Programs are the lab's own programs.
type Programs struct {
	// Dir holds them; the machines see it.
	Dir string
	// Probe measures outages from the client.
	Probe string
}

// moduleRoot is the directory of this module's sources.
func moduleRoot() (string, error) {
	_, file, _, ok := runtime.Caller(0)
	root := filepath.Dir(filepath.Dir(file))
	if ok {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			return root, nil
		}
	}
	// Built with -trimpath: the caller stands in the module or above it.
	for _, root := range []string{".", "tests", ".."} {
		if text, err := os.ReadFile(filepath.Join(root, "go.mod")); err == nil &&
			strings.HasPrefix(string(text), "module keepalived-charm/tests\n") {
			return filepath.Abs(root)
		}
	}
	return "", errors.New("cannot find the sources of the lab: run it in the project's directory")
}

// built is what this process has built: once does for all its labs.
var built struct {
	sync.Mutex
	programs Programs
}

// Build compiles Juju's agent, controller and client (minutes the first time), the
// hook tools and the probe, once in a process. What is up to date takes some seconds.
func Build(ctx context.Context, progress io.Writer) (Programs, error) {
	built.Lock()
	defer built.Unlock()
	if built.programs.Dir != "" {
		return built.programs, nil
	}
	p, err := build(ctx, progress)
	if err == nil {
		built.programs = p
	}
	return p, err
}

func build(ctx context.Context, progress io.Writer) (Programs, error) {
	root, err := moduleRoot()
	if err != nil {
		return Programs{}, err
	}
	p := Programs{Dir: filepath.Join(machine.CacheDir(), "programs")}
	p.Probe = filepath.Join(p.Dir, "lab-probe")
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return Programs{}, fmt.Errorf("cannot build the lab's programs: %w", err)
	}
	for _, b := range []struct{ module, pkg, program string }{
		{"agent/juju35", ".", "unit-agent-3.5"},
		{"agent/juju35", "./cmd/jujud", "jujud"},
		{"agent/juju35", "./cmd/controller", "controller"},
		{"agent/juju35", "./cmd/juju", "juju"},
		{".", "./cmd/hooktool", "hooktool"},
		{".", "./cmd/lab-probe", "lab-probe"},
		{".", "./cmd/lab-killer", "lab-killer"},
	} {
		timer := time.AfterFunc(5*time.Second, func() {
			fmt.Fprintf(progress, "building %s (the first time takes some minutes)\n", b.program)
		})
		// The name changes last, from one that is this lab's own: machines may be
		// running the old program, and other labs may build at the same time.
		target := filepath.Join(p.Dir, b.program)
		draft := fmt.Sprintf("%s.%x", target, rand.Uint64())
		// Over a program that is as it would be, go build links nothing.
		err := copyProgram(target, draft)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			_ = os.Remove(draft) // if it got that far
			return Programs{}, fmt.Errorf("cannot build %s: %w", b.program, err)
		}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-buildvcs=false", "-o", draft, b.pkg)
		cmd.Dir = filepath.Join(root, b.module)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
		out, err := cmd.CombinedOutput()
		timer.Stop()
		if err == nil {
			err = os.Rename(draft, target)
		}
		if err != nil {
			_ = os.Remove(draft) // if it got that far
			return Programs{}, fmt.Errorf("cannot build %s: %w: %s", b.program, err, strings.TrimSpace(string(out)))
		}
	}
	return p, nil
}

func copyProgram(from, to string) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	return errors.Join(err, target.Close())
}
