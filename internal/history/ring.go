package history

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// slot is an entry's place in a file, in bytes. It divides a disk's sector, so
	// a power cut leaves an entry old or new.
	slot = 256
	// CheckerFile and CharmFile are the names of the two writers' files.
	CheckerFile, CharmFile = "checker", "charm"
	// Most is how many entries both files hold together.
	Most = checkerSlots + charmSlots

	checkerSlots, charmSlots = 800, 200
	// lockLimit is how long a writer waits for another.
	lockLimit = time.Second
)

// slots tells how many entries a file holds.
func slots(path string) int {
	if filepath.Base(path) == CheckerFile {
		return checkerSlots
	}
	return charmSlots
}

// Ring is a file of the journal, open for writing.
type Ring struct {
	file  *os.File
	slots int
	next  uint64 // number of the next entry
}

// record is an entry as it is written; its number tells its place in the order.
type record struct {
	Number uint64 `json:"n"`
	Entry
}

// Open opens a file of the journal for writing and makes it if need be, with all
// the room it will ever take if the file system can promise that. Only root may
// read it, or enter its directory and the one above, an application's; what lies above is made
// as others make it.
func Open(path string) (*Ring, error) {
	dir := filepath.Dir(path)
	err := os.MkdirAll(filepath.Dir(filepath.Dir(dir)), 0o755)
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the history: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the history: %w", err)
	}
	r := &Ring{file: file, slots: slots(path)}
	// Without the promise a full disk loses entries, and nothing else.
	_ = unix.Fallocate(int(file.Fd()), 0, 0, int64(r.slots*slot))
	r.find()
	return r, nil
}

// find learns which entry comes next.
func (r *Ring) find() {
	r.next = 1
	for _, old := range read(r.file, r.slots) {
		r.next = max(r.next, old.Number+1)
	}
}

// Close closes the file.
func (r *Ring) Close() error { return r.file.Close() }

// Append writes entries over the oldest ones, each shortened to its place. They reach
// the disk when the kernel thinks fit.
func (r *Ring) Append(entries ...Entry) error {
	for _, e := range entries {
		if err := r.put(record{r.next, e}); err != nil {
			return err
		}
		r.next++
	}
	return nil
}

// put writes a record to its place.
func (r *Ring) put(e record) error {
	if _, err := r.file.WriteAt(text(e), int64(e.Number%uint64(r.slots)*slot)); err != nil {
		return fmt.Errorf("cannot write the history: %w", err)
	}
	return nil
}

// Sync waits until what was written has reached the disk.
func (r *Ring) Sync() error {
	if err := unix.Fdatasync(int(r.file.Fd())); err != nil {
		return fmt.Errorf("cannot write the history: %w", err)
	}
	return nil
}

// text is a record of slot bytes: JSON, spaces, end of line.
func text(e record) []byte {
	e.Time, e.Last = e.Time.UTC().Truncate(time.Millisecond), e.Last.UTC().Truncate(time.Millisecond)
	for {
		data, err := json.Marshal(e)
		if err == nil && len(data) < slot {
			return append(append(data, bytes.Repeat([]byte(" "), slot-1-len(data))...), '\n')
		}
		// The cause is what may be long.
		said := strings.TrimSuffix(e.Cause, "…")
		e.Cause = strings.ToValidUTF8(said[:max(0, len(said)-max(4, len(said)/8))], "")
		if e.Cause == "" {
			e.Peer, e.Instance = "", ""
		} else {
			e.Cause += "…"
		}
	}
}

// Note adds one entry to a file that several processes write in turn, or counts it where
// it says the same once more. It waits for no disk: keepalived's start does for it.
func Note(path string, e Entry) error {
	r, err := Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	for deadline := time.Now().Add(lockLimit); ; time.Sleep(5 * time.Millisecond) {
		err := unix.Flock(int(r.file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("cannot lock the history: %w", err)
		}
	}
	r.find() // another may have written before the lock was ours
	records := read(r.file, r.slots)
	n := repeated(records, e)
	if n < 0 {
		return r.Append(e)
	}
	old := records[n]
	old.Again, old.Last = old.Again+1, e.Time
	return r.put(old)
}

// Repeated returns what an entry, if it were noted now, would say once more; false where that
// is nothing.
func Repeated(path string, e Entry) (Entry, bool) {
	file, err := os.Open(path)
	if err != nil {
		return Entry{}, false
	}
	defer file.Close()
	records := read(file, slots(path))
	n := repeated(records, e)
	if n < 0 {
		return Entry{}, false
	}
	return records[n].Entry, true
}

// Read returns the entries in a directory of the journal, oldest first.
func Read(dir string) ([]Entry, error) {
	var files [][]Entry
	for _, name := range []string{CheckerFile, CharmFile} {
		file, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read the history: %w", err)
		}
		var entries []Entry
		for _, e := range read(file, slots(name)) {
			entries = append(entries, e.Entry)
		}
		file.Close()
		files = append(files, entries)
	}
	return Merge(files...), nil
}

// read returns what a file holds in the order of writing. What is no entry, as after
// a power cut, is left out.
func read(file io.ReaderAt, slots int) []record {
	data := make([]byte, slots*slot)
	n, _ := file.ReadAt(data, 0) // a file that was cut short has what it has
	var found []record
	for at := 0; at+slot <= n; at += slot {
		var e record
		if json.Unmarshal(data[at:at+slot], &e) == nil && e.Number > 0 && e.Event != "" {
			found = append(found, e)
		}
	}
	slices.SortFunc(found, func(a, b record) int { return cmp.Compare(a.Number, b.Number) })
	return found
}
