package checker

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// alarm rings once after a set time. It is a timerfd instead of a time.Timer
// because the loop wakes ten times a second: a Go timer wakes two threads twice
// each time (the poller waits whole milliseconds, and the monitor thread waits
// for the same timer), which would be most of the checker's load.
type alarm struct {
	file *os.File
	fd   int
	// rings has room for one ring; a second one before the first is heard is lost.
	rings chan struct{}
}

// newAlarm returns an alarm that is not set.
func newAlarm() (*alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("cannot make a timer: %w", err)
	}
	a := &alarm{file: os.NewFile(uintptr(fd), "timerfd"), fd: fd, rings: make(chan struct{}, 1)}
	raw, err := a.file.SyscallConn()
	if err != nil {
		a.file.Close()
		return nil, fmt.Errorf("cannot wait for a timer: %w", err)
	}
	go a.await(raw)
	return a, nil
}

// await passes on every ring until the alarm is closed.
func (a *alarm) await(raw syscall.RawConn) {
	var count uint64
	rang := func(fd uintptr) bool {
		_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&count)), unsafe.Sizeof(count))
		return errno != unix.EAGAIN
	}
	for raw.Read(rang) == nil {
		select {
		case a.rings <- struct{}{}:
		default:
		}
	}
}

// set makes the alarm ring after d, at once if d is not positive, and forgets
// what was set before.
func (a *alarm) set(d time.Duration) error {
	// Zero would disarm it.
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	if err := unix.TimerfdSettime(a.fd, 0, &spec, nil); err != nil {
		return fmt.Errorf("cannot set a timer: %w", err)
	}
	return nil
}

func (a *alarm) close() { a.file.Close() }
