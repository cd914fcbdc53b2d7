package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
)

// Retire removes what one application left on a machine where the Python charm has
// replaced this one. Of that charm's hooks none knows it: the services would go on beside a
// keepalived that does not read their files, and the drop-in would hold up its restarts.
// The configuration is the health checker's.
// Where a unit of this charm is still there, whoever wrote the file, it goes on; beside other
// applications of this charm everything stays, as they would take the file for theirs.
func (h *Host) Retire(config string) error {
	c, err := h.readChecker(config)
	if err != nil {
		return err
	}
	l := layout.Layout{Application: c.Application}
	main, err := os.ReadFile(h.path(layout.MainFile))
	if err != nil || !keepalived.IsPython(string(main)) || h.serves(l) {
		return errors.Join(err, h.systemctl("start", "--no-block", l.CheckerService()))
	}
	if others, err := h.neighbours(l); err != nil || len(others) > 0 {
		return err
	}
	// First those that wait: they must not see what follows.
	err = h.systemctl("stop", "--no-block", l.NotifierUnit(), l.NotifierService(), l.YieldService())
	const wants = "/etc/systemd/system/"
	for _, file := range append(l.NotifierFiles(), l.DropIn(), l.CheckerUnit(), l.YieldUnit(), l.Fragment(),
		wants+"multi-user.target.wants/"+l.CheckerService(), wants+"multi-user.target.wants/"+l.YieldService(),
		wants+"paths.target.wants/"+l.NotifierUnit()) {
		err = errors.Join(err, h.remove(file))
	}
	for _, dir := range []string{l.State(), l.Run()} {
		if removeErr := os.RemoveAll(h.path(dir)); removeErr != nil {
			err = errors.Join(err, fmt.Errorf("cannot remove %s: %w", dir, removeErr))
		}
	}
	for _, dir := range []string{filepath.Dir(l.DropIn()), layout.FragmentDir, layout.RunRoot} {
		_ = os.Remove(h.path(dir)) // unless somebody else has files there
	}
	// Whoever else changes users may have to be waited for, and systemd waits for little.
	return errors.Join(err, h.systemctl("daemon-reload"), h.removeUser())
}

// serves tells that the unit whose an application's files are still runs this charm: the
// Python charm has a file for each hook, and no dispatch.
func (h *Host) serves(l layout.Layout) bool {
	unit, err := os.ReadFile(h.path(l.Owner()))
	if err != nil {
		return false
	}
	return !errors.Is(missing(h.path(filepath.Join("/var/lib/juju/agents", agentOf(string(unit)), "charm/dispatch"))), fs.ErrNotExist)
}
