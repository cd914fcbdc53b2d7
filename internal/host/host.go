// Package host looks at and changes the machine: package, files, services,
// kernel settings, network. It decides nothing; what to do comes as steps from
// package plan.
package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"keepalived-charm/internal/applied"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
)

// Host is a machine whose file system begins at a root directory.
type Host struct {
	root string
	// self is the file of the running program.
	self string
	// answers answers for what this hook has pinned.
	answers answering
	// pins tells that this hook has pinned addresses for what keepalived has not read yet.
	pins bool
	// reloads counts how often this hook had keepalived read its configuration.
	reloads uint64
	// waits is told for whom a step waits; empty: for nobody any more.
	waits func(holder string)
}

// New returns the machine whose files are below root, "/" for the real one. self
// is the path of the charm's binary.
func New(root, self string) *Host { return &Host{root: root, self: self} }

// Tell has the machine say for which program a step waits, whenever that changes; empty:
// for none any more.
func (h *Host) Tell(waits func(holder string)) { h.waits = waits }

// path returns where a file of the machine lies.
func (h *Host) path(elements ...string) string {
	return filepath.Join(append([]string{h.root}, elements...)...)
}

// executable returns what starts a program of the machine: its name, or below a root where it
// lies there.
func (h *Host) executable(name string) string {
	if h.root == "/" || filepath.IsAbs(name) {
		return name
	}
	return h.path("usr/bin", name)
}

// run starts a program with a plain environment; what it printed ends the error.
func (h *Host) run(program string, args ...string) (string, error) {
	return h.runIn("", program, args...)
}

