package checker

import (
	"log"
	"time"

	"github.com/vishvananda/netlink"
)

// linkWatch tells when one of some network interfaces goes down or comes up, or
// appears or disappears. How it finds them at the start it does not tell.
type linkWatch struct {
	changes chan linkChange
	done    chan struct{}
	log     *log.Logger
}

// linkChange is an interface that went down or came up.
type linkChange struct {
	name string
	up   bool
}

// watchLinks watches until the watch is closed.
func watchLinks(names []string, log *log.Logger) *linkWatch {
	w := &linkWatch{changes: make(chan linkChange), done: make(chan struct{}), log: log}
	if len(names) > 0 {
		go w.run(names)
	}
	return w
}

func (w *linkWatch) close() { close(w.done) }

func (w *linkWatch) run(names []string) {
	up := map[string]bool{}
	for _, name := range names {
		up[name] = linkUp(name)
	}
	for {
		updates, stop := make(chan netlink.LinkUpdate, 16), make(chan struct{})
		// Subscribing takes no privilege; having it list what there is does.
		if err := netlink.LinkSubscribe(updates, stop); err != nil {
			w.log.Printf("cannot watch network interfaces, the unit's status follows at the next hook: %v", err)
			return
		}
		w.follow(updates, up)
		close(stop)
		select {
		case <-w.done:
			return
		case <-time.After(time.Second): // the kernel dropped events
		}
	}
}

// follow takes in changes until there are no more, first those before it began.
func (w *linkWatch) follow(updates <-chan netlink.LinkUpdate, up map[string]bool) {
	for {
		for name, was := range up {
			now := linkUp(name)
			if now == was {
				continue
			}
			up[name] = now
			select {
			case w.changes <- linkChange{name, now}:
			case <-w.done:
				return
			}
		}
		select {
		case <-w.done:
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
