package charmtest

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"path"
	"slices"
	"strings"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/conflict"
	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/history"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/keepalived"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/metrics"
	"keepalived-charm/internal/step"
	"keepalived-charm/internal/vrrp"
)

// Host is the machine a unit lives on. What its services have loaded is part of
// the state, so a reload that was forgotten shows.
type Host struct {
	// Installed tells that the keepalived package is there.
	Installed bool
	// Version is the package's; empty for 2.2.7.
	Version string
	// VersionTold is the one that was noted, VersionNotes how often one was.
	VersionTold  string
	VersionNotes int
	// Holder is a program that has apt's locks, for as long as a hook waits; empty for none.
	Holder string
	// Held tells that apt is to leave the package as it is, Gone that no archive has it,
	// Offline that none can be reached.
	Held, Gone, Offline bool
	// Useless says why the packages that came with the charm cannot be used; empty where they
	// can, or none came.
	Useless string
	// Broken tells that the program is there and does not run, and nothing mends it.
	Broken bool
	// Masked tells that systemd is forbidden to start keepalived, Disabled that it does not
	// at boot.
	Masked, Disabled bool
	// Files holds every file that the charm could touch, path to content.
	Files map[string]string
	// Keepalived is the daemon.
	Keepalived Daemon
	// Checkers are the health checkers, by application.
	Checkers map[string]Checker
	// Notifiers are the applications for which systemd waits for news.
	Notifiers map[string]bool
	// Ports are those of the loopback device at which somebody else listens.
	Ports []int
	// Found is what the last hook told for the metrics.
	Found metrics.Hook
	// Reminded tells that a refresh is to follow.
	Reminded bool
	// Units is what systemd has read of the files in /etc/systemd/system.
	Units map[string]string
	// Settings are the kernel's, Fixed those that may not be written.
	Settings map[string]string
	Fixed    []string
	// Scarce is what root has none left of. Without an inotify instance a daemon that starts
	// or reloads follows no track file, without a watch it reads them as it does so alone;
	// systemd waits for no news without either.
	Scarce facts.Inotify
	// Filtered are the addresses whose packets keepalived's packet filter drops.
	Filtered []netip.Addr
	// Departs and Stopped tell that the charm's directory, which is Juju's, says that the unit
	// departs or has ended.
	Departs, Stopped bool
	// Boots counts the machine's boots.
	Boots int
	// OwnerGone tells that the unit which serves here has no agent any more.
	OwnerGone bool
	// PythonUnit is another unit on the machine, of the Python charm.
	PythonUnit juju.Unit
	// Principal is the charm of the principal unit; empty where that cannot be told.
	Principal string
	// Leftovers tells that the Python charm left something in the charm's directory.
	Leftovers bool
	// Charm is the content of the charm's own binary.
	Charm string
	// Interfaces holds the machine's own addresses; what the daemon adds is not
	// among them.
	Interfaces []facts.Interface
	// DefaultInterface4 and 6 carry the default routes.
	DefaultInterface4, DefaultInterface6 string
	// Holds tells that this machine wins every election it takes part in.
	Holds bool
	// Since is when the daemon's instance last changed its state, seconds since 1970.
	Since float64
	// Heard is the priority in the last advertisement that a standby received; zero:
	// none. A new machine hears somebody who is none of its peers.
	Heard vrrp.Priority
	// Roles are the instances' parts in their elections, by name; where it is nil Holds,
	// Since and Heard are of all.
	Roles map[string]Role
	// Check is the health checker's verdict.
	Check facts.CheckResult
	// Once is how a check ends that is run now.
	Once checker.Once
	// Journal is the unit's history.
	Journal []history.Entry
	// Stray are virtual IPs on eth0 that keepalived did not put there.
	Stray []netip.Addr
	// Late are own addresses that came (back) after keepalived's were put on.
	Late []netip.Prefix
	// Lost are virtual IPs that the kernel dropped; a MASTER takes them for there.
	Lost []netip.Addr
	// Pinned are addresses on the loopback device.
	Pinned []netip.Addr
	// Slow tells that an election takes longer than a hook waits.
	Slow bool
	// Silent are addresses of peers at which nothing answers.
	Silent []netip.Addr
	// Proxied are those at which only a proxy answers, which is found by the MACs told
	// for them.
	Proxied []netip.Addr
	// AddressErrors is how many advertisements the daemon dropped for their addresses.
	AddressErrors int
	// Network is what a look at the network brings, as far as it is asked for.
	Network conflict.Look
	// Alone tells that no other machine takes over what this one hands over.
	Alone bool
	// Full tells that the disk takes no more text.
	Full bool
	// Refuse makes keepalived's configuration test fail on a file that contains it.
	Refuse string
}

