// Package layout says where an application of the charm keeps its files on a machine, and
// what its services and VRRP instances are called. It does no I/O.
package layout

import (
	"path"
	"strconv"
	"strings"

	"keepalived-charm/internal/healthcheck"
)

// The directories that applications of this charm share on a machine.
const (
	ConfigDir   = "/etc/keepalived"
	FragmentDir = ConfigDir + "/charm.d"
	StateRoot   = "/var/lib/keepalived-charm"
	RunRoot     = "/run/keepalived-charm"
	// MainFile is the one file that the packaged service reads.
	MainFile = ConfigDir + "/keepalived.conf"
	// ForeignFile keeps a keepalived.conf that was there before the charm.
	ForeignFile = ConfigDir + "/keepalived.conf.before-charm"
	// SysctlFile has the name that the Python charm used, so it is taken over.
	SysctlFile = "/etc/sysctl.d/50-keepalived.conf"
	// SysctlForeign keeps a file of that name from before the charm, whose text stands in
	// SysctlFile between these two lines: of two that set the same the last counts.
	SysctlForeign = SysctlFile + ".before-charm"
	SysctlBefore  = "# What was here before the charm goes on, and comes back when the charm leaves:"
	SysctlOwn     = "# What the charm sets:"
	// SettingsBefore keeps the kernel's settings as they were before the charm.
	SettingsBefore = StateRoot + "/sysctl-before.json"
	// InstalledMark remembers that the charm installed the package, and what was not there
	// before, InstallingMark that it has begun to: a program that lies there then says
	// nothing, the package may be half unpacked.
	InstalledMark  = StateRoot + "/installed-package"
	InstallingMark = StateRoot + "/installing-package"
	// SilentFile remembers which addresses did not answer last.
	SilentFile = RunRoot + "/silent"
	// Packages is the directory of the charm's own in which an operator brings keepalived's
	// packages, for machines without an archive. They are no resource of Juju's: juju refresh --path
	// from a revision without that, as the Python charm, is refused unless it names a file for it
	// (juju 3.5.4, cmd/juju/application/utils/utils.go, shouldUpgradeResourceLocalCharm).
	Packages = "packages"
	// DepartMark and EndMark are the files that say that the unit departs from its group, and
	// that it has ended. They lie in the charm's own directory, which Juju makes for one unit
	// and removes with it: so they outlive the hook remove, leave nothing on the machine, and
	// no other unit of the application reads them.
	DepartMark = ".departs"
	EndMark    = ".ended"
)

// Layout tells where one application keeps its files.
type Layout struct {
	Application string
	// Router is the number of the virtual router that Instance and TrackFile are of.
	Router int
}

// Fragment is the application's part of the configuration.
func (l Layout) Fragment() string { return path.Join(FragmentDir, l.Application+".conf") }

// DropIn adds to the packaged keepalived.service.
func (l Layout) DropIn() string {
	return path.Join("/etc/systemd/system/keepalived.service.d", "charm-"+l.Application+".conf")
}

// CheckerService is the name of the health checker's systemd unit.
func (l Layout) CheckerService() string { return "keepalived-checker-" + l.Application + ".service" }

// CheckerUnit is the health checker's unit file.
func (l Layout) CheckerUnit() string { return path.Join("/etc/systemd/system", l.CheckerService()) }

// YieldService is the systemd service that ends first in a shutdown, and has another
// unit take over before the service behind the virtual IPs ends.
func (l Layout) YieldService() string { return "keepalived-yield-" + l.Application + ".service" }

// YieldUnit is its unit file.
func (l Layout) YieldUnit() string { return path.Join("/etc/systemd/system", l.YieldService()) }

// NotifierUnit is the systemd unit that waits for news and starts NotifierService.
func (l Layout) NotifierUnit() string { return "keepalived-notifier-" + l.Application + ".path" }

// NotifierService is the systemd service that brings the unit's status up to date.
func (l Layout) NotifierService() string { return "keepalived-notifier-" + l.Application + ".service" }

// NotifierFiles are the files of NotifierUnit and NotifierService.
func (l Layout) NotifierFiles() []string {
	const dir = "/etc/systemd/system"
	return []string{path.Join(dir, l.NotifierUnit()), path.Join(dir, l.NotifierService())}
}

// State is what must survive a reboot.
func (l Layout) State() string { return path.Join(StateRoot, l.Application) }

// Binary is the copy of the charm's binary that the services run: the charm's own
// directory is replaced during an upgrade.
func (l Layout) Binary() string { return path.Join(l.State(), "keepalived-charm") }

// CheckerConfig is the health checker's configuration.
func (l Layout) CheckerConfig() string { return path.Join(l.State(), "checker.json") }

// CheckerCA holds the certificates that the health checker trusts.
func (l Layout) CheckerCA() string { return path.Join(l.State(), "check-ca.pem") }

