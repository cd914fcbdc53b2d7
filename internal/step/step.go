// Package step is what a hook can do to a machine, as values: a plan is a list of steps,
// and package host carries each out. It does no I/O.
package step

import (
	"net/netip"
	"strings"
)

// FollowUp is what must happen after certain files changed before the change
// counts. One that is owed is remembered in a file until it is done, so a hook
// that is killed in between leaves no daemon that runs something else than the
// files say.
type FollowUp string

// The follow-ups, in the order in which they are done.
const (
	DaemonReload   FollowUp = "daemon-reload"   // systemd reads its units again
	ApplySysctl    FollowUp = "sysctl"          // the kernel takes the settings
	Reload         FollowUp = "reload"          // keepalived reads its configuration (SIGHUP), or starts
	RestartChecker FollowUp = "restart-checker" // the health checker reads its configuration
	Unpin          FollowUp = "unpin"           // the virtual IPs leave the loopback device
	StartNotifier  FollowUp = "start-notifier"  // systemd waits for news
)

// FollowUps lists all follow-ups in order.
func FollowUps() []FollowUp {
	return []FollowUp{DaemonReload, ApplySysctl, Reload, RestartChecker, Unpin, StartNotifier}
}

// Action is what a step does to the machine.
type Action string

// The actions, roughly in the order of a plan.
const (
	// Depart notes that the unit is being taken out of its group, End that it has ended;
	// Begin takes both back.
	Depart Action = "depart"
	End    Action = "end"
	Begin  Action = "begin"
	// InstallPackage gets keepalived from the packages that came with the charm, or else from
	// the machine's archive of packages.
	InstallPackage Action = "install keepalived"
	// Owe remembers Step.FollowUps before the files change.
	Owe Action = "owe"
	// StopChecker, StopNotifier and StopKeepalived end a service; keepalived hands its virtual
	// IPs over with priority 0 (RFC 9568 section 6.4.3).
	StopChecker    Action = "stop health checker"
	StopNotifier   Action = "stop notifier"
	StopKeepalived Action = "stop keepalived"
	// InstallBinary copies the charm's binary to Layout.Binary.
	InstallBinary Action = "install binary"
	// Test has keepalived test its configuration as it will be with the files of
	// the step in place, and tries whether they can be written. It changes nothing.
	Test Action = "test"
	// Flush takes the addresses of the step from this machine, unless keepalived has
	// become MASTER meanwhile: they were left behind, or added by hand, and another
	// unit has them.
	Flush Action = "flush"
	// Admit takes the addresses of the step out of keepalived's packet filter, where an
	// instance of before left them.
	Admit Action = "admit"
	// Restore puts the addresses of the step back where the installed configuration has
	// them, while keepalived is MASTER: it takes them for there.
	Restore Action = "restore"
	// Pin puts the addresses of the step on the loopback device, where the machine
	// answers for them while its VRRP instance changes over; Unpin ends it.
	Pin Action = "pin"
	// Write writes or removes the files of the step.
	Write Action = "write"
	// Do carries out the follow-ups of the step and forgets them.
	Do Action = "do"
	// Forget forgets follow-ups that nobody is left to carry out.
	Forget Action = "forget"
	// Pause and Resume keep the unit out of the election and let it in again;
	// HandOver gives away what it holds, once, and fails where nobody takes it; Restart
	// restarts keepalived. They are an operator's actions and in no plan.
	Pause    Action = "pause"
	Resume   Action = "resume"
	HandOver Action = "hand over"
	Restart  Action = "restart keepalived"
	// Await waits until keepalived has found out who holds the virtual IPs, 2.5 s at
	// most. It is in no plan.
	Await Action = "await election"
	// RemoveState removes the application's directories.
	RemoveState Action = "remove state"
	// RemoveLeftovers removes what the Python charm left beside the charm's files.
	RemoveLeftovers Action = "remove leftovers of the Python charm"
	// RemovePackage removes keepalived when the charm installed it.
	RemovePackage Action = "remove keepalived"
)

// File is a file to write, or to remove.
type File struct {
	Path, Content string
	Remove        bool
}

// Step is one change of the machine.
type Step struct {
	Action Action
	Files  []File
	// FollowUps are what Owe remembers, Do carries out and Forget drops.
	FollowUps []FollowUp
	// Addresses are what Flush, Admit and Pin are about.
	Addresses []netip.Addr
}

// String shows the step in one line of the unit's log.
func (s Step) String() string {
	words := []string{string(s.Action)}
	for _, f := range s.Files {
		if f.Remove {
			words = append(words, "-"+f.Path)
		} else {
			words = append(words, f.Path)
		}
	}
	for _, f := range s.FollowUps {
		words = append(words, string(f))
	}
	for _, a := range s.Addresses {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}
