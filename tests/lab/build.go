package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"keepalived-charm/tests/hooktool"
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

// Prepare returns the image of machines and the lab's programs. What is not there is made,
// both at once: either takes minutes the first time.
func Prepare(ctx context.Context, progress io.Writer) (*machine.BaseImage, Programs, error) {
	progress = &lines{to: progress}
	var programs Programs
	var failed error
	var group sync.WaitGroup
	group.Go(func() { programs, failed = Build(ctx, progress) })
	image, err := machine.EnsureBase(ctx, progress)
	group.Wait()
	return image, programs, errors.Join(err, failed)
}

// lines lets several write.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lines) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.to.Write(line)
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
	juju, err := ChosenJuju()
	if err != nil {
		return Programs{}, err
	}
	p := Programs{Dir: filepath.Join(machine.CacheDir(), juju.directory())}
	p.Probe = filepath.Join(p.Dir, "lab-probe")
	if err := os.MkdirAll(p.Dir, 0o755); err != nil {
		return Programs{}, fmt.Errorf("cannot build the lab's programs: %w", err)
	}
	if err := p.replace(func(drafts string) error { return hooktool.Build(ctx, filepath.Join(drafts, "hooktool")) }); err != nil {
		return Programs{}, err
	}
	for _, m := range []struct {
		what, module    string
		flags, programs []string
	}{
		{"the agent, controller and client of Juju " + string(juju), "juju", juju.flags(), []string{"jujud", "controller", "juju"}},
		{"the lab's programs", ".", nil, []string{"lab-probe", "lab-killer", "lab-collector"}},
	} {
		if err := p.buildModule(ctx, filepath.Join(root, m.module), m.flags, m.programs, sayer(progress, m.what)); err != nil {
			return Programs{}, fmt.Errorf("cannot build %s: %w", m.what, err)
		}
	}
	return p, nil
}

// sayer says what takes longer than some seconds, what is fetched for it, and how long it
// took in the end.
func sayer(progress io.Writer, what string) func(fetched int) {
	began := time.Now()
	timer := time.AfterFunc(5*time.Second, func() {
		fmt.Fprintf(progress, "building %s (the first time takes some minutes)\n", what)
	})
	return func(fetched int) {
		if !timer.Stop() {
			fmt.Fprintf(progress, "built %s: %v, %d modules downloaded\n", what, time.Since(began).Round(time.Second), fetched)
		}
	}
}

// buildModule builds programs of a module, all at once.
func (p Programs) buildModule(ctx context.Context, module string, flags, programs []string, built func(fetched int)) error {
	return p.replace(func(drafts string) error {
		args := append([]string{"build", "-trimpath", "-ldflags=-s -w", "-buildvcs=false", "-o", drafts + "/"}, flags...)
		for _, name := range programs {
			// Over a program that is as it would be, go build links nothing.
			if err := copyProgram(filepath.Join(p.Dir, name), filepath.Join(drafts, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
			args = append(args, "./cmd/"+name)
		}
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
		}
		built(strings.Count(string(out), "go: downloading "))
		return nil
	})
}

// replace puts what build writes into a directory in the place of the programs that were. Their
// names change last: machines may be running the old ones, and other labs may build at the same time.
func (p Programs) replace(build func(drafts string) error) error {
	drafts, err := os.MkdirTemp(p.Dir, "drafts-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(drafts)
	if err := build(drafts); err != nil {
		return err
	}
	written, err := os.ReadDir(drafts)
	if err != nil {
		return err
	}
	for _, program := range written {
		if err := os.Rename(filepath.Join(drafts, program.Name()), filepath.Join(p.Dir, program.Name())); err != nil {
			return err
		}
	}
	return nil
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