// Record says what the unit runs (package applied).
func (l Layout) Record() string { return path.Join(l.State(), "record.json") }

// Options is where a revision from before the record noted the options that the unit goes
// by. It is read once, and removed.
func (l Layout) Options() string { return path.Join(l.State(), "options.json") }

// Owner names the unit whose the application's files on this machine are: another unit of
// the application, of another principal, may live here too.
func (l Layout) Owner() string { return path.Join(l.State(), "unit") }

// Upgrading is there while the machine's base is upgraded: from pre-series-upgrade on
// the unit serves nothing, also in a hook that Juju had on its way.
func (l Layout) Upgrading() string { return path.Join(l.State(), "upgrading") }

// Paused is the file that keeps the unit out of the election, through hooks,
// upgrades and reboots, until an operator resumes it.
func (l Layout) Paused() string { return path.Join(l.State(), "paused") }

// History is the directory of the unit's journal (package history).
func (l Layout) History() string { return path.Join(l.State(), "history") }

// Conflicts says what the last look at the network found; it is there as long as
// there is something.
func (l Layout) Conflicts() string { return path.Join(l.State(), "conflicts") }

// Owed is the directory that remembers follow-ups.
func (l Layout) Owed() string { return path.Join(l.State(), "owed") }

// Pinned lists the virtual IPs that are on the loopback device.
func (l Layout) Pinned() string { return path.Join(l.State(), "pinned") }

// Program is what the installed keepalived said of itself.
func (l Layout) Program() string { return path.Join(l.State(), "program.json") }

// VersionTold is keepalived's version as Juju was told it.
func (l Layout) VersionTold() string { return path.Join(l.State(), "version-told") }

// Run is what a reboot clears.
func (l Layout) Run() string { return path.Join(RunRoot, l.Application) }

// TrackFile is the file through which the health checker adjusts the priority.
func (l Layout) TrackFile() string {
	if l.Router == 0 {
		return path.Join(l.Run(), "priority")
	}
	return path.Join(l.Run(), "priority-"+strconv.Itoa(l.Router))
}

// TrackFileOf is the track file of one of the application's instances.
func (l Layout) TrackFileOf(instance string) string {
	l.Router, _ = l.NumberOf(instance)
	return l.TrackFile()
}

// At is the layout as a virtual router concerns it.
func (l Layout) At(router int) Layout {
	l.Router = router
	return l
}

// Booted is the file that is there from the machine's boot until a hook has looked
// at the configuration. Until then the unit stands aside while others serve.
func (l Layout) Booted() string { return path.Join(l.Run(), "booted") }

// StatusFile is where the health checker says what it found.
func (l Layout) StatusFile() string { return path.Join(l.Run(), "status.json") }

// Orders is the socket at which the health checker takes orders.
func (l Layout) Orders() string { return path.Join(l.Run(), healthcheck.Orders) }

// HookFile is where hooks say for the metrics what they found.
func (l Layout) HookFile() string { return path.Join(l.Run(), "hook.json") }

// News is the directory in which the health checker leaves a file when the unit's
// status may have changed. It belongs to the checker's user.
func (l Layout) News() string { return path.Join(l.Run(), "news") }

// Pending are the files that say that the unit's status may have changed: the
// health checker's, and the one that is left when keepalived ends
// or has started.
func (l Layout) Pending() []string {
	return []string{path.Join(l.News(), healthcheck.Pending), path.Join(l.Run(), "keepalived-ended")}
}

// Instance is the VRRP instance's name.
func (l Layout) Instance() string {
	if l.Router == 0 {
		return "charm_" + l.Application
	}
	// No application's name has an underscore.
	return "charm_" + l.Application + "_" + strconv.Itoa(l.Router)
}

// Owns tells whether a VRRP instance is the application's.
func (l Layout) Owns(instance string) bool {
	_, ours := l.NumberOf(instance)
	return ours
}

// Number is the number of the virtual router that an instance of the application is of.
func (l Layout) Number(instance string) int {
	n, _ := l.NumberOf(instance)
	return n
}

// NumberOf is the number of the virtual router that an instance is of.
func (l Layout) NumberOf(instance string) (int, bool) {
	l.Router = 0
	rest, ours := strings.CutPrefix(instance, l.Instance())
	if rest == "" {
		return 0, ours
	}
	n, err := strconv.Atoi(strings.TrimPrefix(rest, "_"))
	l.Router = n
	return n, err == nil && n > 0 && l.Instance() == instance
}

// Files lists every file whose content the charm manages or must know.
func (l Layout) Files() []string {
	return append([]string{MainFile, ForeignFile, SysctlForeign, SysctlFile, l.Fragment(), l.DropIn(), l.CheckerUnit(), l.YieldUnit(), l.CheckerConfig(),
		l.CheckerCA(), l.Conflicts(), l.Options(), l.Owner(), l.Upgrading()}, append(l.NotifierFiles(), l.Record())...)
}
