package checker

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"keepalived-charm/internal/healthcheck"
	"keepalived-charm/internal/vrrp"
)

// rereadInterval is how often addresses and files are read in full, so that
// a lost event or a foreign hand heals.
const rereadInterval = 5 * time.Second

// track is one instance's track file with what it should say.
type track struct {
	healthcheck.Instance
	file *inPlaceFile
	// value is what was last written or found; broken tells that the last write
	// failed, which is logged once.
	value  int
	broken bool
}

func (l *loop) openFiles(owner identity) error {
	for _, i := range l.config.Instances {
		missing := 0
		if i.Aside != "" {
			missing = vrrp.StepAside
		}
		file, err := openInPlace(i.TrackFile, trackText(missing), owner)
		if err != nil {
			return err
		}
		l.tracks = append(l.tracks, track{Instance: i, file: file})
		text, err := file.read()
		if err != nil {
			return err
		}
		found := trackValue(text)
		l.tracks[len(l.tracks)-1].value = found
		l.election.members = append(l.election.members, member{found: found})
		for n, a := range i.Addresses {
			l.watched[a.String()] = n == 0
		}
	}
	var before Status
	if l.config.StatusFile != "" {
		file, err := openInPlace(l.config.StatusFile, l.status.data.text(), owner)
		if err != nil {
			return err
		}
		l.status.file = file
		text, err := file.read()
		if err != nil {
			return err
		}
		if json.Unmarshal([]byte(text), &before) != nil {
			before = Status{}
		}
	}
	l.before = before
	if l.config.News == "" {
		return nil
	}
	news, err := openNews(l.config.News, before, owner, l.log)
	if err != nil {
		// The election goes on without.
		l.log.Print(err)
		return nil
	}
	l.news = news
	return nil
}

// readHolders learns which instances' addresses are here.
func (l *loop) readHolders() {
	addresses, err := readAddresses()
	if err != nil {
		// What was known stays; the next event or re-read asks again.
		l.rereadAt = time.Now().Add(quickRetry)
		return
	}
	l.local = l.hint.applies(addresses)
	now := time.Now()
	l.hear(now)
	l.lacking.take(addresses.lack(l.tracks, l.config.Links), now, l.log)
	for i, t := range l.tracks {
		holder := addresses.holds(t.Instance)
		l.chronicle.hold(i, holder, slices.Contains(l.before.Holds, t.Name), now)
		if !l.election.hold(i, holder) {
			continue
		}
		l.status.hold(t.Name, holder)
		verb := "holds"
		if !holder {
			verb = "no longer holds"
		}
		l.log.Printf("instance %s %s %s", t.Name, verb, t.Addresses[0])
	}
}

// reread reads everything in full: what changed unseen is put right.
func (l *loop) reread(now time.Time) error {
	l.rereadAt = now.Add(rereadInterval)
	defer l.rereadSoon() // once it has learnt what is lacking
	if l.watch == nil {
		watch, err := watchAddresses()
		if err != nil {
			return err
		}
		l.watch = watch
	}
	l.readHolders()
	l.addressChanged()
	for i := range l.tracks {
		t := &l.tracks[i]
		if t.file.replaced() {
			return fmt.Errorf("cannot go on: %s was removed or replaced", t.file.path)
		}
		text, err := t.file.read()
		if err == nil && text == trackText(t.value) {
			continue
		}
		t.value = noValue
	}
	return nil
}

// noValue is what a track file that says anything else than it should counts as.
const noValue = vrrp.StepAside - 1

// apply brings files and status line up to date.
func (l *loop) apply(now time.Time) {
	for i := range l.tracks {
		t := &l.tracks[i]
		want := l.election.value(i)
		if t.value == want {
			continue
		}
		if err := t.file.write(trackText(want)); err != nil {
			if !t.broken {
				l.log.Printf("%s; trying again", err)
			}
			t.broken = true
			continue
		}
		t.value, t.broken = want, false
	}
	if strangers := l.chronicle.strangers(now); strangers != l.strangers {
		l.strangers = strangers
		l.status.written = time.Time{} // hooks are to find it
	}
	l.news.take(l.election.health.verdict, l.status.data.Holds, l.strangers, l.lacking.lasting())
	l.journal.write(l.chronicle.take())
	if port := l.scrapes.serving(); port != l.status.data.Metrics {
		l.status.data.Metrics, l.status.news = port, true
	}
	l.status.hears = l.chronicle.hears(now.Add(-rereadInterval))
	if !now.Before(l.status.due()) {
		l.status.data.Heard = l.chronicle.heard(now)
	}
	if line := l.status.write(now, l.log); line != "" {
		l.service.status(line)
	}
}
