package charmtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/history"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/status"
	"keepalived-charm/internal/step"
)

// machine lets one hook see and change the state's host (charm.Machine).
type machine struct {
	t        testing.TB
	host     *Host
	life     *life
	steps    *[]step.Step
	looks    *int
	listened *time.Duration
	// waits is told for whom a step waits.
	waits func(holder string)
	// rested is the time that the hook has rested.
	rested time.Duration
}

func (m *machine) Observe(l layout.Layout) (facts.Machine, error) {
	if m.life.dead {
		return facts.Machine{}, errDied
	}
	return m.host.observe(l), nil
}

func (m *machine) Remind(layout.Layout) {
	m.host.Reminded = m.host.Reminded || !m.life.dead
}

func (m *machine) NoteVersion(l layout.Layout, version string) {
	if _, serves := m.host.Files[l.Record()]; serves && !m.host.Full && !m.life.dead {
		m.host.VersionTold = version
		m.host.VersionNotes++
	}
}

func (m *machine) Taken(l layout.Layout, ports []int) []int {
	return slices.DeleteFunc(slices.Clone(ports), func(port int) bool { return !m.host.taken(l.Application, port) })
}

func (m *machine) Report(_ layout.Layout, found metrics.Hook) { m.host.Found = found }

func (m *machine) Tell(waits func(holder string)) { m.waits = waits }

func (m *machine) Apply(l layout.Layout, s step.Step) error {
	*m.steps = append(*m.steps, s)
	if m.life.between != nil && s.Action == step.Write {
		// A machine writes one file after the other.
		for _, f := range s.Files {
			if err := m.carryOut(l, step.Step{Action: step.Write, Files: []step.File{f}}); err != nil {
				return err
			}
		}
		return nil
	}
	return m.carryOut(l, s)
}

func (m *machine) carryOut(l layout.Layout, s step.Step) error {
	return m.life.step(func(amid bool) error {
		if s.Action == step.InstallPackage || s.Action == step.RemovePackage {
			if m.host.Holder != "" && m.waits != nil {
				m.waits(m.host.Holder)
				m.waits("")
			}
		}
		known, err := m.host.apply(l, s, amid)
		if !known {
			m.t.Errorf("this machine knows no step %q", s)
		}
		return err
	})
}

// Rest takes a moment of the machine's own time: a fake daemon moves nothing by itself.
func (m *machine) Rest() { m.rested += 20 * time.Millisecond }

func (m *machine) Now() time.Time { return time.Now().Add(m.rested) }

func (m *machine) Watch(netip.AddrPort) func() (time.Duration, bool) {
	return func() (time.Duration, bool) { return 50 * time.Millisecond, true }
}

func (m *machine) Check(layout.Layout) (checker.Once, error) { return m.host.Once, nil }

func (m *machine) History(layout.Layout) ([]history.Entry, error) {
	return slices.Clone(m.host.Journal), nil
}

func (m *machine) CharmOf(juju.Unit) string { return m.host.Principal }

func (m *machine) Unreachable(asked []netip.Addr, macs map[netip.Addr][]string) ([]netip.Addr, error) {
	if m.life.dead {
		return nil, errDied
	}
	return slices.DeleteFunc(slices.Clone(asked), func(a netip.Addr) bool {
		return !slices.Contains(m.host.Silent, a) && (len(macs[a]) == 0 || !slices.Contains(m.host.Proxied, a))
	}), nil
}

// apply carries out a step, or half of it.
func (h *Host) apply(l layout.Layout, s step.Step, amid bool) (known bool, err error) {
	files, follow := s.Files, s.FollowUps
	if amid {
		files, follow = files[:len(files)/2], follow[:len(follow)/2]
	}
	switch s.Action {
	case step.InstallPackage:
		return true, h.installPackage(amid)
	case step.RemovePackage:
		h.removePackage(amid)
	case step.Test:
		if err := h.test(s.Files); err != nil || !h.Full {
			return true, err
		}
		return true, errFull
	case step.Depart:
		h.Departs = true
	case step.End:
		h.Stopped = true
	case step.Begin:
		h.Departs, h.Stopped = h.Departs && amid, false
	case step.Owe:
		for _, f := range follow {
			h.Files[path.Join(l.Owed(), string(f))] = ""
		}
	case step.Forget:
		for _, f := range follow {
			delete(h.Files, path.Join(l.Owed(), string(f)))
		}
	case step.InstallBinary:
		if !amid {
			h.Files[l.Binary()] = h.Charm
		}
	case step.Write:
		if h.Full {
			return true, errFull
		}
		h.write(files)
	case step.Do:
		return true, h.do(l, s.FollowUps, amid)
	case step.Pause, step.Resume, step.HandOver, step.Restart:
		return true, h.operate(l, s.Action)
	case step.Await:
	case step.Flush:
		h.Stray = nil
	case step.Admit:
		h.Filtered = slices.DeleteFunc(h.Filtered, func(a netip.Addr) bool { return slices.Contains(s.Addresses, a) })
	case step.Restore:
		h.restore(s.Addresses)
	case step.Pin:
		h.Pinned = slices.Clone(s.Addresses)
		if amid {
			h.Pinned = h.Pinned[:len(h.Pinned)/2]
		}
	case step.StopKeepalived:
		h.Keepalived.Running, h.Keepalived.Loaded = false, ""
	case step.StopChecker:
		return true, h.stopChecker(l, amid)
	case step.StopNotifier:
		delete(h.Notifiers, l.Application)
		if !amid {
			delete(h.Files, h.notifierWanted(l))
		}
	case step.RemoveLeftovers:
		h.Leftovers = h.Leftovers && amid
	case step.RemoveState:
		h.removeBelow(l.Run())
		if !amid {
			h.removeBelow(l.State())
			h.VersionTold = ""
		}
	default:
		return false, fmt.Errorf("unknown step %q", s)
	}
	return true, nil
}

