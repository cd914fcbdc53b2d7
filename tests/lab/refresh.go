package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Charm is the packed charm of this lab, a file.
func (l *Lab) Charm() string { return l.charm }

// Refresh refreshes application keepalived to the charm of this lab.
func (l *Lab) Refresh() error { return l.RefreshTo(l.charm) }

// RefreshTo refreshes application keepalived to a packed charm, as juju refresh --path does,
// to a later revision each time; each agent follows when it runs.
func (l *Lab) RefreshTo(charm string) error {
	return l.juju("refresh", "keepalived", "--path", charm)
}

// Neighbour packs the charm as the revision after this one might be: the same sources,
// with what build tag neighbour changes of the formats that revisions share.
func (l *Lab) Neighbour(ctx context.Context) (string, error) {
	sources, err := sources()
	if err != nil {
		return "", err
	}
	return l.pack(ctx, sources, "neighbour", "-tags", "neighbour")
}

// ErrNoCommit tells that the checkout lacks a commit.
var ErrNoCommit = errors.New("no such commit in this checkout")

// Before packs the charm as it was at a commit of its own history, and names the commit;
// ErrNoCommit where the checkout lacks it.
func (l *Lab) Before(ctx context.Context, commit string) (charm, name string, err error) {
	sources, err := sources()
	if err != nil {
		return "", "", err
	}
	git := func(args ...string) *exec.Cmd {
		// The sources may be somebody else's who let root test them.
		return exec.CommandContext(ctx, "git", append([]string{"-c", "safe.directory=*", "-C", sources}, args...)...)
	}
	hash, err := git("rev-parse", "--verify", "--end-of-options", commit+"^{commit}").Output()
	if err != nil {
		return "", "", fmt.Errorf("cannot pack the charm of %s: %w", commit, ErrNoCommit)
	}
	name = strings.TrimSpace(string(hash))
	directory := filepath.Join(l.Net.Dir, "before")
	if err := os.Mkdir(directory, 0o755); err != nil {
		return "", "", err
	}
	tree := directory + ".tar"
	for _, cmd := range []*exec.Cmd{
		git("archive", "--output", tree, name),
		exec.CommandContext(ctx, "tar", "-C", directory, "-xf", tree),
	} {
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", "", fmt.Errorf("cannot unpack commit %s: %w: %s", name, err, strings.TrimSpace(string(out)))
		}
	}
	charm, err = l.pack(ctx, directory, "before")
	return charm, name, err
}

// sources is the directory of the charm's sources.
func sources() (string, error) {
	tests, err := moduleRoot()
	return filepath.Dir(tests), err
}

// pack builds and packs the charm whose sources are in a directory.
func (l *Lab) pack(ctx context.Context, sources, name string, flags ...string) (charm string, err error) {
	defer l.Toil(ctx)()
	binary := filepath.Join(l.Net.Dir, name+"-binary")
	file := filepath.Join(l.Net.Dir, name+".charm")
	build := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=" + name, "-o", binary}, flags...)
	for _, args := range [][]string{
		append(build, "./cmd/keepalived-charm"),
		{"run", "./cmd/charm-pack", "-arch", strings.Replace(runtime.GOARCH, "ppc64le", "ppc64el", 1), "-binary", binary, "-version", name, "-o", file},
	} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = sources
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("cannot pack the charm, %s: %w: %s", name, err, strings.TrimSpace(string(out)))
		}
	}
	return file, nil
}

// StopAgent ends a unit's agent, which then sees no change of the model, and StartAgent starts
// it again: with all agents of its machine, as those are one process.
func (l *Lab) StopAgent(ctx context.Context, unit string) error { return l.agent(ctx, unit, "stop") }

// StartAgent starts the agent of a unit.
func (l *Lab) StartAgent(ctx context.Context, unit string) error { return l.agent(ctx, unit, "start") }

func (l *Lab) agent(ctx context.Context, unit, verb string) error {
	u, ok := l.Units()[unit]
	if !ok {
		return fmt.Errorf("cannot find unit %q", unit)
	}
	m, err := l.Machine(u.Machine)
	if err != nil {
		return err
	}
	if _, err := m.Run(ctx, "systemctl "+verb+" "+jujudName(u.Machine)); err != nil {
		return fmt.Errorf("cannot %s the agent of %s: %w", verb, unit, err)
	}
	return nil
}
