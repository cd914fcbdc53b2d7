package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"

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
	fresh := slices.DeleteFunc(slices.Clone(marks), func(mark string) bool { return missing(h.path(mark)) == nil })
	for _, mark := range fresh {
		if err := h.write(mark, "", 0o600); err != nil {
			return err
		}
	}
	began := time.Now()
	updateErr := h.apt(began.Add(listsPatience), "update")
	if err := h.install(began.Add(installPatience)); err != nil {
		if refusal := refused(err, updateErr); refusal != nil {
			for _, mark := range fresh { // nothing was begun
				if err := h.remove(mark); err != nil {
					return err
				}
			}
			return refusal
		}
		return fmt.Errorf("cannot install keepalived: %w", errors.Join(err, updateErr))
	}
	return h.remove(installingMark)
}

// install installs the package, and once more where somebody took its program away: for
// apt it is installed then.
func (h *Host) install(deadline time.Time) error {
	args := []string{"-o", "Dpkg::Options::=--force-confold", "--no-install-recommends", "install", "keepalived"}
	if err := h.mendingApt(deadline, args...); err != nil {
		return err
	}
	if _, err := exec.LookPath("keepalived"); err == nil {
		return nil
	}
	return h.mendingApt(deadline, append([]string{"--reinstall"}, args...)...)
}

// noPackage is what apt-get says where its lists have no package that could be installed.
var noPackage = regexp.MustCompile(`E: (Unable to locate package .*|.* has no installation candidate|.*held broken packages)\.?$`)

// refused turns what apt-get says into what only the machine's owner can end: a package
// that is held, or that no archive has. It is nil for anything that may end by itself,
// such as lists that could not be brought up to date.
func refused(err, updateErr error) error {
	if strings.Contains(err.Error(), "E: Held packages were changed") {
		return reconcile.PackageHeld()
	}
	if m := noPackage.FindStringSubmatch(err.Error()); m != nil && updateErr == nil {
		return reconcile.NoPackage(m[1])
	}
	return nil
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

// mendingApt is apt that finishes what a killed run left half done, which dpkg wants
// finished before anything else.
func (h *Host) mendingApt(deadline time.Time, args ...string) error {
	if h.apt(deadline, args...) == nil {
		return nil
	}
	_, _ = run("dpkg", "--force-confold", "--configure", "--pending") // apt-get says what is still wrong
	return h.apt(deadline, args...)
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
		if err := h.mendingApt(time.Now().Add(removePatience), "purge", "keepalived"); err != nil {
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
