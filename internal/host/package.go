package host

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/status"
)

// The first lists what of addressProtocols was not there before, and settingsOnly where the
// package's settings were, of one that was removed.
const (
	installedMark  = layout.InstalledMark
	installingMark = layout.InstallingMark
)

// settingsOnly is what dpkg says of a package that was removed and not purged.
const settingsOnly = "config-files"

// configOpts is a file of the package, a conffile, without which Debian's keepalived 2.3
// ends at once, whatever it is asked. Once it is deleted dpkg leaves it so.
const configOpts = layout.ConfigDir + "/keepalived.config-opts"

// addressProtocols is what keepalived 2.3.2 and later make as they start, for ip(8) to name
// the protocol of their addresses, and no removal of the package takes away; inner ones
// come first. A directory they make may have mode 600.
var addressProtocols = []string{
	"/etc/iproute2/rt_addrprotos.d/keepalived.conf",
	"/etc/iproute2/rt_addrprotos.d",
	"/etc/iproute2",
}

// installPackage installs keepalived, as it came with the charm if it did. Stale package lists
// are refreshed as far as possible; without a network a package in a local archive or cache is
// enough.
func (h *Host) installPackage() error {
	brought, err := h.brought()
	if reason := unusable(""); errors.As(err, &reason) {
		return status.BadPackages(string(reason))
	}
	if err != nil {
		return err
	}
	state, err := h.packaged()
	if err != nil {
		return err
	}
	before := state != "" && state != settingsOnly
	if before && missing(h.path(installingMark)) != nil && h.mended(brought) {
		return nil
	}
	marks := []string{installedMark, installingMark}
	if before {
		marks = marks[1:]
	}
	fresh := slices.DeleteFunc(slices.Clone(marks), func(mark string) bool { return missing(h.path(mark)) == nil })
	for _, mark := range fresh {
		content := ""
		if mark == installedMark {
			content = strings.Join(append(h.withoutProtocols(), state), "\n")
		}
		if err := h.write(mark, content, 0o600); err != nil {
			return err
		}
	}
	if err, updateErr := h.bring(brought, time.Now()); err != nil {
		if refusal := refused(err, updateErr, brought); refusal != nil {
			for _, mark := range fresh { // nothing was begun
				if err := h.remove(mark); err != nil {
					return err
				}
			}
			return refusal
		}
		return fmt.Errorf("cannot install keepalived: %w", errors.Join(err, updateErr))
	}
	if err := h.remove(installingMark); err != nil {
		return err
	}
	if out, err := h.run("keepalived", "--version"); err != nil && !h.mended(brought) {
		return status.ProgramFails(cmp.Or(lastLine(out), err.Error()))
	}
	return nil
}

// mended tells whether the program works after all once a file that somebody deleted is
// back. Only that file is brought: to install the package again would start keepalived
// again, which may serve.
func (h *Host) mended(brought packages) bool {
	if _, err := exec.LookPath(h.executable("keepalived")); err != nil || missing(h.path(configOpts)) == nil {
		return false
	}
	if _, err := h.run("keepalived", "--version"); err == nil {
		return false // it needs no such file, or is well
	}
	if h.bringBack(configOpts, brought) != nil {
		return false
	}
	_, err := h.run("keepalived", "--version")
	return err == nil
}

// bringBack brings a file back as the package has it, of the version that can be had.
func (h *Host) bringBack(path string, brought packages) error {
	dir, err := os.MkdirTemp("", "keepalived-package-")
	if err != nil {
		return fmt.Errorf("cannot restore %s: %w", path, err)
	}
	defer os.RemoveAll(dir)
	archive := brought.keepalived
	if archive == "" {
		if _, err := h.runIn(dir, "apt-get", "-q", "download", "keepalived"); err != nil {
			return fmt.Errorf("cannot restore %s: %w", path, err)
		}
		archives, err := filepath.Glob(filepath.Join(dir, "*.deb"))
		if err != nil || len(archives) == 0 {
			return fmt.Errorf("cannot restore %s: apt-get brings no package", path)
		}
		archive = archives[0]
	}
	content := filepath.Join(dir, "content")
	if _, err := h.run("dpkg-deb", "--extract", archive, content); err != nil {
		return fmt.Errorf("cannot restore %s: %w", path, err)
	}
	text, err := os.ReadFile(filepath.Join(content, path))
	if err != nil {
		return fmt.Errorf("cannot restore %s: %w", path, err)
	}
	return h.write(path, string(text), 0o644)
}