// runIn is run in a directory.
func (h *Host) runIn(dir, program string, args ...string) (string, error) {
	return h.runFor(limit(program, args...), dir, program, args...)
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// Observe reads the state of the machine as one application sees it.
func (h *Host) Observe(l layout.Layout) (facts.Machine, error) {
	var m facts.Machine
	var err error
	if m.Files, err = h.read(l.Files()); err != nil {
		return m, err
	}
	var owners map[string]string
	if m.Neighbours, owners, err = h.beside(l); err != nil {
		return m, err
	}
	m.Owed = h.owed(l)
	if told, err := os.ReadFile(h.path(l.VersionTold())); err == nil {
		m.VersionTold = string(told)
	}
	_, err = os.Stat(h.path(l.Booted()))
	m.Booted = err == nil
	_, err = os.Stat(h.path(l.Paused()))
	m.Paused = err == nil
	m.Departs, m.Stopped = missing(h.mark(layout.DepartMark)) == nil, missing(h.mark(layout.EndMark)) == nil
	m.Boot = h.boot()
	m.OwnerGone = h.left(m.Files[l.Owner()])
	m.PythonUnit = h.pythonUnit()
	m.Leftovers = len(h.leftovers()) > 0
	m.BinaryCurrent = sameBinary(h.self, h.path(l.Binary()))
	found, err := h.services(l)
	if err != nil {
		return m, err
	}
	daemon := found[keepalivedService]
	program := h.program(l, daemon)
	m.Version = program.Version
	m.Active, m.CheckerActive = daemon.running(), found[l.CheckerService()].running()
	m.Masked, m.MaskedRuntime = daemon.masked()
	m.Disabled, m.Unpackaged = daemon.file == "disabled", daemon.file == ""
	m.NotifierActive = found[l.NotifierUnit()].running()
	m.Check = h.check(l)
	m.Included = h.included()
	maps.Copy(m.Included, owners)
	m = m.Understood(l) // of all that was read, what the owner includes too
	m.Filtered = h.filtered()
	m.Drifted, m.Fixed = h.drifted(m.Files[layout.SysctlFile])
	return m, h.observeElection(l, daemon, program, &m)
}

// observeElection reads the network and asks the daemon, again while they do not
// fit together: one of them is older than the other.
func (h *Host) observeElection(l layout.Layout, daemon service, program program, m *facts.Machine) error {
	const tries = 4
	for n := range tries {
		m.Interfaces = nil
		if err := h.observeNetwork(m); err != nil {
			return err
		}
		if daemon.state == "active" {
			// Before the daemon is asked: what is written later it may not have read.
			m.Tracks = h.tracks(l, m.Applied)
			m.Instances = h.instances(daemon.pid, program.Report)
			m.Unwatched = len(m.Tracks) > 0 && len(m.Instances) > 0 && h.unwatched(l, daemon.pid)
		}
		if m.Agreed(l) || n == tries-1 {
			if m.Ignores(l) || !m.NotifierActive {
				m.Scarce = h.scarce()
			}
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil
}

// Remind leaves the notifier a file of news. Where there is no place for it the next
// update-status looks.
func (h *Host) Remind(l layout.Layout) {
	if err := h.write(l.Pending()[1], "", 0o600); err != nil {
		fmt.Fprintf(os.Stderr, "the unit looks again in update-status only: %v\n", err)
	}
}

// NoteVersion notes the version that Juju was told, at a unit that serves: elsewhere there
// is no place for it. What cannot be noted is told again.
func (h *Host) NoteVersion(l layout.Layout, version string) {
	if missing(h.path(l.Record())) == nil {
		_ = h.write(l.VersionTold(), version, 0o600)
	}
}

// read returns the content of those files that exist.
func (h *Host) read(paths []string) (map[string]string, error) {
	files := map[string]string{}
	for _, p := range paths {
		text, err := os.ReadFile(h.path(p))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read %s: %w", p, err)
		}
		files[p] = string(text)
	}
	return files, nil
}

// neighbours returns the fragments of other applications.
func (h *Host) neighbours(l layout.Layout) (map[string]string, error) {
	fragments, _, err := h.beside(l)
	return fragments, err
}

// beside returns the fragments of other applications, by application, and what else
// keepalived reads beside them, by path: files of the machine's owner. An application has
// a directory of its own, or made its fragment known in the first line.
func (h *Host) beside(l layout.Layout) (fragments, owners map[string]string, err error) {
	const longest = 16 << 20
	paths, err := filepath.Glob(h.path(layout.FragmentDir, "*.conf"))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot list %s: %w", layout.FragmentDir, err)
	}
	fragments, owners = map[string]string{}, map[string]string{}
	for _, p := range paths {
		other := layout.Layout{Application: strings.TrimSuffix(filepath.Base(p), ".conf")}
		if other.Application == l.Application {
			continue
		}
		text, err := readUpTo(p, longest)
		switch applies := missing(h.path(other.State())) == nil; {
		case err != nil && applies:
			return nil, nil, fmt.Errorf("cannot read %s: %w", other.Fragment(), err)
		case err != nil:
			// Nor does keepalived read what is no file.
		case applies || facts.IsFragment(other.Application, text):
			fragments[other.Application] = text
		default:
			owners[other.Fragment()] = text
		}
	}
	return fragments, owners, nil
}

// applied is what an application runs, nothing when that is not known.
func (h *Host) applied(l layout.Layout) applied.Record {
	files, err := h.read([]string{l.Record(), l.Fragment()})
	if err != nil {
		return applied.Record{}
	}
	return facts.Machine{Files: files}.Understood(l).Applied
}

func (h *Host) owed(l layout.Layout) []step.FollowUp {
	var owed []step.FollowUp
	for _, f := range step.FollowUps() {
		if _, err := os.Stat(h.path(l.Owed(), string(f))); err == nil {
			owed = append(owed, f)
		}
	}
	return owed
}

// sameBinary compares sizes and first pages: a Go program starts with a note
// that holds its build ID, a hash of its content.
func sameBinary(a, b string) bool {
	pageA, sizeA, errA := firstPage(a)
	pageB, sizeB, errB := firstPage(b)
	return errA == nil && errB == nil && sizeA == sizeB && bytes.Equal(pageA, pageB)
}

func firstPage(path string) ([]byte, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	page := make([]byte, 4096)
	n, err := f.ReadAt(page, 0)
	if n == 0 {
		return nil, 0, err
	}
	return page[:n], info.Size(), nil
}
