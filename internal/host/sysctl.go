package host

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/layout"
	"keepalived-charm/internal/step"
)

const settingsBefore = layout.SettingsBefore

// applySysctl gives the kernel the charm's own settings and nothing else; without
// its file it gives back what was there before. A setting that may
// not be written, as in an LXD container, is said and left.
func (h *Host) applySysctl() error {
	var want map[string]string
	before := h.before()
	text, err := os.ReadFile(h.path(layout.SysctlFile))
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && !facts.Ours(string(text)):
		want = before
	case err != nil:
		return fmt.Errorf("cannot read %s: %w", layout.SysctlFile, err)
	default:
		want = ownSettings(string(text))
		if err := h.rememberSettings(want, before); err != nil {
			return err
		}
	}
	for name, value := range want {
		file := h.setting(name)
		if err := os.WriteFile(file, []byte(value), 0o644); err != nil {
			fmt.Fprintf(os.Stderr, "cannot set %s to %s, %s: %v\n", name, value, without(name), err)
		}
	}
	return nil
}

// without tells what is amiss without a setting.
func without(name string) string {
	if strings.HasSuffix(name, ".promote_secondaries") {
		return "an address that goes may take others of its subnet along"
	}
	return "a service cannot bind a virtual IP that another machine holds"
}

// before returns the settings that are to come back. Of a file that cannot be read nobody knows
// them any more.
func (h *Host) before() map[string]string {
	before := map[string]string{}
	text, err := os.ReadFile(h.path(settingsBefore))
	if err == nil {
		err = json.Unmarshal(text, &before)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(os.Stderr, "cannot read %s, the settings of before do not come back: %v\n", settingsBefore, err)
	}
	if before == nil { // null
		return map[string]string{}
	}
	return before
}

// takeOver remembers the kernel's defaults for what the Python charm's file set, before
// that file changes: the kernel says by now what that charm made of them.
func (h *Host) takeOver(f step.File) error {
	text, err := os.ReadFile(h.path(f.Path))
	if f.Path != layout.SysctlFile || err != nil || !facts.IsPythonSysctl(string(text)) {
		return nil
	}
	before := h.before()
	for name := range parseSysctl(string(text)) {
		if _, known := before[name]; !known {
			before[name] = "0"
		}
	}
	return h.rememberBefore(before)
}

func (h *Host) rememberSettings(want, before map[string]string) error {
	for name := range want {
		if _, known := before[name]; known {
			continue
		}
		if value, err := os.ReadFile(h.setting(name)); err == nil {
			before[name] = strings.TrimSpace(string(value))
		}
	}
	return h.rememberBefore(before)
}

func (h *Host) rememberBefore(before map[string]string) error {
	text, err := json.Marshal(before)
	if err != nil {
		return fmt.Errorf("cannot remember kernel settings: %w", err)
	}
	return h.write(settingsBefore, string(text), 0o600)
}

// drifted returns what a file sets and the kernel has another value of, and which of
// that may not be written here. What the kernel does not have, such as of IPv6, is
// left out.
func (h *Host) drifted(file string) (drifted, fixed []string) {
	for name, want := range ownSettings(file) {
		text, err := os.ReadFile(h.setting(name))
		if err != nil || strings.TrimSpace(string(text)) == want {
			continue
		}
		drifted = append(drifted, name)
		f, err := os.OpenFile(h.setting(name), os.O_WRONLY, 0)
		if err != nil {
			fixed = append(fixed, name)
			continue
		}
		f.Close()
	}
	slices.Sort(drifted)
	slices.Sort(fixed)
	return drifted, fixed
}

func (h *Host) setting(name string) string {
	return h.path("/proc/sys", filepath.Join(strings.Split(name, ".")...))
}

// ownSettings are what the charm's own file sets, without what was there before.
func ownSettings(text string) map[string]string {
	if !facts.Ours(text) {
		return nil
	}
	text, _, _ = strings.Cut(text, layout.SysctlBefore)
	return parseSysctl(text)
}

// parseSysctl reads NAME = VALUE lines (sysctl.conf(5)).
func parseSysctl(text string) map[string]string {
	settings := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); ok && !strings.HasPrefix(name, "#") && !strings.HasPrefix(name, ";") {
			settings[name] = strings.TrimSpace(value)
		}
	}
	return settings
}
