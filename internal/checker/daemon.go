package checker

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	// daemonInterval parts two looks at the keepalived of a holder.
	daemonInterval = 2 * hintInterval
	// daemonPatience is how long keepalived may do nothing after its track file was
	// written. It reads the file at once; a busy machine gives it some of this time.
	daemonPatience = time.Second
	// daemonActive is how many looks in a row must find keepalived at work before one
	// that does nothing counts as stuck: one that never reads our track file, as it
	// runs with another configuration, is none.
	daemonActive = 4
	// daemonSlack is how much later than its advertisement interval keepalived may work.
	daemonSlack = 50 * time.Millisecond
)

// StuckStatus is the exit status of a checker that found keepalived stuck. It may
// do nothing about it; systemd has the rescue carried out with more rights.
const StuckStatus = 75 // EX_TEMPFAIL, sysexits(3)

// ErrStuck is why a checker ends that found keepalived stuck.
var ErrStuck = errors.New("keepalived does nothing though its track file was written: has keepalived killed, another one begins anew")

// OrphanedStatus is the exit status of a checker that found virtual IPs without a
// keepalived.
const OrphanedStatus = 76

// ErrOrphaned is why a checker ends that found virtual IPs without a keepalived: systemd
// runs nothing when one ends whose service is masked.
var ErrOrphaned = errors.New("keepalived has ended and left its virtual IPs: has them taken away")

// DaemonGroups are the places of keepalived's control group: with version 2, and
// with both versions.
func DaemonGroups() []string {
	const service = "system.slice/keepalived.service"
	return []string{filepath.Join("/sys/fs/cgroup", service), filepath.Join("/sys/fs/cgroup/unified", service)}
}

// daemonWatch notices that keepalived no longer does anything: its processes are
// stopped, frozen or wait for ever, or it has ended. Such a daemon keeps the virtual IPs
// on its machine while another one takes them over, and nothing else would end that.
type daemonWatch struct {
	groups []string
	proc   string // where the kernel tells of processes
	// interval is how often keepalived works by itself at least, unless it has no holder.
	interval time.Duration
	every    time.Duration // parts the last look and the next; zero: daemonInterval
	at       time.Time     // of the next look
	looked   time.Time     // the last look
	usage    string        // processor time so far, as the kernel writes it
	active   int           // looks in a row that found it at work
	armed    bool          // it is known to read the track file
	worked   time.Time     // the last look that found it at work
	wrote    time.Time     // when it was last given something to do
	asked    time.Time     // since when it has that; zero while it works
	seen     bool          // it has been found running
	gone     time.Time     // since when it has not; zero while it runs
	// restarts counts how often it began anew.
	restarts uint64
}

// look tells what follows from keepalived's processor time: to write the track
// file, so that it has something to do, or that it is stuck. An empty usage is that
// of a daemon that does not run.
func (w *daemonWatch) look(now time.Time, usage string) (ask, stuck bool) {
	late := !w.looked.IsZero() && now.Sub(w.looked) > 2*max(w.every, daemonInterval)
	worked := usage != w.usage
	if w.seen && usage != "" && (w.usage == "" || processorTime(usage) < processorTime(w.usage)) {
		w.restarts++ // in a control group of its own, as each has
	}
	w.looked, w.usage = now, usage
	w.seen = w.seen || usage != ""
	if usage != "" || w.gone.IsZero() || late {
		w.gone = time.Time{}
		if usage == "" && w.seen {
			w.gone = now
		}
	}
	switch {
	case usage == "":
		w.active, w.armed, w.asked = 0, false, time.Time{}
	case worked:
		w.worked = now
		w.active++
		w.armed = w.armed || w.active >= daemonActive || !w.asked.IsZero()
		w.asked = time.Time{}
	case late || w.asked.IsZero():
		// This process did not run either, or keepalived had nothing to do.
		w.active, w.asked = 0, time.Time{}
		if now.Before(w.due()) {
			return false, false
		}
		w.asked, w.wrote = now, now
		return true, false
	case now.Sub(w.asked) >= daemonPatience:
		return false, w.armed
	}
	return false, false
}

// due is when keepalived is given something to do: once it has done nothing for longer than
// it does by itself, if it is known, and no more than once in two intervals.
func (w *daemonWatch) due() time.Time {
	var due time.Time
	if !w.wrote.IsZero() {
		due = w.wrote.Add(2 * w.interval)
	}
	if quiet := w.worked.Add(w.interval + daemonSlack); w.armed && quiet.After(due) {
		return quiet
	}
	return due
}

// processorTime is what the kernel's text says, in microseconds.
func processorTime(usage string) uint64 {
	n, _ := strconv.ParseUint(strings.TrimPrefix(usage, "usage_usec "), 10, 64)
	return n
}

// ended tells that keepalived ran, and has not for a while: one that systemd starts anew,
// or that is replaced, is back before.
func (w *daemonWatch) ended(now time.Time) bool {
	return !w.gone.IsZero() && now.Sub(w.gone) >= daemonPatience
}

// read returns keepalived's processor time so far; empty while it does not run.
func (w *daemonWatch) read() string {
	for _, group := range w.groups {
		var b [512]byte
		text, ok := quickRead(filepath.Join(group, "cpu.stat"), b[:])
		if !ok {
			continue
		}
		line, _, _ := bytes.Cut(text, []byte("\n"))
		return string(line)
	}
	return ""
}

// complete tells that keepalived's control group has more than one process of it: one
// alone has found no instance in its files and has nothing to do, and what systemd runs
// before it and after it may wait.
func (w *daemonWatch) complete() bool { return w.processes() > 1 }

// runs tells that a process of keepalived's is there.
func (w *daemonWatch) runs() bool { return w.processes() > 0 }

// processes counts keepalived's own in its control group.
func (w *daemonWatch) processes() int {
	for _, group := range w.groups {
		text, err := os.ReadFile(filepath.Join(group, "cgroup.procs"))
		if err != nil {
			continue
		}
		ids := slices.DeleteFunc(strings.Fields(string(text)), func(pid string) bool {
			// One that is hidden (hidepid, proc(5)) or has ended says nothing.
			line, err := os.ReadFile(filepath.Join(w.proc, pid, "cmdline"))
			program, _, _ := strings.Cut(string(line), "\x00")
			return err == nil && program != "" && filepath.Base(program) != "keepalived"
		})
		return len(ids)
	}
	return 0
}

// lookAtDaemon looks at keepalived when it is time to, and returns when to look
// again.
func (l *loop) lookAtDaemon(now time.Time) (time.Time, error) {
	w := &l.daemon
	if now.Before(w.at) {
		return w.at, nil
	}
	pace := l.pace(daemonInterval)
	w.at = now.Add(pace)
	if !l.replaced.since.IsZero() {
		l.daemon = daemonWatch{groups: w.groups, proc: w.proc, interval: w.interval, at: w.at, restarts: w.restarts} // not the one that was known
		return w.at, nil
	}
	ask, stuck := w.look(now, w.read())
	w.every = pace
	if stuck && w.complete() {
		return w.at, ErrStuck
	}
	if w.ended(now) && l.election.holdsAny() {
		l.news.tell()
		return w.at, ErrOrphaned
	}
	if ask && l.tracks[0].value != noValue {
		// The same text: keepalived waits for the file to be closed, not for another one.
		_ = l.tracks[0].file.write(trackText(l.tracks[0].value)) // apply tells of a file that cannot be written
	}
	return w.at, nil
}
