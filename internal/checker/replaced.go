package checker

import (
	"errors"
	"os"
	"time"

	"keepalived-charm/internal/keepalived"
)

const (
	// replacedInterval parts two looks at keepalived.conf.
	replacedInterval = rereadInterval
	// replacedFor is how long the Python charm's keepalived.conf must be there: its hook
	// restarts keepalived right after it wrote the file, and what this charm has that
	// unit do before must still be there. Twice the longest hand-over, and some.
	replacedFor = 25 * time.Second
)

// ReplacedStatus is the exit status of a checker that found the Python charm in the place
// of this one. systemd does not start it again.
const ReplacedStatus = 77

// ErrReplaced is why a checker ends that found the Python charm in the place of this one:
// of that charm's hooks none knows the checker.
var ErrReplaced = errors.New("keepalived.conf is the Python charm's, which has replaced this one: has what this one left on the machine removed")

// replacement notices that the unit was refreshed to the Python charm.
type replacement struct {
	file  string
	at    time.Time // of the next look
	since time.Time // zero: this charm's keepalived.conf, or anybody's
}

// lookForReplacement looks at keepalived.conf when it is time to, and returns when to look
// again. One that nobody but root may read is not the Python charm's.
func (l *loop) lookForReplacement(now time.Time) (time.Time, error) {
	r := &l.replaced
	if now.Before(r.at) {
		return r.at, nil
	}
	r.at = now.Add(replacedInterval)
	text, err := os.ReadFile(r.file)
	switch {
	case err != nil || !keepalived.IsPython(string(text)):
		r.since = time.Time{}
	case r.since.IsZero():
		r.since = now
	case now.Sub(r.since) >= replacedFor:
		return r.at, ErrReplaced
	}
	return r.at, nil
}
