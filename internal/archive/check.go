package archive

import (
	"bytes"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/juju/charm/v12"
	"github.com/juju/charm/v12/hooks"
)

// Check reads an archive the way Juju does and compares it with its source:
// the parsed files, every name, mode, link and byte, the hooks, the binary.
func Check(packed []byte, src Source) error {
	for _, check := range []func([]byte, Source) error{checkEntries, checkCharm} {
		if err := check(packed, src); err != nil {
			return fmt.Errorf("cannot accept the packed charm: %w", err)
		}
	}
	return nil
}

func checkEntries(packed []byte, src Source) error {
	want, err := src.entries()
	if err != nil {
		return err
	}
	got, err := read(packed)
	if err != nil {
		return err
	}
	if g, w := names(got), names(want); !slices.Equal(g, w) {
		return fmt.Errorf("it holds %v, not %v", g, w)
	}
	for i, g := range got {
		w := want[i]
		if g.mode != w.mode {
			return fmt.Errorf("%s has mode %v, not %v", g.name, g.mode, w.mode)
		}
		if !bytes.Equal(g.data, w.data) {
			return fmt.Errorf("%s differs from its source", g.name)
		}
		if g.mode == link && path.Join(path.Dir(g.name), string(g.data)) != program {
			return fmt.Errorf("%s leads to %q, not to %s", g.name, g.data, program)
		}
		if g.name == program {
			if err := checkBinary(g.data, src.Arch); err != nil {
				return err
			}
		}
	}
	return nil
}

func names(entries []entry) []string {
	var all []string
	for _, e := range entries {
		all = append(all, e.name)
	}
	return all
}

// checkCharm compares what Juju understands of the archive with what it
// understands of the source directory.
func checkCharm(packed []byte, src Source) error {
	got, err := charm.ReadCharmArchiveBytes(packed)
	if err != nil {
		return err
	}
	if err := charm.CheckMeta(got); err != nil {
		return err
	}
	if f := charm.MetaFormat(got); f != charm.FormatV2 {
		return fmt.Errorf("metadata.yaml and manifest.yaml make format %d, not 2", f)
	}
	if err := got.Manifest().Validate(); err != nil {
		return err
	}
	want, err := charm.ReadCharmDir(src.Dir)
	if err != nil {
		return err
	}
	wantManifest := &charm.Manifest{Bases: slices.Clone(want.Manifest().Bases)}
	for i := range wantManifest.Bases {
		wantManifest.Bases[i].Architectures = []string{src.Arch}
	}
	for _, c := range []struct {
		file      string
		got, want any
	}{
		{"metadata.yaml", got.Meta(), want.Meta()},
		{"config.yaml", got.Config(), want.Config()},
		{"actions.yaml", got.Actions(), want.Actions()},
		{"manifest.yaml", got.Manifest(), wantManifest},
		{"version", got.Version(), src.Version},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			return fmt.Errorf("juju reads %v from %s, not %v", c.got, c.file, c.want)
		}
	}
	return checkHooks(packed, got.Meta())
}

func checkHooks(packed []byte, meta *charm.Meta) error {
	entries, err := read(packed)
	if err != nil {
		return err
	}
	var got []string
	for _, e := range entries {
		if name, is := strings.CutPrefix(e.name, "hooks/"); is {
			got = append(got, name)
		}
	}
	if want := Hooks(meta); !slices.Equal(got, want) {
		return fmt.Errorf("hooks holds %v, metadata.yaml asks for %v", got, want)
	}
	return nil
}

// Hooks returns the names of all hooks that Juju 2.9 to 4 can run for a unit
// of the charm, sorted.
func Hooks(meta *charm.Meta) []string {
	var all []string
	for hook := range meta.Hooks() {
		switch hooks.Kind(hook) {
		case hooks.LeaderDeposed: // known to Juju, run by none of its versions
		case hooks.CollectMetrics: // run for charms with a metrics.yaml only
		case hooks.MeterStatusChanged: // a metered charm's, gone in 3.6
		default:
			all = append(all, hook)
		}
	}
	slices.Sort(all)
	return all
}
