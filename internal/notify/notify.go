// Package notify brings a unit's status up to date between hooks: it has Juju run
// the charm in the unit's context when the health checker or keepalived left news.
//
// systemd starts it through a path unit that waits for the files with the news.
// However often the virtual IP moves, there is at most one run, and one waiting;
// runs are Pause apart, and ever more where news never end. A run that fails, because
// the unit's agent has no controller, is tried again ever more rarely and then left to
// the next hook.
package notify

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"strings"
	"time"
)

const (
	// Settle is how long news may gather before a run: what belongs together, such
	// as a daemon that ended and its restart, is told together.
	Settle = 500 * time.Millisecond
	// Pause is the least time between two runs, and between the first failed run
	// and the second.
	Pause = 3500 * time.Millisecond
	// LongestPause bounds the pause after failed runs, each of which doubles it, and how
	// long one run is put off while news come.
	LongestPause = time.Minute
	// Prompt is how many runs in a row find news each time before the next is put off: a
	// fault and what follows from it are told as they happen, a daemon that ends
	// whenever it has started is not.
	Prompt = 4
	// Tries is how many runs in a row may fail: with the pauses some 7 minutes,
	// longer than Juju takes between two update-status hooks.
	Tries = 11
	// Limit is how long one run may take; mostly it waits for other hooks on the
	// machine to end.
	Limit = 2 * time.Minute
)

// Command is what Juju runs in the unit's context, in the charm's directory.
const Command = "./dispatch refresh"

// Clients are the programs that run a command in a unit's context: of Juju 3.0 and
// later, and of Juju 2.9.
func Clients() []string { return []string{"/usr/bin/juju-exec", "/usr/bin/juju-run"} }

// Notifier tells Juju of news.
type Notifier struct {
	// Unit is the unit's name.
	Unit string
	// Pending are the files that say that there are news.
	Pending []string
	// Clients are the programs to try, the first that exists is taken.
	Clients []string
	Log     *log.Logger
	// Sleep waits, false when ctx ended meanwhile; nil is the real clock.
	Sleep func(ctx context.Context, d time.Duration) bool
}

// Run tells Juju until there are no more news, ctx ends, or Tries runs in a row
// failed. What fails is logged and no error: the next hook makes it good.
func (n Notifier) Run(ctx context.Context) error {
	pause, failed := Pause, 0
	busy := 0 // runs in a row after which there were news
	for n.sleep(ctx, Settle) {
		// Before the run, which may not see what comes after it began.
		if err := n.forget(); err != nil {
			return err
		}
		err := n.refresh(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, exec.ErrNotFound):
			n.Log.Printf("%v; the status follows at the next hook", err)
			return nil
		case err == nil || errors.Is(err, context.DeadlineExceeded):
			// After Limit the agent has the command still in its queue.
			pause, failed = Pause, 0
		default:
			if failed++; failed == Tries {
				n.Log.Printf("%v; the status follows at the next hook", err)
				return nil
			}
			n.Log.Printf("%v; next try in %v", err, pause)
		}
		if !n.sleep(ctx, pause) || failed == 0 && !n.news() {
			return nil
		}
		if failed > 0 {
			pause = min(2*pause, LongestPause)
			continue
		}
		if busy++; busy >= Prompt {
			quiet, err := n.putOff(ctx, min(Pause<<min(busy-Prompt, 8), LongestPause))
			if err != nil {
				return err
			}
			if quiet {
				busy = 0
			}
		}
	}
	return nil
}

// putOff waits until no news have come for Pause, which it tells, or a limit is over.
// What came meanwhile is told by the run that follows.
func (n Notifier) putOff(ctx context.Context, limit time.Duration) (quiet bool, err error) {
	for waited := time.Duration(0); waited < limit; waited += Pause {
		if err := n.forget(); err != nil {
			return false, err
		}
		if !n.sleep(ctx, Pause) {
			return false, nil
		}
		if !n.news() {
			return true, nil
		}
	}
	return false, nil
}

func (n Notifier) sleep(ctx context.Context, d time.Duration) bool {
	if n.Sleep != nil {
		return n.Sleep(ctx, d)
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// news tells whether there are any.
func (n Notifier) news() bool {
	for _, file := range n.Pending {
		if _, err := os.Lstat(file); err == nil {
			return true
		}
	}
	return false
}

// forget removes the files with the news.
func (n Notifier) forget() error {
	for _, file := range n.Pending {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("cannot take in the news: %w", err)
		}
	}
	return nil
}

// refresh has Juju run Command. Whoever is interrupted leaves nothing behind but,
// at worst, a command that the agent still runs; it reads the state of then.
func (n Notifier) refresh(ctx context.Context) error {
	client := ""
	for _, c := range n.Clients {
		if _, err := os.Stat(c); err == nil {
			client = c
			break
		}
	}
	if client == "" {
		return fmt.Errorf("cannot refresh the status of %s: none of %s: %w", n.Unit, strings.Join(n.Clients, ", "), exec.ErrNotFound)
	}
	limited, cancel := context.WithTimeout(ctx, Limit)
	defer cancel()
	cmd := exec.CommandContext(limited, client, n.Unit, Command)
	cmd.WaitDelay = time.Second
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	if limited.Err() != nil {
		return limited.Err()
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return fmt.Errorf("cannot refresh the status of %s: %w: %s", n.Unit, err, lines[len(lines)-1])
}
