package checker

import (
	"encoding/json"
	"fmt"
	"log"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/vishvananda/netlink"

	"keepalived-charm/internal/healthcheck"
)

// news leaves a file for the notifier, who brings the unit's status up to date. It
// keeps the directory open, as the path to it is closed to the checker's user.
type news struct {
	dir  *os.Root
	log  *log.Logger
	done chan struct{}
	// told is the condition of which others know.
	told   condition
	broken atomic.Bool // the last file could not be made
}

// condition is what the unit's status depends on and the checker knows.
type condition struct {
	verdict string
	holds   string
}

// openNews opens the directory at path, makes it if need be and gives it to owner.
// before is the text of the status file of the checker that ran last: what it said
// is no news.
func openNews(path string, before string, owner identity, log *log.Logger) (*news, error) {
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
	n := &news{dir: dir, log: log, done: make(chan struct{}), told: condition{verdict: unknown.String()}}
	var s Status
	if json.Unmarshal([]byte(before), &s) == nil && s.Verdict != "" {
		n.told = condition{s.Verdict, holdings(s.Holds)}
	}
	return n, nil
}

func (n *news) close() {
	if n != nil {
		close(n.done)
		n.dir.Close()
	}
}

// holdings names instances in an order of their own.
func holdings(instances []string) string {
	return strings.Join(slices.Sorted(slices.Values(instances)), " ")
}

// take tells others of a condition that differs from the one they know. No
// verdict yet is none that differs.
func (n *news) take(verdict verdict, holds []string) {
	if n == nil {
		return
	}
	now := condition{verdict.String(), holdings(holds)}
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
	f, err := n.dir.OpenFile(healthcheck.Pending, os.O_WRONLY|os.O_CREATE, 0o600)
	if err == nil {
		f.Close()
	}
	if before := n.broken.Swap(err != nil); err != nil && !before {
		n.log.Printf("cannot tell of news, the unit's status follows at the next hook: %v", err)
	}
}

// watchLinks tells when one of these network interfaces goes down or comes up, or
// appears or disappears, until the news are closed. How it finds them at the start
// is no news.
func (n *news) watchLinks(names []string) {
	if n == nil || len(names) == 0 {
		return
	}
	up := map[string]bool{}
	for _, name := range names {
		up[name] = linkUp(name)
	}
	for {
		updates, stop := make(chan netlink.LinkUpdate, 16), make(chan struct{})
		// Subscribing takes no privilege; having it list what there is does.
		if err := netlink.LinkSubscribe(updates, stop); err != nil {
			n.log.Printf("cannot watch network interfaces, the unit's status follows at the next hook: %v", err)
			return
		}
		n.follow(updates, up)
		close(stop)
		select {
		case <-n.done:
			return
		case <-time.After(time.Second): // the kernel dropped events
		}
	}
}

// follow takes in changes until there are no more, first those before it began.
func (n *news) follow(updates <-chan netlink.LinkUpdate, up map[string]bool) {
	for {
		for name, was := range up {
			if now := linkUp(name); now != was {
				up[name] = now
				n.tell()
			}
		}
		select {
		case <-n.done:
			return
		case _, ok := <-updates:
			if !ok {
				return
			}
		}
	}
}

// linkUp tells an interface that can carry traffic, as far as the kernel knows.
func linkUp(name string) bool {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return false
	}
	state := link.Attrs().OperState
	return state == netlink.OperUp || state == netlink.OperUnknown
}