// withoutProtocols lists those of addressProtocols that the machine does not have.
func (h *Host) withoutProtocols() []string {
	return slices.DeleteFunc(slices.Clone(addressProtocols), func(path string) bool { return missing(h.path(path)) == nil })
}

// removeProtocols removes those that were not there before the package, directories only
// when nothing else is in them.
func (h *Host) removeProtocols(without []string) error {
	for _, path := range addressProtocols {
		if !slices.Contains(without, path) {
			continue
		}
		err := os.Remove(h.path(path))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
			return fmt.Errorf("cannot remove %s: %w", path, err)
		}
	}
	return nil
}

// held tells that apt-get leaves a package as it is because its owner says so.
func held(err error) bool { return strings.Contains(err.Error(), "E: Held packages were changed") }

// packaged asks dpkg for the package's state, empty without one: after a removal it may
// still know its configuration. One that is half installed counts: it is an owner's who
// upgrades it just now, or is marked already.
func (h *Host) packaged() (string, error) {
	out, err := h.run("dpkg-query", "--show", "--showformat=${db:Status-Status}", "keepalived")
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
		return "", nil // it has never heard of it, dpkg-query(1)
	}
	if err != nil {
		return "", fmt.Errorf("cannot ask for the package: %w", err)
	}
	state := lastLine(out) // warnings come first
	if state == "not-installed" {
		return "", nil
	}
	return state, nil
}

// mendingApt is apt that finishes what a killed run left half done, which dpkg wants
// finished before anything else.
func (h *Host) mendingApt(deadline time.Time, args ...string) (string, error) {
	if out, err := h.apt(deadline, args...); err == nil {
		return out, nil
	}
	_, _ = h.runFor(time.Until(deadline.Add(aptLimit)), "", "dpkg", "--force-confold", "--configure", "--pending") // apt-get says what is still wrong
	return h.apt(deadline, args...)
}

// removePackage removes the package when the charm installed it, the charm's user, and the
// last directory of the charm; what it depends on stays, as apt leaves it. Another
// application that serves nothing just now, but did, does so in its turn.
func (h *Host) removePackage(l layout.Layout) error {
	entries, err := os.ReadDir(h.path(layout.StateRoot))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot look for other applications: %w", err)
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != l.Application {
			return nil
		}
	}
	if _, err := os.Stat(h.path(installedMark)); err == nil {
		if err := h.uninstall(); err != nil {
			return err
		}
	}
	if err := h.removeUser(); err != nil {
		return err
	}
	if err := os.RemoveAll(h.path(layout.StateRoot)); err != nil {
		return fmt.Errorf("cannot remove %s: %w", layout.StateRoot, err)
	}
	return nil
}

// uninstall removes the package as far as it was not there before. It stays where others would
// go with it or it is held: the machine's owner needs it since, or says so.
func (h *Host) uninstall() error {
	before, err := os.ReadFile(h.path(installedMark))
	if err != nil {
		return fmt.Errorf("cannot read %s: %w", installedMark, err)
	}
	how := "purge"
	if slices.Contains(strings.Fields(string(before)), settingsOnly) {
		how = "remove"
	}
	deadline, args := time.Now().Add(removePatience), []string{"--no-auto-remove", how, "keepalived"}
	simulated, err := h.mendingApt(deadline, append([]string{"--simulate"}, args...)...)
	if others := changed(simulated); err == nil && len(others) > 0 {
		fmt.Fprintf(os.Stderr, "keepalived stays installed: its removal would change %s\n", strings.Join(others, ", "))
		return nil
	}
	if err != nil {
		// Which needs no lock and no archive, so it would be so for ever.
		fmt.Fprintf(os.Stderr, "keepalived stays as it is: %v\n", err)
		return nil
	}
	if _, err = h.mendingApt(deadline, args...); err != nil && held(err) {
		fmt.Fprintln(os.Stderr, "keepalived stays installed: it is held")
		return nil
	}
	if err != nil {
		return fmt.Errorf("cannot remove keepalived: %w", err)
	}
	return h.removeProtocols(strings.Fields(string(before)))
}

// changed lists the packages but keepalived that apt-get --simulate says it would remove, or
// install in their place.
func changed(simulated string) []string {
	var list []string
	for line := range strings.Lines(simulated) {
		words := append(strings.Fields(line), "", "")
		if slices.Contains([]string{"Inst", "Remv", "Purg"}, words[0]) && words[1] != "keepalived" {
			list = append(list, words[1])
		}
	}
	return list
}