func (h *Host) write(files []step.File) {
	for _, f := range files {
		if f.Remove {
			delete(h.Files, f.Path)
		} else {
			h.Files[f.Path] = f.Content
		}
	}
}

func (h *Host) removeBelow(dir string) {
	maps.DeleteFunc(h.Files, func(p, _ string) bool { return strings.HasPrefix(p, dir+"/") })
}

// installPackage does nothing where apt refuses; the package enables its service.
func (h *Host) installPackage(amid bool) error {
	switch {
	case h.Useless != "":
		return status.BadPackages(h.Useless)
	case h.Held:
		return status.PackageHeld()
	case h.Gone:
		return status.NoPackage("Unable to locate package keepalived")
	}
	if h.Broken {
		return status.ProgramFails("Unable to read build config options file")
	}
	h.Files[installedMark] = ""
	if h.Offline {
		return errors.New("cannot install keepalived: Unable to fetch some archives\nCould not resolve archive.example.com")
	}
	h.Installed, h.Disabled = !amid, false
	return nil
}

func (h *Host) removePackage(amid bool) {
	if _, ours := h.Files[installedMark]; ours {
		h.Installed = false
		h.Keepalived.Running, h.Keepalived.Loaded = false, ""
	}
	if !amid {
		h.removeBelow(layout.StateRoot)
	}
}

// test refuses what Refuse says, and a virtual router ID that two instances of
// one interface share, as keepalived does.
func (h *Host) test(files []step.File) error {
	after := h.clone()
	after.write(files)
	text := after.composed()
	if h.Refuse != "" && strings.Contains(text, h.Refuse) {
		return &status.Blocked{Message: "keepalived refuses the configuration: " + h.Refuse}
	}
	seen := map[string]string{}
	for _, i := range instances(text) {
		key := fmt.Sprint(i.id, " on ", i.iface)
		if seen[key] != "" {
			return &status.Blocked{Message: "keepalived refuses the configuration: virtual router ID " + key + " belongs to " + seen[key]}
		}
		seen[key] = i.name
	}
	return nil
}

func (h *Host) do(l layout.Layout, list []step.FollowUp, amid bool) error {
	for _, f := range list {
		if f == step.Unpin && h.Slow {
			continue
		}
		if err := h.followUp(l, f); err != nil || amid {
			return err
		}
		delete(h.Files, path.Join(l.Owed(), string(f)))
	}
	return nil
}

func (h *Host) followUp(l layout.Layout, f step.FollowUp) error {
	switch f {
	case step.DaemonReload:
		h.Units = h.unitFiles()
	case step.ApplySysctl:
		return h.applySettings()
	case step.Reload:
		return h.reload(l)
	case step.RestartChecker:
		return h.restartChecker(l)
	case step.StartNotifier:
		for _, file := range l.NotifierFiles() {
			if _, read := h.Units[file]; !read {
				return fmt.Errorf("cannot restart %s: systemd has not read %s", l.NotifierUnit(), file)
			}
		}
		h.Files[h.notifierWanted(l)] = "-> " + l.NotifierUnit()
		if h.Scarce.Limit == 0 {
			h.Notifiers[l.Application] = true
		}
	case step.Unpin:
		h.Pinned = nil
	default:
		return fmt.Errorf("unknown follow-up %q", f)
	}
	return nil
}

