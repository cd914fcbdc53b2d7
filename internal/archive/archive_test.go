package archive_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/juju/charm/v12"
	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/archive"
)

const root = "../.."

func TestEveryArchitecturePacks(t *testing.T) {
	for arch, header := range programs() {
		t.Run(arch, func(t *testing.T) {
			packed, err := archive.Pack(source(t, root, arch, header))
			require.NoError(t, err)
			ch, err := charm.ReadCharmArchiveBytes(packed)
			require.NoError(t, err)
			require.Len(t, ch.Manifest().Bases, 3)
			for _, b := range ch.Manifest().Bases {
				require.Equal(t, []string{arch}, b.Architectures)
			}
		})
	}
	var known []string
	for arch := range programs() {
		known = append(known, arch)
	}
	require.ElementsMatch(t, known, archive.Architectures())
}

func TestTheArchiveHoldsWhatAUnitNeedsAndNothingElse(t *testing.T) {
	dir := copyOfTheCharm(t)
	for _, name := range []string{"go.mod", "README.md", ".env", "hooks.txt"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	packed, err := archive.Pack(source(t, dir, "amd64", programs()["amd64"]))
	require.NoError(t, err)
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	require.NoError(t, err)
	var got []string
	for _, f := range r.File {
		// The upper half of the attributes is what unpackers on Linux use.
		unix := f.ExternalAttrs >> 16
		switch {
		case strings.HasPrefix(f.Name, "hooks/"):
			require.EqualValues(t, 0o120777, unix, f.Name)
			continue
		case f.Name == "dispatch":
			require.EqualValues(t, 0o100755, unix)
		default:
			require.EqualValues(t, 0o100644, unix, f.Name)
		}
		got = append(got, f.Name)
	}
	require.Equal(t, []string{"LICENSE", "actions.yaml", "config.yaml", "dispatch", "icon.svg",
		"manifest.yaml", "metadata.yaml", "version"}, got)
}

func TestTheSameSourceGivesTheSameBytes(t *testing.T) {
	first, err := archive.Pack(source(t, root, "amd64", programs()["amd64"]))
	require.NoError(t, err)

	defer syscall.Umask(syscall.Umask(0o077))
	dir := copyOfTheCharm(t)
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		if err := os.Chmod(path, 0o700); err != nil {
			return err
		}
		return os.Chtimes(path, time.Unix(1, 0), time.Unix(1e9, 0))
	})
	require.NoError(t, err)
	src := source(t, dir, "amd64", programs()["amd64"])
	t.Chdir(dir)
	src.Dir = "."
	second, err := archive.Pack(src)
	require.NoError(t, err)
	require.True(t, bytes.Equal(first, second), "other times, modes, umask and directory")

	src.Version = "v2"
	other, err := archive.Pack(src)
	require.NoError(t, err)
	require.False(t, bytes.Equal(first, other), "another version")
}

func TestWhatJujuUnpacksIsComplete(t *testing.T) {
	src := source(t, root, "amd64", programs()["amd64"])
	packed, err := archive.Pack(src)
	require.NoError(t, err)
	ch, err := charm.ReadCharmArchiveBytes(packed)
	require.NoError(t, err)
	require.Equal(t, src.Version, ch.Version())
	unpacked := filepath.Join(t.TempDir(), "charm")
	require.NoError(t, ch.ExpandTo(unpacked))
	requireUsable(t, unpacked, ch.Meta())

	// Controllers up to 3.6 unpack every local charm and pack it anew.
	dir, err := charm.ReadCharmDir(unpacked)
	require.NoError(t, err)
	var uploaded bytes.Buffer
	require.NoError(t, dir.ArchiveTo(&uploaded))
	again, err := charm.ReadCharmArchiveBytes(uploaded.Bytes())
	require.NoError(t, err)
	unpackedAgain := filepath.Join(t.TempDir(), "charm")
	require.NoError(t, again.ExpandTo(unpackedAgain))
	requireUsable(t, unpackedAgain, again.Meta())
}

// requireUsable wants a charm directory as the unit agent needs it.
func requireUsable(t *testing.T, dir string, meta *charm.Meta) {
	t.Helper()
	dispatch, err := os.Stat(filepath.Join(dir, "dispatch"))
	require.NoError(t, err)
	require.EqualValues(t, 0o111, dispatch.Mode().Perm()&0o111, "everybody may run it")
	for _, hook := range archive.Hooks(meta) {
		target, err := os.Readlink(filepath.Join(dir, "hooks", hook))
		require.NoError(t, err)
		require.Equal(t, "../dispatch", target)
		reached, err := os.Stat(filepath.Join(dir, "hooks", hook))
		require.NoError(t, err)
		require.True(t, os.SameFile(dispatch, reached), hook)
	}
	for _, name := range []string{"metadata.yaml", "config.yaml", "actions.yaml", "icon.svg", "LICENSE"} {
		want, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		require.Equal(t, want, got, name)
	}
}

