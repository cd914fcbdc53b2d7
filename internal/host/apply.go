package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

// Apply carries out one step of a plan. Every step may be carried out again.
func (h *Host) Apply(l layout.Layout, s step.Step) error {
	if err := h.apply(l, s); err != nil {
		if h.pins {
			h.takeBack(l)
			return err
		}
		// What an earlier hook pinned, too: every hook to come may fail before its Unpin.
		if unpinErr := h.unpin(l); !errors.Is(unpinErr, errLater) {
			err = errors.Join(err, unpinErr)
		}
		return err
	}
	h.noteAction(l, s.Action)
	return nil
}

func (h *Host) apply(l layout.Layout, s step.Step) error {
	switch s.Action {
	case step.Depart:
		return h.writeMark(layout.DepartMark)
	case step.End:
		return h.writeMark(layout.EndMark)
	case step.Begin:
		return h.begin()
	case step.InstallPackage:
		return h.installPackage()
	case step.RemovePackage:
		return h.removePackage(l)
	case step.Owe:
		for _, f := range s.FollowUps {
			if err := h.write(filepath.Join(l.Owed(), string(f)), "", 0o600); err != nil {
				return err
			}
		}
		return nil
	case step.InstallBinary:
		return h.installBinary(l)
	case step.Test:
		if err := h.test(l, s.Files); err != nil {
			return err
		}
		return h.prove(s.Files)
	case step.Write:
		return h.put(l, s.Files)
	case step.Do:
		if err := h.sweep(l); err != nil {
			return err
		}
		return h.followUps(l, s.FollowUps)
	case step.Forget:
		return h.forget(l, s.FollowUps)
	case step.Flush:
		return h.flushStray(l, s.Addresses)
	case step.Admit:
		h.admit(s.Addresses)
		return nil
	case step.Restore:
		return h.putBack(l, s.Addresses)
	case step.Pin:
		return h.pin(l, s.Addresses)
	case step.Pause:
		return h.pause(l)
	case step.Resume:
		return h.remove(l.Paused())
	case step.HandOver:
		return h.handOver(l)
	case step.Restart:
		return h.systemctl("restart", keepalivedService)
	case step.Await:
		return h.awaitElection(l, startPatience)
	case step.StopKeepalived:
		return h.stop(keepalivedService)
	case step.StopChecker:
		return h.stopChecker(l)
	case step.StopNotifier:
		return h.stopNotifier(l)
	case step.RemoveState:
		return h.removeState(l)
	case step.RemoveLeftovers:
		return h.removeLeftovers()
	}
	return fmt.Errorf("cannot %s: this machine knows no such step", s.Action)
}

func (h *Host) put(l layout.Layout, files []step.File) error {
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
func (h *Host) followUps(l layout.Layout, list []step.FollowUp) error {
	for _, f := range list {
		err := h.followUp(l, f)
		if errors.Is(err, errLater) {
			continue
		}
		if err != nil {
			return err
		}
		if err := h.forget(l, []step.FollowUp{f}); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) forget(l layout.Layout, list []step.FollowUp) error {
	for _, f := range list {
		if err := h.remove(filepath.Join(l.Owed(), string(f))); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) followUp(l layout.Layout, f step.FollowUp) error {
	switch f {
	case step.DaemonReload:
		return h.systemctl("daemon-reload")
	case step.ApplySysctl:
		return h.applySysctl()
	case step.Reload:
		if err := h.prepare(l); err != nil {
			return err
		}
		if err := h.makePlaces(); err != nil {
			return err
		}
		h.pins = false
		if err := h.reloadOrStart(keepalivedService); err != nil {
			return err
		}
		h.reloads++
		return h.awaitElection(l, 0)
	case step.RestartChecker:
		if err := h.startChecker(l); err != nil {
			return err
		}
		// It may have let the unit take part again.
		return h.awaitElection(l, 0)
	}
	if f == step.StartNotifier {
		// No client needs it; the status says that it does not run.
		if err := h.startNotifier(l); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		return nil
	}
	if f == step.Unpin {
		return h.unpin(l)
	}
	return fmt.Errorf("cannot do %q: this machine knows no such follow-up", f)
}

// prepare makes the track files before keepalived looks for them. A unit that
// serves nothing (any more) has no configuration and needs none.
func (h *Host) prepare(l layout.Layout) error {
	text, err := os.ReadFile(h.path(l.CheckerConfig()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", l.CheckerConfig(), err)
	}
	c, err := healthcheck.Parse(text)
	if later := (*healthcheck.Later)(nil); errors.As(err, &later) {
		return nil // the binary that wrote it is installed, and makes them as keepalived starts
	}
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
		case holds(i) && h.isActive(keepalivedService):
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
	fragments, err := h.neighbours(layout.Layout{})
	if err != nil {
		return err
	}
	for application := range fragments {
		l := layout.Layout{Application: application}
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

func (h *Host) installBinary(l layout.Layout) error {
	program, err := os.ReadFile(h.self)
	if err != nil {
		return fmt.Errorf("cannot read the charm's binary: %w", err)
	}
	if err := h.write(l.Binary(), string(program), 0o755); err != nil {
		return err
	}
	// Here nothing is in flux, and where it takes long or fails it does so once for each revision.
	h.makeUser()
	return nil
}

// removeState removes the application's directories, and those that it shared
// once they are empty.
func (h *Host) removeState(l layout.Layout) error {
	if err := h.sweep(l); err != nil {
		return err
	}
	for _, dir := range []string{l.Run(), l.State(), silentFile} {
		if err := os.RemoveAll(h.path(dir)); err != nil {
			return fmt.Errorf("cannot remove %s: %w", dir, err)
		}
	}
	for _, dir := range []string{layout.RunRoot, layout.FragmentDir, filepath.Dir(l.DropIn())} {
		err := os.Remove(h.path(dir))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return fmt.Errorf("cannot remove %s: %w", dir, err)
		}
	}
	return nil
}
