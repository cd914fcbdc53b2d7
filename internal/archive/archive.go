// Package archive packs the charm for one architecture and checks what it
// packed. The same source, binary and version give the same bytes: file times,
// modes and order come from here and never from the file system.
package archive

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// program is the hook binary's name in the archive. Juju runs "dispatch" for
// every hook and action; hooks/NAME are links to it.
const program = "dispatch"

// Source is what one archive is made of.
type Source struct {
	// Dir holds metadata.yaml, hooks/ and the other files of the charm.
	Dir string
	// Binary is the path of the hook binary, built for Arch.
	Binary string
	// Arch is Juju's name of the architecture, such as ppc64el.
	Arch string
	// Version is what juju status shows as the charm's version; one line.
	Version string
}

// entry is one file or symbolic link in the archive.
type entry struct {
	name string
	mode fs.FileMode // 0644, 0755 or ModeSymlink|0777
	data []byte      // a link's target
}

const (
	plain      fs.FileMode = 0o644
	executable fs.FileMode = 0o755
	link       fs.FileMode = fs.ModeSymlink | 0o777
)

// Pack returns the archive after reading it back with Check.
func Pack(src Source) ([]byte, error) {
	entries, err := src.entries()
	if err != nil {
		return nil, fmt.Errorf("cannot pack the charm: %w", err)
	}
	packed, err := write(entries)
	if err != nil {
		return nil, fmt.Errorf("cannot pack the charm: %w", err)
	}
	if err := Check(packed, src); err != nil {
		return nil, err
	}
	return packed, nil
}

// entries returns what belongs into the archive, sorted by name. It is a list
// and not a directory walk, so that nothing else gets in.
func (src Source) entries() ([]entry, error) {
	var all []entry
	for _, name := range []string{"metadata.yaml", "config.yaml", "actions.yaml", "LICENSE", "icon.svg"} {
		data, err := os.ReadFile(filepath.Join(src.Dir, name))
		if err != nil {
			return nil, err
		}
		all = append(all, entry{name, plain, data})
	}
	manifest, err := src.manifest()
	if err != nil {
		return nil, err
	}
	if src.Version == "" || strings.ContainsAny(src.Version, "\r\n") {
		return nil, fmt.Errorf("version %q is not one line", src.Version)
	}
	binary, err := os.ReadFile(src.Binary)
	if err != nil {
		return nil, err
	}
	all = append(all,
		entry{"manifest.yaml", plain, manifest},
		entry{"version", plain, []byte(src.Version + "\n")},
		entry{program, executable, binary})
	hooks, err := src.hooks()
	if err != nil {
		return nil, err
	}
	all = append(all, hooks...)
	slices.SortFunc(all, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

func (src Source) hooks() ([]entry, error) {
	found, err := os.ReadDir(filepath.Join(src.Dir, "hooks"))
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, f := range found {
		target, err := os.Readlink(filepath.Join(src.Dir, "hooks", f.Name()))
		if err != nil {
			return nil, fmt.Errorf("hooks may hold links only: %w", err)
		}
		all = append(all, entry{"hooks/" + f.Name(), link, []byte(target)})
	}
	return all, nil
}

func write(entries []entry) ([]byte, error) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, e := range entries {
		h := &zip.FileHeader{
			Name:   e.name,
			Method: zip.Deflate,
			// The first day a zip file can name.
			Modified: time.Date(1980, time.January, 1, 0, 0, 0, 0, time.UTC),
		}
		h.SetMode(e.mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			return nil, fmt.Errorf("cannot add %s: %w", e.name, err)
		}
		if _, err := f.Write(e.data); err != nil {
			return nil, fmt.Errorf("cannot add %s: %w", e.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// read returns the entries of a packed archive in their order.
func read(packed []byte) ([]entry, error) {
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		return nil, err
	}
	var all []entry
	for _, f := range r.File {
		data, err := contents(f)
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", f.Name, err)
		}
		all = append(all, entry{f.Name, f.Mode(), data})
	}
	return all, nil
}

func contents(f *zip.File) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
