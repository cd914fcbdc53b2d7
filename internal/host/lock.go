package host

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// listsPatience bounds the wait for the lock of the package lists, installPatience
	// that of an installation in all: after a machine's first boot apt-daily and
	// unattended-upgrades take minutes. The hook keeps other units' hooks waiting.
	listsPatience   = 5 * time.Minute
	installPatience = 10 * time.Minute
	// removePatience bounds the wait of a removal.
	removePatience = 2 * time.Minute
	// lockPace parts two looks at a lock.
	lockPace = 300 * time.Millisecond
)

// lock is a lock of apt or dpkg that another process has.
type lock struct {
	file string
	// holder is that process, as people know it.
	holder string
}

// lockIn finds what apt-get says of a lock that it does not get (apt,
// apt-pkg/contrib/fileutl.cc, GetLock). It does not know a holder in another PID
// namespace.
func lockIn(said string) (lock, bool) {
	for line := range strings.Lines(said) {
		words, found := strings.CutPrefix(strings.TrimRight(line, "\n"), "E: Could not get lock ")
		if !found {
			continue
		}
		file, more, _ := strings.Cut(words, " ")
		l := lock{strings.TrimSuffix(file, "."), "another program"}
		if _, process, held := strings.Cut(more, "process "); held {
			pid, name, _ := strings.Cut(process, " ")
			if l.holder = "process " + pid; name != "" {
				l.holder = fmt.Sprintf("%s (pid %s)", strings.TrimSuffix(strings.TrimPrefix(name, "("), ")"), pid)
			}
		}
		return l, true
	}
	return lock{}, false
}

// await waits until the lock is free; false when it is not by a deadline.
func (l lock) await(deadline time.Time) bool {
	for {
		time.Sleep(lockPace)
		if !l.taken() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// taken tells whether some process has the lock; one that cannot be looked at may be
// free.
func (l lock) taken() bool {
	f, err := os.Open(l.file)
	if err != nil {
		return false
	}
	defer f.Close()
	asked := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_GETLK, &asked) == nil && asked.Type != unix.F_UNLCK
}

// apt runs apt-get, and waits until a deadline for whoever has a lock that it needs; by
// aptLimit after that it has ended.
// apt-get itself waits for dpkg's only, and does not say so to anybody who could see.
func (h *Host) apt(deadline time.Time, args ...string) (string, error) {
	args = append([]string{"-q", "-y", "-o", "DPkg::Lock::Timeout=0"}, args...)
	for told := ""; ; {
		out, err := h.runFor(time.Until(deadline.Add(aptLimit)), "", "apt-get", args...)
		if err == nil {
			return out, nil
		}
		l, locked := lockIn(out)
		switch {
		case !locked:
			return out, err
		case time.Now().After(deadline):
			return out, fmt.Errorf("%s does not release %s", l.holder, l.file)
		}
		if h.waits != nil && l.holder != told {
			told = l.holder
			h.waits(told)
		}
		if l.await(deadline) && h.waits != nil {
			told = ""
			h.waits(told)
		}
	}
}
