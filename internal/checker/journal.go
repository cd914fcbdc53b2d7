package checker

import (
	"log"
	"path/filepath"
	"time"

	"keepalived-charm/internal/history"
)

// journal writes the history apart from the loop, which never waits for a disk:
// entries that the disk is too slow for are lost.
type journal struct {
	entries chan history.Entry
	done    chan struct{}
}

// openJournal opens the checker's file in the history's directory, as root; nil
// where that fails or nobody wants a history.
func openJournal(dir string, log *log.Logger) *journal {
	if dir == "" {
		return nil
	}
	ring, err := history.Open(filepath.Join(dir, history.CheckerFile))
	if err != nil {
		log.Printf("%v; moves are not noted", err)
		return nil
	}
	j := &journal{entries: make(chan history.Entry, 64), done: make(chan struct{})}
	go j.run(ring, log)
	return j
}

func (j *journal) run(ring *history.Ring, log *log.Logger) {
	defer close(j.done)
	defer ring.Close()
	broken := false
	for e := range j.entries {
		err := ring.Append(e)
		if err == nil {
			err = ring.Sync() // a move may be followed by a power cut
		}
		if err != nil && !broken {
			log.Printf("%v; moves are not noted", err)
		}
		broken = err != nil
	}
}

// write takes entries over.
func (j *journal) write(entries []history.Entry) {
	if j == nil {
		return
	}
	for _, e := range entries {
		select {
		case j.entries <- e:
		default:
		}
	}
}

// journalPatience is how long the end waits for the disk.
const journalPatience = 500 * time.Millisecond

func (j *journal) close() {
	if j == nil {
		return
	}
	close(j.entries)
	select {
	case <-j.done:
	case <-time.After(journalPatience):
	}
}
