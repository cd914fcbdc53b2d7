package machine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// runDir holds one directory per living lab.
const runDir = "/run/keepalived-lab"

// An owner is the record of the process a lab belongs to.
type owner struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // in clock ticks since boot
	Disks string `json:"disks"`
}

// alive says whether the very process that made the record still runs.
func (o owner) alive() bool { return o.Start != 0 && processStart(o.PID) == o.Start }

// netnsPrefix starts the name of each of a lab's network namespaces.
func netnsPrefix(id string) string { return "kal-" + id + "-" }

// recordOwner makes the lab's run-time directory with the owner's record already in it, so that no
// sweeper ever sees the one without the other.
func recordOwner(id, disks string) error {
	record, err := json.Marshal(owner{PID: os.Getpid(), Start: processStart(os.Getpid()), Disks: disks})
	if err != nil {
		return fmt.Errorf("cannot record owner of lab: %w", err)
	}
	if err := os.MkdirAll(runDir, 0o755); err != nil {
		return fmt.Errorf("cannot make run-time directory: %w", err)
	}
	draft, err := os.MkdirTemp(runDir, "new-")
	if err != nil {
		return fmt.Errorf("cannot make run-time directory: %w", err)
	}
	err = os.WriteFile(filepath.Join(draft, "owner.json"), record, 0o644)
	if err == nil {
		err = os.Chmod(draft, 0o755)
	}
	if err == nil {
		err = os.Rename(draft, filepath.Join(runDir, id))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("cannot record owner of lab: %w", err), os.RemoveAll(draft))
	}
	return nil
}

// CleanStale removes everything that labs left behind whose owner was killed: processes, network
// namespaces, control groups and directories. Living labs are not touched.
func CleanStale(ctx context.Context) error {
	entries, err := os.ReadDir(runDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot list labs: %w", err)
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue // the socket of a lab that takes commands
		}
		if strings.HasPrefix(entry.Name(), "new-") {
			if err := removeDraft(entry); err != nil {
				return err
			}
			continue
		}
		o, err := readOwner(entry.Name())
		if err != nil {
			return err
		}
		if o.alive() {
			continue
		}
		if err := sweep(ctx, entry.Name(), o.Disks); err != nil {
			return fmt.Errorf("cannot sweep dead lab %s: %w", entry.Name(), err)
		}
	}
	return cleanDisks()
}

// removeDraft removes a record that was never finished, unless it may be one being made this moment.
func removeDraft(entry fs.DirEntry) error {
	info, err := entry.Info()
	if err != nil || time.Since(info.ModTime()) < time.Minute {
		return nil // gone or new
	}
	if err := os.RemoveAll(filepath.Join(runDir, entry.Name())); err != nil {
		return fmt.Errorf("cannot remove unfinished record: %w", err)
	}
	return nil
}

// cleanDisks removes the disks of labs that a restart of the host took the record of.
func cleanDisks() error {
	disks, err := filepath.Glob(filepath.Join(CacheDir(), "labs", "*"))
	if err != nil {
		return fmt.Errorf("cannot list disks: %w", err)
	}
	for _, dir := range disks {
		if !exists(filepath.Join(runDir, filepath.Base(dir))) {
			if err := os.RemoveAll(dir); err != nil {
				return fmt.Errorf("cannot remove disks of dead lab: %w", err)
			}
		}
	}
	return nil
}

// readOwner reads a lab's record; a damaged one counts as that of a dead process.
func readOwner(id string) (owner, error) {
	data, err := os.ReadFile(filepath.Join(runDir, id, "owner.json"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return owner{}, fmt.Errorf("cannot read owner of lab %s: %w", id, err)
	}
	var o owner
	if json.Unmarshal(data, &o) != nil {
		return owner{}, nil
	}
	return o, nil
}

// sweep removes everything that bears a lab's ID. The record goes last, so that a sweep cut short
// is taken up again by the next run. Machines' mounts need no care: they are in mount namespaces
// that end with the processes.
func sweep(ctx context.Context, id, disks string) error {
	var faults []error
	note := func(err error) {
		if err != nil {
			faults = append(faults, err)
		}
	}
	group, err := labCgroup(id)
	note(err)
	if err == nil {
		note(group.kill())
		note(group.remove())
	}
	note(deleteNetNSs(ctx, netnsPrefix(id)))
	if disks != "" {
		note(os.RemoveAll(disks))
		_ = os.Remove(filepath.Dir(disks)) // only the last lab's removal succeeds
	}
	if len(faults) == 0 {
		note(os.RemoveAll(filepath.Join(runDir, id)))
		_ = os.Remove(runDir)
	}
	return errors.Join(faults...)
}
