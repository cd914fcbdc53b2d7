package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"keepalived-charm/internal/layout"
)

// packages are the Debian packages for this machine that came with the charm.
type packages struct {
	// keepalived is the file of that package; empty where none came.
	keepalived string
	// all are the files for this machine, missing those of packages that it does not have.
	all, missing []string
}

// unusable says why the packages that came with the charm cannot be used.
type unusable string

// Error returns the reason.
func (u unusable) Error() string { return string(u) }

// brought finds the packages that an operator put into the charm's archive, and looks at each
// before apt does: nothing of them is run or installed. It returns unusable where keepalived is
// not among them.
func (h *Host) brought() (packages, error) {
	var p packages
	files, err := filepath.Glob(filepath.Join(filepath.Dir(h.self), layout.Packages, "*.deb"))
	if err != nil {
		return p, fmt.Errorf("cannot look for packages of the charm: %w", err)
	}
	if len(files) == 0 {
		return p, nil
	}
	machine, installed, err := h.known()
	if err != nil {
		return p, err
	}
	var elsewhere []string // the architectures that keepalived is there for, too
	for _, file := range files {
		name, arch, err := h.describe(file)
		if err != nil {
			return p, err
		}
		if arch != machine && arch != "all" {
			if name == "keepalived" {
				elsewhere = append(elsewhere, arch)
			}
			continue
		}
		if name == "keepalived" {
			if p.keepalived != "" {
				return p, unusable(fmt.Sprintf("%s and %s are both keepalived for %s", filepath.Base(p.keepalived), filepath.Base(file), machine))
			}
			p.keepalived = file
		}
		p.all = append(p.all, file)
		if name == "keepalived" || !installed[name] {
			p.missing = append(p.missing, file)
		}
	}
	switch {
	case p.keepalived != "":
		return p, nil
	case len(elsewhere) > 0:
		return p, unusable(fmt.Sprintf("keepalived is for %s, this machine is %s", strings.Join(elsewhere, " and "), machine))
	}
	return p, unusable("there is no package keepalived")
}

// known returns the machine's architecture, as Debian calls it, and its packages.
func (h *Host) known() (arch string, installed map[string]bool, err error) {
	if arch, err = h.run("dpkg", "--print-architecture"); err != nil {
		return "", nil, fmt.Errorf("cannot tell this machine's architecture: %w", err)
	}
	list, err := h.run("dpkg-query", "--show", "--showformat=${db:Status-Status} ${Package}\\n")
	if err != nil {
		return "", nil, fmt.Errorf("cannot ask for the machine's packages: %w", err)
	}
	installed = map[string]bool{}
	for line := range strings.Lines(list) {
		if name, is := strings.CutPrefix(strings.TrimSpace(line), "installed "); is {
			installed[name] = true
		}
	}
	return strings.TrimSpace(arch), installed, nil
}

// describe reads a package's name and architecture from its control file.
func (h *Host) describe(file string) (name, arch string, err error) {
	info, err := os.Lstat(file)
	if err != nil {
		return "", "", fmt.Errorf("cannot read a package of the charm: %w", err)
	}
	out, err := h.run("dpkg-deb", "--field", file, "Package", "Architecture")
	if ended := (*exec.ExitError)(nil); errors.As(err, &ended) || !info.Mode().IsRegular() {
		return "", "", unusable(filepath.Base(file) + " is no Debian package")
	}
	if err != nil {
		return "", "", fmt.Errorf("cannot read %s: %w", filepath.Base(file), err)
	}
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if value, is := strings.CutPrefix(line, "Package: "); is {
			name = value
		}
		if value, is := strings.CutPrefix(line, "Architecture: "); is {
			arch = value
		}
	}
	return name, arch, nil
}
