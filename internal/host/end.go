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

func (h *Host) endMark() string { return filepath.Join(filepath.Dir(h.self), layout.EndMark) }

// left tells that a unit has no agent on this machine any more: Juju removes its directory
// with it, also where no hook could run. Without a directory of our own there (Juju,
// agent.Dir) nothing can be told.
func (h *Host) left(unit string) bool {
	own := filepath.Dir(filepath.Dir(h.self)) // AGENTS/unit-APPLICATION-NUMBER/charm/dispatch
	agents, tag := filepath.Dir(own), "unit-"+strings.ReplaceAll(strings.TrimSpace(unit), "/", "-")
	return unit != "" && strings.HasPrefix(filepath.Base(own), "unit-") && errors.Is(missing(filepath.Join(agents, tag)), fs.ErrNotExist)
}

func (h *Host) end() error {
	if err := os.WriteFile(h.endMark(), nil, 0o600); err != nil {
		return fmt.Errorf("cannot note that the unit has ended: %w", err)
	}
	return nil
}

func (h *Host) begin() error {
	if err := os.Remove(h.endMark()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot begin the unit anew: %w", err)
	}
	return nil
}