// Role is an instance's part in its election.
type Role struct {
	Holds bool
	Since float64
	Heard vrrp.Priority
}

// role is an instance's.
func (h Host) role(instance string) Role {
	if h.Roles == nil {
		return Role{h.Holds, h.Since, h.Heard}
	}
	return h.Roles[instance]
}

// Daemon is keepalived.
type Daemon struct {
	Running bool
	// Loaded is the text of all files it has read.
	Loaded string
	// Deaf tells that it has not read its track files, Unwatched that it does not learn when
	// they change.
	Deaf, Unwatched bool
	// Starts and Reloads count since the machine was made.
	Starts, Reloads int
}

// Checker is one application's health checker.
type Checker struct {
	Running, Enabled bool
	// Binary and Config are the content of its program and configuration.
	Binary, Config string
	Starts         int
}

const (
	installedMark = layout.InstalledMark
	settingsKept  = layout.SettingsBefore
	unitDir       = "/etc/systemd/system/"
)

// NewHost returns a machine without keepalived that has one address.
func NewHost(address string) Host {
	return Host{
		Files:    map[string]string{},
		Checkers: map[string]Checker{}, Notifiers: map[string]bool{},
		Units:    map[string]string{},
		Settings: map[string]string{"net.ipv4.conf.all.promote_secondaries": "0", "net.ipv4.ip_nonlocal_bind": "0", "net.ipv6.ip_nonlocal_bind": "0"},
		Charm:    "charm 1",
		Interfaces: []facts.Interface{
			{Name: "lo", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/8"), netip.MustParsePrefix("::1/128")}},
			{Name: "eth0", MAC: macOf(netip.MustParsePrefix(address).Addr()), Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix(address), netip.MustParsePrefix("fe80::11/64")}},
		},
		DefaultInterface4: "eth0",
		Heard:             255,
	}
}

func (h Host) clone() Host {
	h.Files, h.Checkers, h.Notifiers = maps.Clone(h.Files), maps.Clone(h.Checkers), maps.Clone(h.Notifiers)
	h.Roles = maps.Clone(h.Roles)
	h.Units, h.Settings = maps.Clone(h.Units), maps.Clone(h.Settings)
	h.Late, h.Lost = slices.Clone(h.Late), slices.Clone(h.Lost)
	h.Pinned, h.Silent, h.Stray = slices.Clone(h.Pinned), slices.Clone(h.Silent), slices.Clone(h.Stray)
	h.Network.Heard, h.Network.Answers = slices.Clone(h.Network.Heard), slices.Clone(h.Network.Answers)
	h.Proxied, h.Fixed, h.Filtered = slices.Clone(h.Proxied), slices.Clone(h.Fixed), slices.Clone(h.Filtered)
	h.Interfaces = slices.Clone(h.Interfaces)
	for i := range h.Interfaces {
		h.Interfaces[i].Addresses = slices.Clone(h.Interfaces[i].Addresses)
	}
	return h
}

