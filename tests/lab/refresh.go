package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"keepalived-charm/tests/controller"
)

// Charm is the charm of this lab.
func (l *Lab) Charm() controller.Charm { return l.charm }

// Refresh refreshes application keepalived to the charm of this lab.
func (l *Lab) Refresh() error { return l.RefreshTo(l.charm) }

// RefreshTo refreshes application keepalived to a charm, as juju refresh --path does, to
// a later revision each time; each agent follows when it runs.
func (l *Lab) RefreshTo(c controller.Charm) error {
	l.mu.Lock()
	l.revision++
	c.Revision = l.revision
	l.mu.Unlock()
	return l.Model.Refresh(c.Meta.Name, c, false)
}

// Neighbour packs the charm as the revision after this one might be: the same sources,
// with what build tag neighbour changes of the formats that revisions share.
func (l *Lab) Neighbour(ctx context.Context) (controller.Charm, error) {
	defer l.Toil(ctx)()
	tests, err := moduleRoot()
	if err != nil {
		return controller.Charm{}, err
	}
	binary, file := filepath.Join(l.Net.Dir, "neighbour"), filepath.Join(l.Net.Dir, "neighbour.charm")
	for _, args := range [][]string{
		{"build", "-tags", "neighbour", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -X main.version=neighbour", "-o", binary, "./cmd/keepalived-charm"},
		{"run", "./cmd/charm-pack", "-arch", strings.Replace(runtime.GOARCH, "ppc64le", "ppc64el", 1), "-binary", binary, "-version", "neighbour", "-o", file},
	} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = filepath.Dir(tests)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
		if out, err := cmd.CombinedOutput(); err != nil {
			return controller.Charm{}, fmt.Errorf("cannot pack the charm's neighbour: %w: %s", err, strings.TrimSpace(string(out)))
		}
	}
	return ReadCharm(file)
}

// StopAgent ends a unit's agent, which then sees no change of the model, and
// StartAgent starts it again.
func (l *Lab) StopAgent(ctx context.Context, unit string) error { return l.agent(ctx, unit, "stop") }

// StartAgent starts the agent of a unit.
func (l *Lab) StartAgent(ctx context.Context, unit string) error { return l.agent(ctx, unit, "start") }

func (l *Lab) agent(ctx context.Context, unit, verb string) error {
	m, err := l.MachineOf(unit)
	if err != nil {
		return err
	}
	if _, err := m.Run(ctx, "systemctl "+verb+" "+agentName(unit)); err != nil {
		return fmt.Errorf("cannot %s the agent of %s: %w", verb, unit, err)
	}
	return nil
}
