package host

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

	"keepalived-charm/internal/checker"
	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/history"
	"keepalived-charm/internal/vrrp"
)

// Prepare runs right before keepalived starts: it makes the track files of one
// application, which a reboot removes, and takes away virtual IPs that a crashed
// daemon left behind. config is the health checker's configuration. Files that it
// makes after a boot keep the unit out of the election until the health checker
// lets it in. A keepalived that ends again and again it holds up.
func Prepare(config string) error { return New("/", "").prepareStart(config) }

// UnpreparedStatus is the exit status of a preparation after which systemd starts no keepalived
// (keepalived.service.d, ExecStartPre). Whatever else becomes of a preparation, it starts.
const UnpreparedStatus = 78 // EX_CONFIG, sysexits(3)

// ErrUnprepared is why: a unit that is to stand aside would take part.
var ErrUnprepared = errors.New("keepalived would take part that is to stand aside: does not start it")

func (h *Host) prepareStart(config string) error {
	c, err := h.readChecker(config)
	if len(c.Instances) == 0 {
		return err
	}
	began := history.KeepalivedStarts
	if unwritten(c.Instances[0].TrackFile) {
		began = history.MachineBooted
	}
	// Whatever fails, what a daemon left behind goes.
	err = errors.Join(err, prepareTracks(c), h.flush(c))
	if c.History != "" {
		h.holdUp(c.History, began)
		noteIn(c.History, history.Entry{Event: began})
	}
	return err
}

// prepareTracks makes the track files. The error is ErrUnprepared where one cannot be made
// that is to keep the unit out of the election, as on a full /run.
func prepareTracks(c healthcheck.Config) error {
	booted, err := markBoot(c)
	asides := err != nil
	for _, i := range c.Instances {
		adjustment := 0
		if booted || i.Aside != "" {
			adjustment = vrrp.StepAside
		}
		madeErr := makeTrackFile(i.TrackFile, adjustment)
		asides = asides || madeErr != nil && adjustment == vrrp.StepAside
		err = errors.Join(err, madeErr)
	}
	if asides {
		return errors.Join(err, ErrUnprepared)
	}
	// Where systemd still has the unit file of a revision before: that one leaves a file, and
	// starts no keepalived while it is there.
	if removeErr := os.Remove(filepath.Join(filepath.Dir(c.Instances[0].TrackFile), "unprepared")); !errors.Is(removeErr, fs.ErrNotExist) {
		err = errors.Join(err, removeErr)
	}
	return err
}

// unwritten tells that a track file says nothing: it is not there, or empty.
func unwritten(trackFile string) bool {
	info, err := os.Stat(trackFile)
	return err != nil || info.Size() == 0
}

// virtualAddresses lists the virtual IPs, and what stands for them in advertisements.
func virtualAddresses(c healthcheck.Config) []netip.Addr {
	var list []netip.Addr
	for _, i := range c.Instances {
		list = append(list, i.Addresses...)
	}
	return list
}

// Rescue kills a keepalived that does nothing any more; systemd does what follows.
func (h *Host) Rescue() error {
	// Stopped and frozen processes die of nothing else.
	if err := h.systemctl("kill", "--signal=KILL", keepalivedService); err != nil {
		return err
	}
	// What systemd runs next would stay frozen in a frozen control group, and systemd
	// thaws only services that run.
	for _, group := range checker.DaemonGroups() {
		if err := os.WriteFile(filepath.Join(group, "cgroup.freeze"), []byte("0"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot thaw keepalived: %w", err)
		}
	}
	return nil
}

// Orphaned takes away virtual IPs that a keepalived left behind for whose end systemd does
// nothing, as its service is masked. Whatever starts or stops does that itself.
func (h *Host) Orphaned(config string) error {
	found, err := h.show(keepalivedService)
	if err != nil || found[keepalivedService].running() {
		return err
	}
	c, err := h.readChecker(config)
	flushed := errors.Join(err, h.flush(c))
	if c.History != "" {
		noteIn(h.path(c.History), history.Entry{Event: history.KeepalivedEnded, Cause: history.Unknown})
	}
	return flushed
}

// markBoot tells that no hook has looked at the configuration since the machine's boot,
// and makes the file that says so when keepalived starts for the first time since: before
// any track file is there. An attempt that came no further left the file.
func markBoot(c healthcheck.Config) (bool, error) {
	if c.Booted == "" {
		return false, nil
	}
	if _, err := os.Stat(c.Booted); err == nil {
		return true, nil
	}
	if !unwritten(c.Instances[0].TrackFile) {
		return false, nil
	}
	err := os.MkdirAll(filepath.Dir(c.Booted), 0o700)
	if err == nil {
		err = os.WriteFile(c.Booted, nil, 0o600)
	}
	if err != nil {
		return true, fmt.Errorf("cannot tell of the boot: %w", err)
	}
	return true, nil
}
