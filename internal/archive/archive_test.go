package archive_test

import (
	"archive/zip"
	"bytes"
	"debug/elf"
	"encoding/binary"
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
			require.Len(t, ch.Manifest().Bases, 2)
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
	dir := filepath.Join(t.TempDir(), "charm")
	require.NoError(t, ch.ExpandTo(dir))

	dispatch, err := os.Stat(filepath.Join(dir, "dispatch"))
	require.NoError(t, err)
	require.EqualValues(t, 0o111, dispatch.Mode().Perm()&0o111, "everybody may run it")
	for _, hook := range archive.Hooks(ch.Meta()) {
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

func source(t *testing.T, dir, arch string, program []byte) archive.Source {
	t.Helper()
	return archive.Source{Dir: dir, Binary: file(t, program), Arch: arch, Version: "v1-3-gabc"}
}

func file(t *testing.T, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "binary")
	require.NoError(t, os.WriteFile(name, data, 0o600))
	return name
}

// copyOfTheCharm holds what belongs to the archive.
func copyOfTheCharm(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"metadata.yaml", "config.yaml", "actions.yaml", "manifest.yaml", "LICENSE", "icon.svg"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), data, 0o644))
	}
	require.NoError(t, os.Mkdir(filepath.Join(dir, "hooks"), 0o755))
	hooks, err := os.ReadDir(filepath.Join(root, "hooks"))
	require.NoError(t, err)
	for _, h := range hooks {
		require.NoError(t, os.Symlink("../dispatch", filepath.Join(dir, "hooks", h.Name())))
	}
	return dir
}

func relink(t *testing.T, dir, target string) {
	t.Helper()
	name := filepath.Join(dir, "hooks/start")
	require.NoError(t, os.Remove(name))
	require.NoError(t, os.Symlink(target, name))
}

func replace(t *testing.T, name, from, to string) {
	t.Helper()
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Contains(t, string(data), from)
	require.NoError(t, os.WriteFile(name, []byte(strings.Replace(string(data), from, to, 1)), 0o644))
}

// programs are the smallest files that pass for a program of each architecture.
func programs() map[string][]byte {
	return map[string][]byte{
		"amd64":   program(elf.EM_X86_64, elf.ELFDATA2LSB, elf.PT_LOAD),
		"arm64":   program(elf.EM_AARCH64, elf.ELFDATA2LSB, elf.PT_LOAD),
		"ppc64el": program(elf.EM_PPC64, elf.ELFDATA2LSB, elf.PT_LOAD),
		"riscv64": program(elf.EM_RISCV, elf.ELFDATA2LSB, elf.PT_LOAD),
		"s390x":   program(elf.EM_S390, elf.ELFDATA2MSB, elf.PT_LOAD),
	}
}

func program(machine elf.Machine, order elf.Data, segment elf.ProgType) []byte {
	var byteOrder binary.ByteOrder = binary.LittleEndian
	if order == elf.ELFDATA2MSB {
		byteOrder = binary.BigEndian
	}
	const headerSize, segmentSize = 64, 56
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT),
		Phoff: headerSize, Ehsize: headerSize, Phentsize: segmentSize, Phnum: 1}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(order), byte(elf.EV_CURRENT)
	var out bytes.Buffer
	for _, part := range []any{h, elf.Prog64{Type: uint32(segment)}} {
		if err := binary.Write(&out, byteOrder, part); err != nil {
			panic(err) // both are of fixed size
		}
	}
	return out.Bytes()
}
