package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/reconcile"
	"keepalived-charm/internal/vrrp"
)

// Apply carries out one step of a plan. Every step may be carried out again.
func (h *Host) Apply(l reconcile.Layout, s reconcile.Step) error {
	if err := h.apply(l, s); err != nil {
		return err
	}
	h.noteAction(l, s.Action)
	return nil
}

func (h *Host) apply(l reconcile.Layout, s reconcile.Step) error {
	switch s.Action {
	case reconcile.End:
		return h.end()
	case reconcile.Begin:
		return h.begin()
	case reconcile.InstallPackage:
		return h.installPackage()
	case reconcile.RemovePackage:
		return h.removePackage(l)
	case reconcile.Owe:
		for _, f := range s.FollowUps {
			if err := h.write(filepath.Join(l.Owed(), string(f)), "", 0o600); err != nil {
				return err
			}
		}
		return nil
	case reconcile.InstallBinary:
		return h.installBinary(l)
	case reconcile.Test:
		return h.test(l, s.Files)
	case reconcile.Write:
		return h.put(l, s.Files)
	case reconcile.Do:
		if err := h.sweep(l); err != nil {
			return err
		}
		return h.followUps(l, s.FollowUps)
	case reconcile.Forget:
		return h.forget(l, s.FollowUps)
	case reconcile.Flush:
		return h.flushStray(l, s.Addresses)
	case reconcile.Admit:
		return h.admit(s.Addresses)
	case reconcile.Restore:
		return h.putBack(l, s.Addresses)
	case reconcile.Pin:
		return h.pin(l, s.Addresses)
	case reconcile.Pause:
		return h.pause(l)
	case reconcile.Resume:
		return h.remove(l.Paused())
	case reconcile.HandOver:
		return h.handOver(l)
	case reconcile.Restart:
		return systemctl("restart", keepalivedService)
	case reconcile.Await:
		return h.awaitElection(l, startPatience)
	case reconcile.StopKeepalived:
		return stop(keepalivedService)
	case reconcile.StopChecker:
		return h.stopChecker(l)
	case reconcile.StopNotifier:
		return h.stopNotifier(l)
	case reconcile.RemoveState:
		return h.removeState(l)
	case reconcile.RemoveLeftovers:
		return h.removeLeftovers()
	}
	return fmt.Errorf("cannot %s: this machine knows no such step", s.Action)
}

