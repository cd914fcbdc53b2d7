package host

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"keepalived-charm/internal/history"
)

// A keepalived that ends as soon as it has started, as with a file that is no good, would
// be started three to five times a second for ever, with ten lines in the journal each:
// systemd before 254 has no RestartSteps=.
const (
	// promptStarts is how many in a row cost no time: one that crashed is back at once.
	promptStarts = 8
	firstHoldUp  = 250 * time.Millisecond
	// longestHoldUp leaves a preparation time within TimeoutStartSec, which each command
	// has for itself (systemd.service(5)).
	longestHoldUp = 8 * time.Second
	// askRestarts bounds the question to systemd.
	askRestarts = time.Second
)

// pauseAfter tells how long after the last one a start comes that follows so many in a row.
func pauseAfter(row int) time.Duration {
	pause := time.Duration(0)
	for n := promptStarts; n < row && pause < longestHoldUp; n++ {
		pause = max(firstHoldUp, 2*pause)
	}
	return min(pause, longestHoldUp)
}

// holdUp waits before a start that repeats others, each of which came soon after the one
// before.
func (h *Host) holdUp(journal string, began history.Event) {
	now := time.Now()
	last, again := history.Repeated(h.path(journal, history.CharmFile), history.Entry{Time: now, Event: began})
	if !again {
		return
	}
	time.Sleep(h.patienceAfter(last, now))
}

// patienceAfter tells how long a start still waits for others in a row before it. Those count
// that systemd made by itself since somebody asked for one, as a hook does that mended the
// files.
func (h *Host) patienceAfter(last history.Entry, now time.Time) time.Duration {
	row := last.Again + 1
	if pauseAfter(row) == 0 {
		return 0
	}
	said, err := h.runFor(askRestarts, "", "systemctl", "show", "--property=NRestarts", "--value", keepalivedService)
	restarts, noNumber := strconv.Atoi(strings.TrimSpace(said))
	if err != nil || noNumber != nil {
		return 0
	}
	row = min(row, restarts)
	pause := pauseAfter(row)
	left := min(pause, last.Latest().Add(pause).Sub(now)) // whatever became of the clock
	if left > 0 && pause < longestHoldUp {
		fmt.Fprintf(os.Stderr, "keepalived has ended %d times in a row: waits %v\n", row, left.Round(10*time.Millisecond))
	}
	return max(0, left)
}