// reload has the daemon read its files, or starts it. The packaged service does
// not start without a configuration.
func (h *Host) reload(l layout.Layout) error {
	if !h.Installed {
		return fmt.Errorf("cannot reload-or-restart: keepalived.service not found")
	}
	if text, serves := h.Files[l.CheckerConfig()]; serves {
		c, err := healthcheck.Parse([]byte(text))
		if later := (*healthcheck.Later)(nil); err != nil && !errors.As(err, &later) {
			return err
		}
		for _, i := range c.Instances {
			h.Files[i.TrackFile] = "0    \n"
		}
	}
	defer h.drop(h.held())
	switch {
	case h.Masked && h.Keepalived.Running:
		h.Keepalived.Reloads++
	case h.Masked:
		return errMasked
	case h.Keepalived.Running:
		h.Keepalived.Reloads++
	case h.Files[layout.MainFile] == "":
		return nil
	default:
		h.Keepalived.Running = true
		h.Keepalived.Starts++
	}
	h.Keepalived.Loaded = h.composed()
	h.follow()
	h.Disabled = h.Disabled && h.Masked
	return nil
}

// follow has a daemon that begins watch its track files, as far as it can.
func (h *Host) follow() {
	h.Keepalived.Deaf, h.Keepalived.Unwatched = h.Scarce.Kind == facts.InotifyInstances, h.Scarce.Limit > 0
}

func (h *Host) wanted(l layout.Layout) string {
	return unitDir + "multi-user.target.wants/" + l.CheckerService()
}

func (h *Host) notifierWanted(l layout.Layout) string {
	return unitDir + "paths.target.wants/" + l.NotifierUnit()
}

func (h *Host) restartChecker(l layout.Layout) error {
	c := h.Checkers[l.Application]
	_, unit := h.Units[l.CheckerUnit()]
	config, configured := h.Files[l.CheckerConfig()]
	binary, program := h.Files[l.Binary()]
	if !unit || !configured || !program {
		return fmt.Errorf("cannot restart %s: unit read %v, configuration %v, program %v", l.CheckerService(), unit, configured, program)
	}
	delete(h.Files, l.Booted())
	h.Files[h.wanted(l)] = "-> " + l.CheckerUnit()
	h.Checkers[l.Application] = Checker{Running: true, Enabled: true, Binary: binary, Config: config, Starts: c.Starts + 1}
	return nil
}

func (h *Host) stopChecker(l layout.Layout, amid bool) error {
	c := h.Checkers[l.Application]
	c.Running, c.Config, c.Binary = false, "", ""
	if !amid {
		c.Enabled = false
		delete(h.Files, h.wanted(l))
	}
	h.Checkers[l.Application] = c
	if !c.Enabled {
		delete(h.Checkers, l.Application)
	}
	return nil
}

// powerOff is a power cut: what is on disk stays.
func (h *Host) powerOff() {
	h.Keepalived.Running, h.Keepalived.Loaded, h.Pinned, h.Holds, h.Roles, h.Lost = false, "", nil, false, nil, nil
	for application, c := range h.Checkers {
		h.Checkers[application] = Checker{Enabled: c.Enabled, Starts: c.Starts}
	}
	h.removeBelow(layout.RunRoot)
}

// boot starts what is installed and enabled.
func (h *Host) boot() {
	h.Boots++
	h.Units = h.unitFiles()
	if h.Installed && !h.Masked && !h.Disabled && h.Files[layout.MainFile] != "" {
		h.Keepalived.Running, h.Keepalived.Loaded = true, h.composed()
		h.Keepalived.Starts++
		h.follow()
	}
	for application, c := range h.Checkers {
		l := layout.Layout{Application: application}
		if c.Enabled {
			h.Checkers[application] = Checker{Running: true, Enabled: true, Starts: c.Starts + 1,
				Binary: h.Files[l.Binary()], Config: h.Files[l.CheckerConfig()]}
			h.Files[l.Booted()] = ""
		}
	}
}

// applySettings gives the kernel the settings of the charm's file, or gives back
// those of before.
func (h *Host) applySettings() error {
	before := map[string]string{}
	if text, ok := h.Files[settingsKept]; ok {
		if err := json.Unmarshal([]byte(text), &before); err != nil {
			return err
		}
	}
	text := h.Files[layout.SysctlFile]
	if !facts.Ours(text) {
		maps.Copy(h.Settings, before)
		return nil
	}
	for name, value := range settings(text) {
		if _, known := before[name]; !known {
			before[name] = h.Settings[name]
		}
		if !slices.Contains(h.Fixed, name) {
			h.Settings[name] = value
		}
	}
	kept, err := json.Marshal(before)
	h.Files[settingsKept] = string(kept)
	return err
}

// settings are those of the charm's file.
func settings(text string) map[string]string {
	found := map[string]string{}
	if !facts.Ours(text) {
		return found
	}
	text = text[max(0, strings.LastIndex(text, layout.SysctlOwn)):]
	for line := range strings.Lines(uncomment(text)) {
		if name, value, ok := strings.Cut(line, "="); ok {
			found[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return found
}

// Below lists the files below a directory.
func (h Host) Below(dir string) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(h.Files)), func(p string) bool { return !strings.HasPrefix(p, dir+"/") })
}
