package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"keepalived-charm/internal/layout"
)

const keepalivedService = "keepalived.service"

// service is what systemd says about one service.
type service struct {
	state string // ActiveState, systemd.unit(5)
	pid   int
	// file is UnitFileState: enabled, disabled, masked and others, systemctl(1).
	file string
}

// masked tells that systemd is forbidden to start a service, and whether that ends with
// the next boot.
func (s service) masked() (masked, runtime bool) {
	return strings.HasPrefix(s.file, "masked"), s.file == "masked-runtime"
}

// running counts a service that is being stopped: a start would cancel the stop.
func (s service) running() bool {
	switch s.state {
	case "active", "reloading", "activating", "deactivating":
		return true
	}
	return false
}

// services asks systemd for keepalived and an application's units, by name.
func (h *Host) services(l layout.Layout) (map[string]service, error) {
	return h.show(keepalivedService, l.CheckerService(), l.NotifierUnit())
}

// show asks systemd for units, by systemctl where it cannot be asked directly.
func (h *Host) show(names ...string) (map[string]service, error) {
	found, err := askSystemd(quickLimit, h.path(systemdSocket), names...)
	if err == nil {
		return found, nil
	}
	if errors.Is(err, errSilent) {
		return nil, fmt.Errorf("cannot ask systemd for its services: %w", err)
	}
	out, err := h.run("systemctl", append([]string{"show", "--property=Id,ActiveState,MainPID,UnitFileState"}, names...)...)
	if err != nil {
		return nil, fmt.Errorf("cannot ask systemd for its services: %w", err)
	}
	return parseServices(out), nil
}

// parseServices reads KEY=VALUE lines, one paragraph a service.
func parseServices(out string) map[string]service {
	found := map[string]service{}
	for paragraph := range strings.SplitSeq(out, "\n\n") {
		var s service
		name := ""
		for line := range strings.Lines(paragraph) {
			key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
			switch key {
			case "Id":
				name = value
			case "ActiveState":
				s.state = value
			case "UnitFileState":
				s.file = value
			case "MainPID":
				// 0 is a service without a process; less would signal a whole group.
				if n, err := strconv.Atoi(value); err == nil && n > 0 {
					s.pid = n
				}
			}
		}
		found[name] = s
	}
	return found
}

func (h *Host) systemctl(args ...string) error {
	if _, err := h.run("systemctl", args...); err != nil {
		return fmt.Errorf("cannot %s: %w", strings.Join(args, " "), err)
	}
	return nil
}

// reloadOrStart has a service read its configuration, whether it runs or not. A
// service that failed too often may start again. One that is still starting is
// started anew: keepalived without an instance never says that it is ready, and a
// reload would wait for that.
func (h *Host) reloadOrStart(name string) error {
	found, err := h.show(name)
	if err != nil {
		return err
	}
	now := found[name]
	if masked, _ := now.masked(); masked && now.running() && now.pid > 0 {
		// systemd refuses any job for it; this is what a reload would do (ExecReload).
		return hangUp(now.pid)
	}
	// One that cannot be enabled does not start at boot; today it can serve all the same.
	enableErr := h.enable(now, name)
	h.forgive(name)
	job := "reload-or-restart"
	if now.state == "activating" {
		job = "restart"
	}
	return errors.Join(h.systemctl(job, name), enableErr)
}

// enable has systemd start a service at boot. systemd reads all its units anew for that,
// and asks after scripts of System V: seconds on a busy machine, in which nothing serves.
func (h *Host) enable(s service, name string) error {
	if s.file == "enabled" {
		return nil
	}
	return h.systemctl("enable", "--quiet", name)
}

// hangUp has a daemon read its configuration.
func hangUp(pid int) error {
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		return fmt.Errorf("cannot have keepalived read its configuration: %w", err)
	}
	return nil
}

// stop ends services and waits until they have ended.
func (h *Host) stop(names ...string) error {
	if err := h.systemctl(append([]string{"stop"}, names...)...); err != nil {
		return err
	}
	h.forgive(names...)
	return nil
}

// forgive has systemd forget how services failed: it would list them for good, also
// when their unit files are gone. What it does not know has not failed.
func (h *Host) forgive(names ...string) {
	_ = h.systemctl(append([]string{"reset-failed"}, names...)...)
}

// disable ends a service for good.
func (h *Host) disable(name string) error {
	if err := h.systemctl("disable", "--quiet", "--now", name); err != nil {
		return err
	}
	h.forgive(name)
	return nil
}

// startChecker starts the health checker anew, and has the unit yield before a
// shutdown. That service waits for the end of a boot, no hook does. A unit that is
// blocked since the charm was upgraded may not have it yet.
func (h *Host) startChecker(l layout.Layout) error {
	if err := h.remove(l.Booted()); err != nil {
		return err
	}
	found, err := h.show(l.CheckerService(), l.YieldService())
	if err != nil {
		return err
	}
	// One that cannot be enabled runs today.
	enableErr := h.enable(found[l.CheckerService()], l.CheckerService())
	if err := h.systemctl("restart", l.CheckerService()); err != nil {
		return errors.Join(err, enableErr)
	}
	if _, err := os.Stat(h.path(l.YieldUnit())); err != nil {
		return enableErr
	}
	enableErr = errors.Join(enableErr, h.enable(found[l.YieldService()], l.YieldService()))
	return errors.Join(h.systemctl("start", "--no-block", l.YieldService()), enableErr)
}

// startNotifier has systemd wait for news, today and after a boot.
func (h *Host) startNotifier(l layout.Layout) error {
	found, err := h.show(l.NotifierUnit())
	if err != nil {
		return err
	}
	enableErr := h.enable(found[l.NotifierUnit()], l.NotifierUnit())
	return errors.Join(h.systemctl("restart", l.NotifierUnit()), enableErr)
}

// stopChecker ends the health checker for good, once others hold what this unit
// held; their unit files go next. systemd disables no service whose unit file is
// missing.
func (h *Host) stopChecker(l layout.Layout) error {
	if _, err := os.Stat(h.path(l.YieldUnit())); err == nil {
		if err := h.disable(l.YieldService()); err != nil {
			return err
		}
	}
	if _, err := os.Stat(h.path(l.CheckerUnit())); err != nil {
		return h.stop(l.CheckerService())
	}
	return h.disable(l.CheckerService())
}

// stopNotifier ends the wait for news and what it may just do: nothing that waits
// for this hook may outlive it.
func (h *Host) stopNotifier(l layout.Layout) error {
	if _, err := os.Stat(h.path(l.NotifierFiles()[0])); err == nil {
		if err := h.systemctl("disable", "--quiet", l.NotifierUnit()); err != nil {
			return err
		}
	}
	if err := h.stop(l.NotifierUnit(), l.NotifierService()); err != nil {
		return err
	}
	for _, file := range l.Pending() {
		if err := h.remove(file); err != nil {
			return err
		}
	}
	return nil
}