func TestWhatMustNotBePackedIsRefused(t *testing.T) {
	for claim, c := range map[string]struct {
		spoil func(t *testing.T, src *archive.Source)
		want  string
	}{
		"an unknown architecture": {func(_ *testing.T, src *archive.Source) { src.Arch = "i386" },
			`manifest.yaml does not list architecture "i386" for ubuntu 22.04`},
		"a binary for another architecture": {func(_ *testing.T, src *archive.Source) { src.Arch = "arm64" },
			"the binary is for EM_X86_64 (ELFCLASS64, ELFDATA2LSB), not for arm64"},
		"a dynamic binary": {func(t *testing.T, src *archive.Source) {
			src.Binary = file(t, program(elf.EM_X86_64, elf.ELFDATA2LSB, elf.PT_INTERP))
		}, "the binary is not static"},
		"a script": {func(t *testing.T, src *archive.Source) { src.Binary = file(t, []byte("#!/bin/sh\n")) },
			"the binary is no Linux program"},
		"no binary":  {func(_ *testing.T, src *archive.Source) { src.Binary = "/nonexistent" }, "no such file"},
		"no version": {func(_ *testing.T, src *archive.Source) { src.Version = "" }, `version "" is not one line`},
		"a version of two lines": {func(_ *testing.T, src *archive.Source) { src.Version = "a\nb" },
			`version "a\nb" is not one line`},
		"a missing hook": {func(t *testing.T, src *archive.Source) {
			require.NoError(t, os.Remove(filepath.Join(src.Dir, "hooks/website-relation-broken")))
		}, "metadata.yaml asks for"},
		"a hook of no endpoint": {func(t *testing.T, src *archive.Source) {
			require.NoError(t, os.Symlink("../dispatch", filepath.Join(src.Dir, "hooks/db-relation-joined")))
		}, "metadata.yaml asks for"},
		"a hook that leads elsewhere": {func(t *testing.T, src *archive.Source) {
			relink(t, src.Dir, "/usr/bin/true")
		}, `hooks/start leads to "/usr/bin/true", not to dispatch`},
		"a hook that is no link": {func(t *testing.T, src *archive.Source) {
			require.NoError(t, os.Remove(filepath.Join(src.Dir, "hooks/start")))
			require.NoError(t, os.WriteFile(filepath.Join(src.Dir, "hooks/start"), nil, 0o755))
		}, "hooks may hold links only"},
		"metadata that Juju refuses": {func(t *testing.T, src *archive.Source) {
			replace(t, filepath.Join(src.Dir, "metadata.yaml"), "scope: container", "scope: global")
		}, `using a reserved relation name: "juju-info"`},
		"a series beside the manifest": {func(t *testing.T, src *archive.Source) {
			replace(t, filepath.Join(src.Dir, "metadata.yaml"), "subordinate: true", "subordinate: true\nseries: [jammy]")
		}, "assumes"},
	} {
		t.Run(claim, func(t *testing.T) {
			src := source(t, copyOfTheCharm(t), "amd64", programs()["amd64"])
			c.spoil(t, &src)
			_, err := archive.Pack(src)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestAnArchiveThatIsNotItsSourceIsRefused(t *testing.T) {
	src := source(t, copyOfTheCharm(t), "amd64", programs()["amd64"])
	packed, err := archive.Pack(src)
	require.NoError(t, err)
	require.NoError(t, archive.Check(packed, src))
	require.ErrorContains(t, archive.Check(packed[:len(packed)/2], src), "zip: not a valid zip file")
	require.ErrorContains(t, archive.Check(repacked(t, packed, func(h *zip.FileHeader) {
		h.SetMode(0o644)
	}), src), "dispatch has mode -rw-r--r--, not -rwxr-xr-x")
	require.ErrorContains(t, archive.Check(repacked(t, packed, func(h *zip.FileHeader) {
		h.Name = "bin/dispatch"
	}), src), "it holds [")

	replace(t, filepath.Join(src.Dir, "config.yaml"), "default: 443", "default: 444")
	require.ErrorContains(t, archive.Check(packed, src), "config.yaml differs from its source")
}

// repacked is the archive with one change to the header of dispatch.
func repacked(t *testing.T, packed []byte, change func(*zip.FileHeader)) []byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	require.NoError(t, err)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range r.File {
		if f.Name == "dispatch" {
			change(&f.FileHeader)
		}
		require.NoError(t, w.Copy(f))
	}
	require.NoError(t, w.Close())
	return out.Bytes()
}
