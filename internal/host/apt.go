package host

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"keepalived-charm/internal/status"
)

// lacks is the error of an installation for which apt-get can have no such packages.
type lacks struct {
	error
	packages []string // such as "libsnmp40 (>= 5.9.3)"
}

// Unwrap returns what apt-get ended with.
func (l lacks) Unwrap() error { return l.error }

// bring has apt install keepalived: from the packages that came with the charm, and what these
// lack from the machine's archive, or all of it from there. updateErr tells whether the lists of
// the archive are old.
func (h *Host) bring(brought packages, began time.Time) (err, updateErr error) {
	deadline := began.Add(installPatience)
	if brought.keepalived == "" {
		_, updateErr = h.apt(began.Add(listsPatience), "update")
		return h.install(deadline, "keepalived"), updateErr
	}
	// Without an archive nothing is asked that is not there. What the machine has already stays
	// as it is, unless keepalived needs another version of it.
	err = h.installFiles(deadline, brought.missing)
	if l := (lacks{}); !errors.As(err, &l) {
		return err, nil
	}
	_, updateErr = h.apt(began.Add(listsPatience), "update")
	return h.installFiles(deadline, brought.all), updateErr
}

// installFiles installs packages from files. Apt is told links to them: a file with a colon in
// its name, as from a mirror, it passes over without a word (measured: apt 2.6).
func (h *Host) installFiles(deadline time.Time, files []string) error {
	dir, err := os.MkdirTemp("", "keepalived-packages-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var links []string
	for n, file := range files {
		link := filepath.Join(dir, fmt.Sprintf("%d.deb", n))
		if err := os.Symlink(file, link); err != nil {
			return err
		}
		links = append(links, link)
	}
	return h.install(deadline, links...)
}

// install installs packages, and once more where somebody took the program away: for apt it
// is installed then.
func (h *Host) install(deadline time.Time, packages ...string) error {
	args := append([]string{"-o", "Dpkg::Options::=--force-confold", "--no-install-recommends", "install"}, packages...)
	if out, err := h.mendingApt(deadline, args...); err != nil {
		if unmet := unmet(out); len(unmet) > 0 {
			return lacks{err, unmet}
		}
		return err
	}
	if _, err := exec.LookPath(h.executable("keepalived")); err == nil {
		return nil
	}
	_, err := h.mendingApt(deadline, append([]string{"--reinstall"}, args...)...)
	return err
}

// unmet lists the packages that apt-get says it cannot have (apt, cmdline, private-output.cc,
// ShowBroken), in lines such as " keepalived : Depends: libsnmp40 (>= 5.9) but it is not
// installable".
func unmet(said string) []string {
	var list []string
	for line := range strings.Lines(said) {
		_, rest, depends := strings.Cut(line, "Depends: ")
		name, why, _ := strings.Cut(rest, " but ")
		lacks := strings.HasPrefix(why, "it is not ") || strings.Contains(why, " is to be ")
		if depends && lacks && !slices.Contains(list, name) {
			list = append(list, name)
		}
	}
	return list
}

// refused turns what apt-get says into what only the operator can end: a package that is
// held, that no archive has, or that needs what cannot be had. It is nil for anything that may
// end by itself, such as lists that could not be brought up to date.
func refused(err, updateErr error, brought packages) error {
	if held(err) {
		return status.PackageHeld()
	}
	var unmet string
	if l := (lacks{}); errors.As(err, &l) {
		unmet = strings.Join(l.packages, ", ")
	}
	if brought.keepalived != "" {
		if unmet == "" {
			return nil
		}
		return status.BadPackages(unmet + " missing")
	}
	if updateErr != nil {
		return nil
	}
	if unmet != "" {
		return status.NoPackage(fmt.Sprintf("it needs %s, which no archive has", unmet))
	}
	_, said, _ := strings.Cut(lastLine(err.Error()), "E: ")
	said = strings.TrimSuffix(said, ".")
	if strings.HasPrefix(said, "Unable to locate package ") || strings.HasSuffix(said, " has no installation candidate") ||
		strings.HasSuffix(said, "held broken packages") {
		return status.NoPackage(said)
	}
	return nil
}
