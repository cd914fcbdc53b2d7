package host

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/juju"
)

// leftovers lists what the Python charm left and Juju keeps when it replaces the
// charm's files: the state of its framework, and the virtual environment beside
// the charm's directory.
func (h *Host) leftovers() []string {
	var list []string
	dir := filepath.Dir(h.self)
	if state := filepath.Join(dir, ".unit-state.db"); startsWith(state, "SQLite format 3\x00") {
		list = append(list, state)
	}
	environment := filepath.Join(filepath.Dir(dir), ".venv")
	if info, err := os.Lstat(environment); err == nil && info.IsDir() {
		list = append(list, environment)
	}
	return list
}

// pythonUnit is another unit on this machine that has the files of the Python charm; the zero
// Unit for none. Those of one that was refreshed to this charm are gone.
func (h *Host) pythonUnit() juju.Unit {
	const handlers = "charm/reactive/keepalived.py"
	own := filepath.Dir(filepath.Dir(h.self)) // as in left
	if !strings.HasPrefix(filepath.Base(own), "unit-") {
		return juju.Unit{}
	}
	found, _ := filepath.Glob(filepath.Join(filepath.Dir(own), "unit-*", handlers))
	for _, file := range found {
		tag := strings.TrimPrefix(strings.TrimSuffix(file, "/"+handlers), filepath.Dir(own)+"/unit-")
		if n := strings.LastIndexByte(tag, '-'); n > 0 && filepath.Base(own) != "unit-"+tag {
			if unit, err := juju.ParseUnit(tag[:n] + "/" + tag[n+1:]); err == nil {
				return unit
			}
		}
	}
	return juju.Unit{}
}

func (h *Host) removeLeftovers() error {
	for _, path := range h.leftovers() {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("cannot remove %s: %w", path, err)
		}
	}
	return nil
}

// startsWith tells a regular file that begins with a text.
func startsWith(path, text string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	start := make([]byte, len(text))
	_, err = io.ReadFull(f, start)
	return err == nil && bytes.Equal(start, []byte(text))
}

// isActive tells whether a service runs.
func (h *Host) isActive(name string) bool {
	_, err := h.run("systemctl", "is-active", "--quiet", name)
	return err == nil
}

// holds tells whether an instance's first address is on its interface, as the
// health checker does.
func holds(i healthcheck.Instance) bool {
	link, err := netlink.LinkByName(i.Interface)
	if err != nil {
		return false
	}
	all, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	return (err == nil || errors.Is(err, netlink.ErrDumpInterrupted)) &&
		slices.ContainsFunc(all, func(a netlink.Addr) bool { return a.IP.Equal(i.Addresses[0].AsSlice()) })
}
