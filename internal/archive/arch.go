package archive

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"gopkg.in/yaml.v3"
)

// architecture ties Juju's name of an architecture to the kind of ELF file that
// runs on it.
type architecture struct {
	name    string
	machine elf.Machine
	order   elf.Data
}

func architectures() []architecture {
	return []architecture{
		{"amd64", elf.EM_X86_64, elf.ELFDATA2LSB},
		{"arm64", elf.EM_AARCH64, elf.ELFDATA2LSB},
		{"ppc64el", elf.EM_PPC64, elf.ELFDATA2LSB},
		{"riscv64", elf.EM_RISCV, elf.ELFDATA2LSB},
		{"s390x", elf.EM_S390, elf.ELFDATA2MSB},
	}
}

// Architectures returns Juju's names of the architectures the charm is packed
// for, sorted.
func Architectures() []string {
	var names []string
	for _, a := range architectures() {
		names = append(names, a.name)
	}
	return names
}

func lookUp(arch string) (architecture, error) {
	for _, a := range architectures() {
		if a.name == arch {
			return a, nil
		}
	}
	return architecture{}, fmt.Errorf("architecture %q is none of %v", arch, Architectures())
}

// checkBinary returns an error unless the binary is a static program for arch:
// a unit's machine may lack any library that a dynamic one asks for.
func checkBinary(binary []byte, arch string) error {
	want, err := lookUp(arch)
	if err != nil {
		return err
	}
	f, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		return fmt.Errorf("the binary is no Linux program: %w", err)
	}
	if f.Machine != want.machine || f.Data != want.order || f.Class != elf.ELFCLASS64 {
		return fmt.Errorf("the binary is for %s (%s, %s), not for %s", f.Machine, f.Class, f.Data, arch)
	}
	if slices.ContainsFunc(f.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return fmt.Errorf("the binary is not static: build it with CGO_ENABLED=0")
	}
	return nil
}

// base is one entry of manifest.yaml.
type base struct {
	Name          string   `yaml:"name"`
	Channel       string   `yaml:"channel"`
	Architectures []string `yaml:"architectures,flow"`
}

// manifest returns manifest.yaml with the packed architecture only: Juju must
// not offer this archive for machines it cannot run on.
func (src Source) manifest() ([]byte, error) {
	data, err := os.ReadFile(filepath.Join(src.Dir, "manifest.yaml"))
	if err != nil {
		return nil, err
	}
	var m struct {
		Bases []base `yaml:"bases"`
	}
	if err := yaml.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("cannot read manifest.yaml: %w", err)
	}
	for i, b := range m.Bases {
		if !slices.Contains(b.Architectures, src.Arch) {
			return nil, fmt.Errorf("manifest.yaml does not list architecture %q for %s %s", src.Arch, b.Name, b.Channel)
		}
		m.Bases[i].Architectures = []string{src.Arch}
	}
	return yaml.Marshal(m)
}