// String prints everything but the counters.
func (h Host) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "keepalived installed %v, running %v, holds %v, pinned %v\n", h.Installed, h.Keepalived.Running, h.Holds, h.Pinned)
	print := func(title string, files map[string]string) {
		for _, p := range slices.Sorted(maps.Keys(files)) {
			fmt.Fprintf(&b, "%s %s\n%s", title, p, indent(files[p]))
		}
	}
	print("daemon read", map[string]string{"configuration": h.Keepalived.Loaded})
	for _, a := range slices.Sorted(maps.Keys(h.Checkers)) {
		c := h.Checkers[a]
		fmt.Fprintf(&b, "checker of %s: running %v, enabled %v, binary %q\n%s", a, c.Running, c.Enabled, c.Binary, indent(c.Config))
	}
	fmt.Fprintf(&b, "notifiers %v\n", h.Notifiers)
	print("file", h.Files)
	print("systemd read", h.Units)
	print("kernel", h.Settings)
	return b.String()
}

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "  " + strings.ReplaceAll(strings.TrimSuffix(text, "\n"), "\n", "\n  ") + "\n"
}

// Stale lists where what runs differs from an application's files, and what is
// owed; nothing for a machine that is as its files say.
func (h Host) Stale(application string) []string {
	l := layout.Layout{Application: application}
	var list []string
	differs := func(what string, loaded, wanted any) {
		if loaded != wanted {
			list = append(list, fmt.Sprintf("%s: loaded\n%v\nfiles say\n%v", what, loaded, wanted))
		}
	}
	if h.Keepalived.Running {
		differs("keepalived", h.Keepalived.Loaded, h.composed())
	}
	if c := h.Checkers[application]; c.Running {
		differs("health checker", c.Config, h.Files[l.CheckerConfig()])
		differs("health checker's binary", c.Binary, h.Files[l.Binary()])
	}
	differs("systemd", fmt.Sprint(h.Units), fmt.Sprint(h.unitFiles()))
	if text, ok := h.Files[layout.SysctlFile]; ok {
		for name, value := range settings(text) {
			differs("kernel setting "+name, h.Settings[name], value)
		}
	}
	for _, f := range h.owed(l) {
		list = append(list, "owed: "+string(f))
	}
	if len(h.Pinned) > 0 {
		list = append(list, fmt.Sprint("still pinned: ", h.Pinned))
	}
	if len(h.Lost) > 0 {
		list = append(list, fmt.Sprint("lost: ", h.Lost))
	}
	if len(h.Stray) > 0 {
		list = append(list, fmt.Sprint("stray: ", h.Stray))
	}
	return list
}

// composed is what keepalived would read now.
func (h Host) composed() string {
	text := h.Files[layout.MainFile]
	if strings.Contains(text, "include "+layout.ForeignFile) {
		text += h.Files[layout.ForeignFile]
	}
	if !strings.Contains(text, "include "+layout.FragmentDir) {
		return text
	}
	for _, p := range slices.Sorted(maps.Keys(h.Files)) {
		if path.Dir(p) == layout.FragmentDir {
			text += h.Files[p]
		}
	}
	return text
}

func (h Host) unitFiles() map[string]string {
	units := map[string]string{}
	for p, text := range h.Files {
		if strings.HasPrefix(p, unitDir) && !strings.Contains(p, ".wants/") {
			units[p] = text
		}
	}
	return units
}

func (h Host) owed(l layout.Layout) []step.FollowUp {
	return slices.DeleteFunc(step.FollowUps(), func(f step.FollowUp) bool {
		_, owed := h.Files[path.Join(l.Owed(), string(f))]
		return !owed
	})
}

// included are the files that a configuration from before the charm includes by name.
func (h Host) included() map[string]string {
	files := map[string]string{}
	for _, main := range []string{layout.ForeignFile, layout.MainFile} {
		keepalived.Load(keepalived.Definitions{}, main, h.Files[main], func(name string) map[string]string {
			text, ok := h.Files[name]
			if !ok || name == layout.ForeignFile {
				return nil
			}
			files[name] = text
			return map[string]string{name: text}
		})
	}
	return files
}

