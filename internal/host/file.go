package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"

	"github.com/google/renameio/v2"
)

// write replaces a file in one step: a reader sees the old or the new content,
// also after a power cut.
func (h *Host) write(path, content string, mode fs.FileMode) error {
	target := h.path(path)
	if err := h.makeDirectory(filepath.Dir(path)); err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	err := renameio.WriteFile(target, []byte(content), mode, renameio.WithTempDir(filepath.Dir(target)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	return nil
}

// makeDirectory makes a directory with those above it. What is an application's own only root
// may enter, whoever makes it first.
func (h *Host) makeDirectory(dir string) error {
	if !strings.HasPrefix(dir, layout.StateRoot+"/") {
		return os.MkdirAll(h.path(dir), 0o755)
	}
	if err := os.MkdirAll(h.path(layout.StateRoot), 0o755); err != nil {
		return err
	}
	return os.MkdirAll(h.path(dir), 0o700)
}

// prove writes drafts of files, which it removes: what a change is made of is on several
// disks, and one that takes nothing would leave it half made.
func (h *Host) prove(files []step.File) error {
	for _, f := range files {
		target := h.path(f.Path)
		for errors.Is(missing(filepath.Dir(target)), fs.ErrNotExist) {
			target = filepath.Dir(target) // nobody has made its directory yet
		}
		draft, err := renameio.NewPendingFile(target, renameio.WithTempDir(filepath.Dir(target)))
		if err == nil {
			_, err = draft.WriteString(f.Content)
			err = errors.Join(err, draft.Sync(), draft.Cleanup())
		}
		if err != nil {
			return fmt.Errorf("cannot write %s: %w", f.Path, err)
		}
	}
	return nil
}

// sweep removes what writes of an application's files left that were killed:
// renameio's drafts, named as the file with a dot before and a number behind.
func (h *Host) sweep(l layout.Layout) error {
	files := append(l.Files(), l.Binary(), l.Paused(), l.Pinned(), settingsBefore, installedMark, installingMark, l.Program(), l.VersionTold())
	for _, f := range step.FollowUps() {
		files = append(files, filepath.Join(l.Owed(), string(f)))
	}
	for _, f := range files {
		dir, name := filepath.Split(f)
		drafts, err := filepath.Glob(h.path(dir, "."+name+"[0-9]*"))
		if err != nil {
			return fmt.Errorf("cannot look for drafts of %s: %w", f, err)
		}
		for _, d := range drafts {
			if err := os.Remove(d); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("cannot remove a draft: %w", err)
			}
		}
	}
	return nil
}

// moves gives a file from before the charm its other name, when that is
// all there is to do: on the way in and on the way out. One that the machine's
// owner changed meanwhile, or a file system without links, is for write.
func (h *Host) moves(f step.File) bool {
	other := map[string]string{
		layout.ForeignFile: layout.MainFile, layout.MainFile: layout.ForeignFile,
		layout.SysctlForeign: layout.SysctlFile, layout.SysctlFile: layout.SysctlForeign,
	}[f.Path]
	if other == "" {
		return false
	}
	text, err := os.ReadFile(h.path(other))
	if err != nil || string(text) != f.Content {
		return false
	}
	draft := h.path(f.Path) + ".link"
	defer os.Remove(draft) // renamed already, unless both names were one file
	if err := os.Remove(draft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	return os.Link(h.path(other), draft) == nil && os.Rename(draft, h.path(f.Path)) == nil
}

func (h *Host) remove(path string) error {
	if err := os.Remove(h.path(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot remove %s: %w", path, err)
	}
	return nil
}

// mode is 0640 for what only root needs to read, and 0600 for what nobody else may: the
// record holds the password.
func mode(path string) fs.FileMode {
	if filepath.Base(path) == filepath.Base(layout.Layout{}.Record()) && strings.HasPrefix(path, layout.StateRoot) {
		return 0o600
	}
	if strings.HasPrefix(path, layout.ConfigDir) || strings.HasPrefix(path, layout.StateRoot) {
		return 0o640
	}
	return 0o644
}
