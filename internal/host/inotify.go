package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"keepalived-charm/internal/facts"
	"keepalived-charm/internal/layout"

	"golang.org/x/sys/unix"
)

// scarce returns what root has none left of (inotify(7), EMFILE and ENOSPC). keepalived says
// nothing where there is no watch for it (measured: 2.2.7).
func (h *Host) scarce() facts.Inotify {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	if errors.Is(err, unix.EMFILE) {
		return h.limitOf(facts.InotifyInstances)
	}
	if err != nil {
		return facts.Inotify{}
	}
	defer unix.Close(fd)
	if _, err := unix.InotifyAddWatch(fd, h.path("/"), unix.IN_DELETE_SELF); errors.Is(err, unix.ENOSPC) {
		return h.limitOf(facts.InotifyWatches)
	}
	return facts.Inotify{}
}

// limitOf is how many root may have, 1 where that cannot be read.
func (h *Host) limitOf(kind string) facts.Inotify {
	text, err := os.ReadFile(h.setting("fs.inotify.max_user_" + kind))
	if err != nil {
		return facts.Inotify{Kind: kind, Limit: 1}
	}
	limit, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return facts.Inotify{Kind: kind, Limit: max(1, limit)}
}

// unwatched tells that keepalived, whose main process that is, has no watch on the directory of
// an application's track files (proc(5), fdinfo, inotify). What cannot be read tells nothing.
func (h *Host) unwatched(l layout.Layout, pid int) bool {
	info, err := os.Stat(h.path(l.Run()))
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", pid))
	if !ok || err != nil {
		return false
	}
	// The process that runs VRRP is a child, one of several where the owner's keepalived checks
	// real servers.
	for _, process := range append(strings.Fields(string(children)), strconv.Itoa(pid)) {
		files, err := os.ReadDir(filepath.Join("/proc", process, "fd"))
		if err != nil {
			return false
		}
		for _, f := range files {
			if kind, _ := os.Readlink(filepath.Join("/proc", process, "fd", f.Name())); kind != "anon_inode:inotify" {
				continue
			}
			text, _ := os.ReadFile(filepath.Join("/proc", process, "fdinfo", f.Name())) // closed meanwhile it watches nothing
			if strings.Contains(string(text), fmt.Sprintf(" ino:%x ", stat.Ino)) {
				return false
			}
		}
	}
	return true
}