// serves is the port at which a health checker serves metrics; 0 where somebody else has it.
func (h Host) serves(c Checker) int {
	config, err := healthcheck.Parse([]byte(c.Config))
	if err != nil || slices.Contains(h.Ports, config.Metrics.Port) {
		return 0
	}
	return config.Metrics.Port
}

// taken tells that another application's health checker, or somebody else, has a port.
func (h Host) taken(application string, port int) bool {
	for other, c := range h.Checkers {
		if other != application && h.serves(c) == port {
			return true
		}
	}
	return slices.Contains(h.Ports, port)
}

// observe is what a hook sees of the machine.
func (h Host) observe(l layout.Layout) facts.Machine {
	h = h.clone()
	m := facts.Machine{
		Files: map[string]string{}, Neighbours: map[string]string{},
		Active: h.Keepalived.Running, CheckerActive: h.Checkers[l.Application].Running, NotifierActive: h.Notifiers[l.Application],
		BinaryCurrent: h.Files[l.Binary()] == h.Charm, Owed: h.owed(l), Interfaces: h.Interfaces, Leftovers: h.Leftovers, Departs: h.Departs, Stopped: h.Stopped, OwnerGone: h.OwnerGone, PythonUnit: h.PythonUnit,
		DefaultInterface4: h.DefaultInterface4, DefaultInterface6: h.DefaultInterface6, Check: h.Check, Filtered: h.Filtered, Included: h.included(),
		Tracks: map[string]int{},
	}
	for name, value := range settings(h.Files[layout.SysctlFile]) {
		if is, there := h.Settings[name]; there && is != value {
			m.Drifted = append(m.Drifted, name)
			if slices.Contains(h.Fixed, name) {
				m.Fixed = append(m.Fixed, name)
			}
		}
	}
	slices.Sort(m.Drifted)
	m.Boot = fmt.Sprint("boot ", h.Boots)
	_, m.Paused = h.Files[l.Paused()]
	_, m.Booted = h.Files[l.Booted()]
	m.Masked, m.Disabled = h.Masked, h.Disabled && !h.Masked
	m.Unpackaged = !h.Installed
	if h.Installed && !h.Broken {
		m.Version = cmp.Or(h.Version, "2.2.7")
	}
	m.VersionTold = h.VersionTold
	for n := range m.Interfaces {
		added := map[string][]netip.Addr{"lo": h.Pinned, "eth0": h.Stray}[m.Interfaces[n].Name]
		for _, a := range added {
			m.Interfaces[n].Addresses = append(m.Interfaces[n].Addresses, netip.PrefixFrom(a, a.BitLen()))
		}
	}
	for _, p := range l.Files() {
		if text, ok := h.Files[p]; ok {
			m.Files[p] = text
		}
	}
	for p, text := range h.Files {
		application := strings.TrimSuffix(path.Base(p), ".conf")
		switch {
		case path.Dir(p) != layout.FragmentDir || application == l.Application:
		case facts.IsFragment(application, text) || len(h.Below(layout.Layout{Application: application}.State())) > 0:
			m.Neighbours[application] = text
		default:
			m.Included[p] = text
		}
	}
	m = m.Understood(l)
	if c := h.Checkers[l.Application]; c.Running {
		m.Check.Metrics = h.serves(c)
	}
	if h.Keepalived.Running {
		m.Unwatched = h.Keepalived.Unwatched
		for _, i := range instances(h.Keepalived.Loaded) {
			r := h.role(i.name)
			state := i.report(r.Holds, r.Heard)
			state.AddressErrors = h.AddressErrors
			state.LastTransition = r.Since
			m.Tracks[i.name] = int(state.Effective - state.Base)
			if h.Keepalived.Deaf {
				state.Effective = state.Base
			}
			m.Instances = append(m.Instances, state)
			if r.Holds {
				i.hold(m.Interfaces, h.Lost)
			}
		}
	}
	if m.Ignores(l) || !m.NotifierActive {
		m.Scarce = h.Scarce
	}
	return m
}
