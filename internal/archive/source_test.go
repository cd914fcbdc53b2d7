package archive_test

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"keepalived-charm/internal/archive"
)

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