func (h *Host) put(l reconcile.Layout, files []reconcile.File) error {
	for _, f := range files {
		h.noteParameters(l, f)
		if err := h.takeOver(f); err != nil {
			return err
		}
		var err error
		switch {
		case f.Remove:
			err = h.remove(f.Path)
		case h.moves(f):
			// The very same file: it keeps its owner, its mode and what else it has.
		default:
			err = h.write(f.Path, f.Content, mode(f.Path))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// followUps does what is owed and only then forgets it.
func (h *Host) followUps(l reconcile.Layout, list []reconcile.FollowUp) error {
	for _, f := range list {
		err := h.followUp(l, f)
		if errors.Is(err, errLater) {
			continue
		}
		if err != nil {
			return err
		}
		if err := h.forget(l, []reconcile.FollowUp{f}); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) forget(l reconcile.Layout, list []reconcile.FollowUp) error {
	for _, f := range list {
		if err := h.remove(filepath.Join(l.Owed(), string(f))); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) followUp(l reconcile.Layout, f reconcile.FollowUp) error {
	switch f {
	case reconcile.DaemonReload:
		return systemctl("daemon-reload")
	case reconcile.ApplySysctl:
		return h.applySysctl()
	case reconcile.Reload:
		if err := h.prepare(l); err != nil {
			return err
		}
		if err := h.makePlaces(); err != nil {
			return err
		}
		if err := reloadOrStart(keepalivedService); err != nil {
			return err
		}
		return h.awaitElection(l, 0)
	case reconcile.RestartChecker:
		if err := h.startChecker(l); err != nil {
			return err
		}
		// It may have let the unit take part again.
		return h.awaitElection(l, 0)
	}
	if f == reconcile.StartNotifier {
		found, err := show(l.NotifierUnit())
		if err != nil {
			return err
		}
		if err := found[l.NotifierUnit()].enable(l.NotifierUnit()); err != nil {
			return err
		}
		return systemctl("restart", l.NotifierUnit())
	}
	if f == reconcile.Unpin {
		return h.unpin(l)
	}
	return fmt.Errorf("cannot do %q: this machine knows no such follow-up", f)
}

// prepare makes the track files before keepalived looks for them. A unit that
// serves nothing (any more) has no configuration and needs none.
func (h *Host) prepare(l reconcile.Layout) error {
	text, err := os.ReadFile(h.path(l.CheckerConfig()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", l.CheckerConfig(), err)
	}
	c, err := healthcheck.Parse(text)
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", l.CheckerConfig(), err)
	}
	for _, i := range c.Instances {
		// A unit that serves already, for the Python charm, counts as healthy until
		// its checker knows better: it would be pre-empted meanwhile.
		adjustment := 0
		switch {
		case i.Aside != "":
			adjustment = vrrp.StepAside
		case holds(i) && isActive(keepalivedService):
			adjustment = c.Policy.Adjustment(true, true)
		}
		if err := makeTrackFile(h.path(i.TrackFile), adjustment); err != nil {
			return err
		}
	}
	return nil
}

// makePlaces makes the directories of all applications' track files. Where one is missing
// when keepalived reads its configuration, the instance runs on its base priority until
// the next reload (measured: 2.2.7, 2.3.3), and that of a neighbour whose hook died is
// read at this reload. A file may come later: it is what tells a neighbour of a boot.
func (h *Host) makePlaces() error {
	fragments, err := h.neighbours(reconcile.Layout{})
	if err != nil {
		return err
	}
	for application := range fragments {
		l := reconcile.Layout{Application: application}
		if err := os.MkdirAll(h.path(l.Run()), 0o700); err != nil {
			return fmt.Errorf("cannot make the directory of %s: %w", l.TrackFile(), err)
		}
	}
	return nil
}

// makeTrackFile creates a track file with an adjustment, in a directory that only
// root may enter. One that exists keeps its value; an empty one has none. The file is
// there as a whole or not at all: empty it would count as 0.
func makeTrackFile(path string, adjustment int) error {
	if !unwritten(path) {
		return nil
	}
	dir, name := filepath.Split(path)
	draft := filepath.Join(dir, "."+name+".draft")
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		defer os.Remove(draft) // renamed already, unless something fails
		err = os.WriteFile(draft, fmt.Appendf(nil, "%-5d\n", adjustment), 0o600)
	}
	if err == nil {
		err = os.Rename(draft, path)
	}
	if err != nil {
		return fmt.Errorf("cannot make track file %s: %w", path, err)
	}
	return nil
}

func (h *Host) installBinary(l reconcile.Layout) error {
	program, err := os.ReadFile(h.self)
	if err != nil {
		return fmt.Errorf("cannot read the charm's binary: %w", err)
	}
	return h.write(l.Binary(), string(program), 0o755)
}

// removeState removes the application's directories, and those that it shared
// once they are empty.
func (h *Host) removeState(l reconcile.Layout) error {
	if err := h.sweep(l); err != nil {
		return err
	}
	for _, dir := range []string{l.Run(), l.State(), silentFile} {
		if err := os.RemoveAll(h.path(dir)); err != nil {
			return fmt.Errorf("cannot remove %s: %w", dir, err)
		}
	}
	for _, dir := range []string{reconcile.RunRoot, reconcile.FragmentDir, filepath.Dir(l.DropIn())} {
		err := os.Remove(h.path(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return fmt.Errorf("cannot remove %s: %w", dir, err)
		}
	}
	return nil
}
