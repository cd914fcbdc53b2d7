package checker

import (
	"log"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"keepalived-charm/internal/healthcheck"
)

// statusInterval is the least time between two writes of the status file.
const statusInterval = time.Second

// statusWriter gathers what happens into the status file and a line for people.
type statusWriter struct {
	file      *inPlaceFile // nil: no status file
	check     string
	instances int
	data      Status
	// found is what the last pass rests on, see prober.
	found string
	// news tells that data changed in more than its counters since written.
	news bool
	// hears tells that others' advertisements come, whose times are told.
	hears   bool
	written time.Time
	broken  bool // the last write failed
}

func newStatusWriter(c healthcheck.Config, v verdict) statusWriter {
	return statusWriter{
		check:     c.Check.String(),
		instances: len(c.Instances),
		data:      Status{Verdict: v.String(), Since: time.Now().UTC(), room: statusSize * (1 + len(c.Instances)/instancesPerSize)},
		news:      true,
	}
}

func (w *statusWriter) close() {
	if w.file != nil {
		w.file.close()
	}
}

// checked takes in one check.
func (w *statusWriter) checked(o outcome) {
	said := ""
	if o.err != nil {
		said = oneLine(o.err)
	}
	w.news = w.news || said != w.data.LastError || o.found != w.found || w.data.Checks == 0
	w.found = o.found
	w.data.LastError = said
	w.data.LastDurationMS = float64(o.took.Microseconds()) / 1000
	w.data.Checks++
}

// verdict takes in a changed verdict, and until when the unit is held back.
func (w *statusWriter) verdict(v verdict, heldBack time.Time) {
	w.data.Verdict, w.data.Since, w.news = v.String(), time.Now().UTC(), true
	w.written = time.Time{} // verdicts do not wait
	w.heldBack(heldBack)
}

// heldBack takes in until when the unit is held back; zero: it is not.
func (w *statusWriter) heldBack(until time.Time) {
	if !until.IsZero() {
		until = until.UTC().Truncate(time.Second)
	}
	w.news = w.news || until != w.data.HeldBack
	w.data.HeldBack = until
}

// steppedAside counts.
func (w *statusWriter) steppedAside() {
	w.data.StepAsides++
	w.news = true
}

// hold takes in that the unit got or lost an instance's address.
func (w *statusWriter) hold(instance string, holder bool) {
	w.data.Holds = slices.DeleteFunc(w.data.Holds, func(n string) bool { return n == instance })
	if holder {
		w.data.Holds = append(w.data.Holds, instance)
	}
	w.news = true
}

// due is when write has something to do.
func (w *statusWriter) due() time.Time {
	if w.news || w.hears {
		return w.written.Add(statusInterval)
	}
	return w.written.Add(rereadInterval)
}

// write updates the status file when it is due. It returns the line for people
// if that has news, else nothing.
func (w *statusWriter) write(now time.Time, log *log.Logger) string {
	if now.Before(w.due()) {
		return ""
	}
	w.written, w.data.Written = now, now.UTC()
	if w.file != nil {
		err := w.file.write(w.data.text())
		if err != nil && w.data.room > statusSize {
			w.data.room = statusSize // on a full disk, for which the file has room
			err = w.file.write(w.data.text())
		}
		if err != nil && !w.broken {
			log.Printf("%s; trying again", err)
		}
		w.broken = err != nil
	}
	if !w.news {
		return ""
	}
	w.news = false
	return w.line()
}

// line says it all in one line, such as "tcp 127.0.0.1:443 ok, healthy, holder".
func (w *statusWriter) line() string {
	parts := []string{w.check}
	switch {
	case w.data.LastError != "":
		parts[0] += ": " + w.data.LastError
	case w.found != "":
		parts[0] += " ok (" + w.found + ")"
	case w.data.Checks > 0:
		parts[0] += " ok"
	}
	parts = append(parts, w.data.Verdict)
	if !w.data.HeldBack.IsZero() {
		parts = append(parts, "held back until "+w.data.HeldBack.Format(time.TimeOnly)+" UTC")
	}
	switch held := len(w.data.Holds); {
	case held == 0:
		parts = append(parts, "standby")
	case w.instances == 1:
		parts = append(parts, "holder")
	default:
		parts = append(parts, "holds "+strconv.Itoa(held)+" of "+strconv.Itoa(w.instances))
	}
	return strings.Join(parts, ", ")
}

// oneLine is an error's text without control characters, shortened.
func oneLine(err error) string {
	clean := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, err.Error())
	return shorten(clean, maxError)
}

// serviceManager tells systemd how the service is, sd_notify(3). Without systemd
// it does nothing.
type serviceManager struct {
	// watchdog is the time in which systemd wants a sign of life; zero: never.
	watchdog time.Duration
	next     time.Time
	// fd is a socket that is connected to systemd; zero before the first sign of life.
	fd int
}

func newServiceManager() serviceManager {
	// An unreadable setting is systemd's to report: it then sees no sign of life.
	watchdog, _ := daemon.SdWatchdogEnabled(false)
	return serviceManager{watchdog: watchdog}
}

// notify sends best effort: systemd notices by itself what does not come.
func (s *serviceManager) notify(state string) { _, _ = daemon.SdNotify(false, state) }

func (s *serviceManager) ready() { s.notify(daemon.SdNotifyReady) }

func (s *serviceManager) status(line string) { s.notify("STATUS=" + line) }

// alive gives the sign of life when half the time for it is over, and returns
// when to call it again (zero: never).
func (s *serviceManager) alive(now time.Time) time.Time {
	if s.watchdog <= 0 {
		return time.Time{}
	}
	if !now.Before(s.next) {
		s.watched()
		s.next = now.Add(s.watchdog / 2)
	}
	return s.next
}

// watched is the notification that is sent all the time.
func (s *serviceManager) watched() {
	if s.fd == 0 {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			s.notify(daemon.SdNotifyWatchdog)
			return
		}
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: os.Getenv("NOTIFY_SOCKET")}); err != nil {
			unix.Close(fd)
			s.notify(daemon.SdNotifyWatchdog)
			return
		}
		s.fd = fd
	}
	if _, errno := quickCall(unix.SYS_WRITE, s.fd, []byte(daemon.SdNotifyWatchdog)); errno != 0 {
		s.close() // systemd has a new one, or this one is full
		s.notify(daemon.SdNotifyWatchdog)
	}
}

func (s *serviceManager) close() {
	if s.fd != 0 {
		unix.Close(s.fd)
		s.fd = 0
	}
}
