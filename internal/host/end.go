package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// endMark is the file that says that the unit has ended. It lies in the charm's own
// directory, which Juju makes for one unit and removes with it: so it outlives the hook
// remove, leaves nothing on the machine, and no other unit of the application reads it.
func (h *Host) endMark() string { return filepath.Join(filepath.Dir(h.self), ".ended") }

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
