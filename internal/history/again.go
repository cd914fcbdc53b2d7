package history

import "time"

// soon is how long after an entry the same still counts as it happening again; systemd
// gives keepalived 10 s to start.
const soon = 30 * time.Second

// repeated finds the record of what an entry says once more, negative when there is
// none: a daemon that ends whenever it has started, five times a second, would fill the
// file in seconds. Between the two nothing else may have happened.
func repeated(records []record, e Entry) int {
	for n := len(records) - 1; n >= 0 && circles(e) && circles(records[n].Entry); n-- {
		old := records[n].Entry
		if old.Event == e.Event && old.Cause == e.Cause && e.Time.Sub(old.Latest()).Abs() < soon {
			return n
		}
	}
	return -1
}

// circles tells an event that nobody asks for and that comes round by itself.
func circles(e Entry) bool { return e.Event == KeepalivedStarts || e.Event == KeepalivedEnded }
