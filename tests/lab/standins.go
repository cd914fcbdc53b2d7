package lab

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// standIns are the charms on the other side: the endpoints of the real ones, and a dispatch
// and a manifest that they share.
//
//go:embed charms
var standIns embed.FS

// writeStandIns makes a directory for each of the charms, as juju deploy takes it.
func writeStandIns(dir string) error {
	entries, err := standIns.ReadDir("charms")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		for name, mode := range map[string]fs.FileMode{
			path.Join(e.Name(), "metadata.yaml"): 0o644, path.Join(e.Name(), "config.yaml"): 0o644, "manifest.yaml": 0o644, "dispatch": 0o755,
		} {
			text, err := standIns.ReadFile(path.Join("charms", name))
			if errors.Is(err, fs.ErrNotExist) && path.Base(name) == "config.yaml" {
				continue // it has no options
			}
			if err == nil {
				err = os.MkdirAll(filepath.Join(dir, e.Name()), 0o755)
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, e.Name(), path.Base(name)), text, mode)
			}
			if err != nil {
				return fmt.Errorf("cannot write charm %s: %w", e.Name(), err)
			}
		}
	}
	return nil
}
