package checker

import (
	"fmt"
	"log"
	"os"
	"slices"
	"strings"

	"keepalived-charm/internal/healthcheck"
)

// news leaves a file for the notifier, who brings the unit's status up to date. It
// keeps the directory open, as the path to it is closed to the checker's user.
type news struct {
	dir *os.Root
	log *log.Logger
	// told is the condition of which others know.
	told   condition
	broken bool // the last file could not be made
}

// condition is what the unit's status depends on and the checker knows.
type condition struct {
	verdict string
	holds   string
	// strangers are those that advertise the group's virtual router IDs.
	strangers string
	// lacks names the addresses that a holder has been without for a while.
	lacks string
}

// openNews opens the directory at path, makes it if need be and gives it to owner.
// before is what the checker that ran last said: that is no news.
func openNews(path string, before Status, owner identity, log *log.Logger) (*news, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the directory for news: %w", err)
	}
	if err := os.Lchown(path, owner.uid, owner.gid); err != nil {
		return nil, fmt.Errorf("cannot give %s to user %d: %w", path, owner.uid, err)
	}
	dir, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the directory for news: %w", err)
	}
	n := &news{dir: dir, log: log, told: condition{verdict: unknown.String()}}
	if before.Verdict != "" {
		n.told = condition{verdict: before.Verdict, holds: holdings(before.Holds)}
	}
	return n, nil
}

func (n *news) close() {
	if n != nil {
		n.dir.Close()
	}
}

// holdings names instances in an order of their own.
func holdings(instances []string) string {
	return strings.Join(slices.Sorted(slices.Values(instances)), " ")
}

// take tells others of a condition that differs from the one they know. No
// verdict yet is none that differs.
func (n *news) take(verdict verdict, holds []string, strangers, lacks string) {
	if n == nil {
		return
	}
	now := condition{verdict.String(), holdings(holds), strangers, lacks}
	if verdict == unknown {
		now.verdict = n.told.verdict
	}
	if now != n.told {
		n.told = now
		n.tell()
	}
}

// tell leaves the file; one that lies there says it already.
func (n *news) tell() {
	if n == nil {
		return
	}
	if _, err := n.dir.Lstat(healthcheck.Pending); err == nil {
		return // also one of the user that a checker of another revision became
	}
	f, err := n.dir.OpenFile(healthcheck.Pending, os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		f.Close()
	}
	if before := n.broken; err != nil && !before {
		n.log.Printf("cannot tell of news, the unit's status follows at the next hook: %v", err)
	}
	n.broken = err != nil
}
