package machine

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cgroupParent is the directory below the root of each hierarchy that holds all labs.
const cgroupParent = "keepalived-lab"

// A cgroup is a control group of the unified hierarchy: the one handle by which all processes of a
// machine, whatever they forked, are killed or frozen at once.
type cgroup string

// labCgroup makes the control group of a lab.
func labCgroup(id string) (cgroup, error) {
	mounts, err := cgroupMounts()
	if err != nil {
		return "", err
	}
	if mounts.unified == "" {
		return "", errors.New("cannot find a cgroup2 mount: the lab needs the unified hierarchy to stop machines")
	}
	group := cgroup(filepath.Join(mounts.unified, cgroupParent, id))
	for try := 0; ; try++ {
		err := os.MkdirAll(string(group), 0o755)
		if err == nil {
			return group, nil
		}
		// The parent goes with its last lab, which may be now: it was not there, or it was and
		// no longer is.
		gone := errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist)
		if !gone || try == 100 {
			return "", fmt.Errorf("cannot make control group of lab %s: %w", id, err)
		}
	}
}

// child makes a control group below c.
func (c cgroup) child(name string) (cgroup, error) {
	sub := cgroup(filepath.Join(string(c), name))
	if err := os.MkdirAll(string(sub), 0o755); err != nil {
		return "", fmt.Errorf("cannot make control group %s: %w", name, err)
	}
	return sub, nil
}

// kill sends SIGKILL to every process in c and below, and returns when they are gone. It does so
// again for processes that somebody started in c meanwhile.
func (c cgroup) kill() error {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); {
		err := os.WriteFile(filepath.Join(string(c), "cgroup.kill"), []byte("1"), 0)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			return nil // removed, so it was empty
		}
		if err != nil {
			return fmt.Errorf("cannot kill control group %s: %w", filepath.Base(string(c)), err)
		}
		for range 50 {
			if !c.populated() {
				return nil
			}
			time.Sleep(2 * time.Millisecond)
		}
	}
	return fmt.Errorf("cannot kill control group %s: it still has processes after 10 s", filepath.Base(string(c)))
}

func (c cgroup) populated() bool {
	data, err := os.ReadFile(filepath.Join(string(c), "cgroup.events"))
	return err == nil && strings.Contains(string(data), "populated 1")
}

// freeze stops (on) or continues (off) every process in c and returns when that has happened.
func (c cgroup) freeze(on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	if err := os.WriteFile(filepath.Join(string(c), "cgroup.freeze"), []byte(value), 0); err != nil {
		return fmt.Errorf("cannot freeze or thaw control group: %w", err)
	}
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		data, err := os.ReadFile(filepath.Join(string(c), "cgroup.events"))
		if err != nil {
			return fmt.Errorf("cannot read state of control group: %w", err)
		}
		if strings.Contains(string(data), "frozen "+value) {
			return nil
		}
	}
	return errors.New("cannot freeze or thaw control group: not done after 5 s")
}

// remove deletes c and all below it, there and where systemd-nspawn made the same path in the
// legacy hierarchy of a hybrid host. The groups must be empty.
func (c cgroup) remove() error {
	mounts, err := cgroupMounts()
	if err != nil {
		return err
	}
	paths := []string{string(c)}
	if rel, err := filepath.Rel(mounts.unified, string(c)); err == nil && mounts.legacy != "" {
		paths = append(paths, filepath.Join(mounts.legacy, rel))
	}
	for _, path := range paths {
		if err := removeGroups(path); err != nil {
			return fmt.Errorf("cannot remove control group: %w", err)
		}
		// The parent goes with its last lab; another lab in it is no error.
		if parent := filepath.Dir(path); filepath.Base(parent) == cgroupParent {
			_ = syscall.Rmdir(parent)
		}
	}
	return nil
}

// removeGroups removes a tree of control groups, deepest first.
func removeGroups(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeGroups(filepath.Join(path, entry.Name())); err != nil {
				return err
			}
		}
	}
	// A group just emptied can be busy for a moment.
	for try := 0; ; try++ {
		err := syscall.Rmdir(path)
		if err == nil || errors.Is(err, syscall.ENOENT) {
			return nil
		}
		if !errors.Is(err, syscall.EBUSY) || try == 200 {
			return fmt.Errorf("%s: %w", path, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// hierarchies says where the control groups are mounted; legacy is empty unless the host also has
// systemd's own version 1 hierarchy.
type hierarchies struct{ unified, legacy string }

func cgroupMounts() (hierarchies, error) {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return hierarchies{}, fmt.Errorf("cannot list mounts: %w", err)
	}
	defer f.Close()
	var found hierarchies
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 4 {
			continue
		}
		switch {
		case fields[2] == "cgroup2" && found.unified == "":
			found.unified = fields[1]
		case fields[2] == "cgroup" && strings.Contains(fields[3], "name=systemd"):
			found.legacy = fields[1]
		}
	}
	return found, lines.Err()
}

// processStart is a process's start time in clock ticks since boot, which tells it from a later
// process with the same ID. It is 0 when there is no such process.
func processStart(pid int) uint64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0
	}
	// The command name in parentheses may hold anything; fields are counted after it.
	fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(fields) < 20 {
		return 0
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return 0
	}
	return start
}
