package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"keepalived-charm/internal/layout"
)

// mark is the file of a mark in the charm's own directory.
func (h *Host) mark(name string) string { return filepath.Join(filepath.Dir(h.self), name) }

// left tells that a unit has no agent on this machine any more: Juju removes its directory
// with it, also where no hook could run. Without a directory of our own there (Juju,
// agent.Dir) nothing can be told.
func (h *Host) left(unit string) bool {
	own := filepath.Dir(filepath.Dir(h.self)) // AGENTS/unit-APPLICATION-NUMBER/charm/dispatch
	return unit != "" && strings.HasPrefix(filepath.Base(own), "unit-") && errors.Is(missing(filepath.Join(filepath.Dir(own), agentOf(unit))), fs.ErrNotExist)
}

// agentOf is the name of the directory that a unit's agent has among those of the machine
// (names.UnitTag), the unit as a file has it.
func agentOf(unit string) string {
	return "unit-" + strings.ReplaceAll(strings.TrimSpace(unit), "/", "-")
}

func (h *Host) writeMark(name string) error {
	if err := os.WriteFile(h.mark(name), nil, 0o600); err != nil {
		return fmt.Errorf("cannot note that the unit departs or has ended: %w", err)
	}
	return nil
}

func (h *Host) begin() error {
	for _, name := range []string{layout.EndMark, layout.DepartMark} {
		if err := os.Remove(h.mark(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot begin the unit anew: %w", err)
		}
	}
	return nil
}
