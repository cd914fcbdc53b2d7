package status

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"keepalived-charm/internal/config"
	"keepalived-charm/internal/juju"
	"keepalived-charm/internal/step"
)

// Blocked is a condition that only the operator can end. The unit keeps its last
// good configuration.
type Blocked struct{ Message string }

// Error returns the message that juju status shows.
func (b *Blocked) Error() string { return b.Message }

// Waiting is a condition that somebody or something else ends. The unit keeps its
// last good configuration meanwhile.
type Waiting struct{ Message string }

// Error returns the message that juju status shows.
func (w *Waiting) Error() string { return w.Message }

// NoVirtualIP starts the message of a unit without virtual IPs; Charmed
// Kubernetes compares it.
const NoVirtualIP = "Please configure virtual ips"

// Refusal is the error of a status that keeps a unit from what it wants.
func Refusal(s juju.Status) error {
	if s.Level == juju.Waiting {
		return &Waiting{Message: s.Message}
	}
	return &Blocked{Message: s.Message}
}

// Of turns an error that only the operator can mend into a status; false
// for a fault, which Juju shows and retries.
func Of(err error) (juju.Status, bool) {
	var blocked *Blocked
	var invalid *config.Invalid
	if errors.As(err, &blocked) || errors.As(err, &invalid) {
		return juju.Status{Level: juju.Blocked, Message: err.Error()}, true
	}
	var waiting *Waiting
	if errors.As(err, &waiting) {
		return juju.Status{Level: juju.Waiting, Message: err.Error()}, true
	}
	return juju.Status{}, false
}

// Installing is what juju status shows while keepalived is installed, or removed, and a
// program is waited for; empty for none.
func Installing(a step.Action, holder string) juju.Status {
	switch removes := a == step.RemovePackage; {
	case removes && holder == "":
		return Say(Released)
	case removes:
		return Say(RemoveWaits, "HOLDER", holder)
	case holder == "":
		return Say(Installs)
	}
	return Say(InstallWaits, "HOLDER", holder)
}

// InstallFails tells of a fault that may end by itself.
func InstallFails(err error) juju.Status {
	reason := strings.TrimPrefix(err.Error(), "cannot install keepalived: ")
	return Say(FailsToInstall, "REASON", strings.ReplaceAll(reason, "\n", "; "))
}

// PackageHeld is the refusal of a package that apt is told to leave as it is.
func PackageHeld() *Blocked { return &Blocked{Message: Say(HeldPackage).Message} }

// NoPackage is the refusal of a package that cannot be had.
func NoPackage(reason string) *Blocked {
	return &Blocked{Message: Say(MissingPackage, "REASON", reason).Message}
}

// BadPackages is the refusal of the packages that came with the charm.
func BadPackages(reason string) *Blocked {
	return &Blocked{Message: Say(UselessPackages, "REASON", reason).Message}
}

// ProgramFails is the refusal of a package whose program does not run.
func ProgramFails(reason string) *Blocked {
	return &Blocked{Message: Say(BrokenProgram, "REASON", reason).Message}
}

// List shows up to three addresses and counts the others.
func List(addresses []netip.Addr) string {
	const most = 3
	var words []string
	for _, a := range addresses {
		words = append(words, a.String())
	}
	if len(words) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}

// Named shows up to three units and counts the others; one that is not known yet has no
// name.
func Named(units []juju.Unit) string {
	const most = 3
	var words []string
	for _, u := range units {
		words = append(words, u.String())
	}
	switch {
	case len(words) == 0:
		return "another unit"
	case len(words) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(words[:most], ", "), len(words)-most)
	}
	return strings.Join(words, ", ")
}
