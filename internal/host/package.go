package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"

	"keepalived-charm/internal/reconcile"
)

// installedMark remembers that the charm installed the package, installingMark
// that it has begun to: a program that lies there then says nothing, the package
// may be half unpacked.
const (
	installedMark  = reconcile.StateRoot + "/installed-package"
	installingMark = reconcile.StateRoot + "/installing-package"
)

// installPackage installs keepalived. Stale package lists are refreshed as far as
// possible; without a network a package in a local archive or cache is enough.
func (h *Host) installPackage() error {
	before, err := packaged()
	if err != nil {
		return err
	}
	marks := []string{installedMark, installingMark}
	if before {
		marks = marks[1:]
	}
	for _, mark := range marks {
		if err := h.write(mark, "", 0o600); err != nil {
			return err
		}
	}
	_, updateErr := run("apt-get", "-q", "update")
	if err := apt("-o", "Dpkg::Options::=--force-confold", "--no-install-recommends", "install", "keepalived"); err != nil {
		return fmt.Errorf("cannot install keepalived: %w", errors.Join(err, updateErr))
	}
	if _, err := exec.LookPath("keepalived"); err != nil {
		// For apt it is installed: somebody took the program away.
		if err := apt("-o", "Dpkg::Options::=--force-confold", "--no-install-recommends", "--reinstall", "install", "keepalived"); err != nil {
			return fmt.Errorf("cannot install keepalived again: %w", errors.Join(err, updateErr))
		}
	}
	return h.remove(installingMark)
}

// packaged tells whether dpkg has the package on the machine: after a removal it may
// still know its configuration. One that is half installed counts: it is an owner's who
// upgrades it just now, or is marked already.
func packaged() (bool, error) {
	out, err := run("dpkg-query", "--show", "--showformat=${db:Status-Status}", "keepalived")
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
		return false, nil // it has never heard of it, dpkg-query(1)
	}
	if err != nil {
		return false, fmt.Errorf("cannot ask for the package: %w", err)
	}
	state := lastLine(out) // warnings come first
	return state != "not-installed" && state != "config-files", nil
}

// apt runs apt-get. What a killed run left half done, which dpkg wants finished
// before anything else, is finished.
func apt(args ...string) error {
	args = append([]string{"-q", "-y", "-o", "DPkg::Lock::Timeout=120"}, args...)
	if _, err := run("apt-get", args...); err == nil {
		return nil
	}
	_, _ = run("dpkg", "--force-confold", "--configure", "--pending") // apt-get says what is still wrong
	_, err := run("apt-get", args...)
	return err
}

// removePackage removes the package when the charm installed it, and the last
// directory of the charm; what it depends on stays, as apt leaves it. Another
// application that serves nothing just now, but did, does so in its turn.
func (h *Host) removePackage(l reconcile.Layout) error {
	entries, err := os.ReadDir(h.path(reconcile.StateRoot))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look for other applications: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != l.Application {
			return nil
		}
	}
	if _, err := os.Stat(h.path(installedMark)); err == nil {
		if err := apt("purge", "keepalived"); err != nil {
			return fmt.Errorf("cannot remove keepalived: %w", err)
		}
	}
	if err := os.RemoveAll(h.path(reconcile.StateRoot)); err != nil {
		return fmt.Errorf("cannot remove %s: %w", reconcile.StateRoot, err)
	}
	return nil
}

// version returns keepalived's version, empty when it is not installed, or not
// to the end.
func (h *Host) version() string {
	if _, err := os.Stat(h.path(installingMark)); err == nil {
		return ""
	}
	out, err := run("keepalived", "--version")
	if err != nil {
		return ""
	}
	for _, word := range strings.Fields(out) {
		if number, ok := strings.CutPrefix(word, "v"); ok {
			return number
		}
	}
	return ""
}
