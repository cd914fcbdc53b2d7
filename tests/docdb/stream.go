package docdb

import (
	"fmt"
	"strconv"
	"time"

	"github.com/juju/mgo/v3/bson"
)

// eventLimit is how many events at least are kept for streams that lag behind or are resumed.
const eventLimit = 1 << 14

// event is a change as change streams tell of it.
type event struct {
	database string
	document bson.D
}

// eventLog keeps the last events, numbered from 1 in the order of their commits.
type eventLog struct {
	events []event
	next   int64         // number of the next event
	more   chan struct{} // closed when there is one
}

func newEventLog() eventLog { return eventLog{next: 1, more: make(chan struct{})} }

// first is the number of the oldest event that is kept.
func (l *eventLog) first() int64 { return l.next - int64(len(l.events)) }

// publish appends the events of changes that were committed together; t is nil for those
// outside of a transaction.
func (l *eventLog) publish(changes []change, t *transaction) {
	for _, c := range changes {
		l.events = append(l.events, event{c.collection.name.database, l.describe(c, t)})
		l.next++
	}
	if len(l.events) > 2*eventLimit {
		l.events = append([]event(nil), l.events[len(l.events)-eventLimit:]...)
	}
	if len(changes) > 0 {
		close(l.more)
		l.more = make(chan struct{})
	}
}

// describe is the document of the next event (MongoDB manual, "Change Events").
func (l *eventLog) describe(c change, t *transaction) bson.D {
	name := c.collection.name
	d := document(
		"_id", resumeToken(l.next),
		"clusterTime", bson.MongoTimestamp(time.Now().Unix()<<32|l.next&0xffffffff),
		"ns", document("db", name.database, "coll", name.collection))
	if t != nil {
		// Juju tells by the number that an update without txn-revno is no mistake.
		d = append(d, document("lsid", t.session, "txnNumber", t.number)...)
	}
	kind, version := "delete", c.before
	if c.after != nil {
		kind, version = "insert", c.after
		d = append(d, document("fullDocument", version.document)...)
	}
	if c.after != nil && c.before != nil {
		kind = "replace"
		if !c.replaced {
			kind = "update"
			updated, removed := difference(c.before.document, c.after.document, "")
			d = append(d, document("updateDescription", document("updatedFields", updated, "removedFields", removed))...)
		}
	}
	return append(d, document("operationType", kind, "documentKey", document("_id", first(version.document, "_id")))...)
}

// resumeToken stands for the event of that number.
func resumeToken(number int64) bson.D {
	return document("_data", fmt.Sprintf("%016x", number))
}

// stream is a change stream of a database: it reads events as they come.
type stream struct {
	database string
	matches  predicate
	project  func(bson.D) bson.D
	next     int64 // number of the event to read next
}

// openStream begins a stream with the next event, or after that of a resume token. Stages are
// those of a pipeline, the first of which is $changeStream. The caller has mu.
func (s *Server) openStream(database string, stages []bson.D) (*stream, error) {
	st := &stream{database: database, next: s.events.next}
	options, _ := stages[0][0].Value.(bson.D)
	if first(options, "fullDocument") != "updateLookup" {
		return nil, unsupported("fullDocument of $changeStream but", "updateLookup")
	}
	for _, e := range options {
		var err error
		switch e.Name {
		case "fullDocument":
		case "resumeAfter":
			st.next, err = s.events.after(e.Value)
		default:
			err = unsupported("option of $changeStream", e.Name)
		}
		if err != nil {
			return nil, err
		}
	}
	filter, fields := bson.D{}, bson.D{}
	for i, stage := range stages[1:] {
		spec, ok := stage[0].Value.(bson.D)
		switch {
		case ok && stage[0].Name == "$match":
			filter = append(filter, spec...)
		case ok && stage[0].Name == "$project" && len(spec) > 0 && i == len(stages)-2:
			fields = spec
		default:
			return nil, unsupported("stage of a change stream", stage[0].Name)
		}
	}
	if id, ok := get(fields, "_id"); ok && !isTrue(id) {
		return nil, badValue("an event of a change stream cannot be without _id, its resume token")
	}
	var err error
	if st.matches, err = compileFilter(filter); err != nil {
		return nil, err
	}
	if st.project, err = compileProjection(fields); err != nil {
		return nil, err
	}
	return st, st.lost(&s.events)
}

// after is the number of the event that follows that of a resume token.
func (l *eventLog) after(token any) (int64, error) {
	d, _ := token.(bson.D)
	text, _ := first(d, "_data").(string)
	number, err := strconv.ParseInt(text, 16, 64)
	if err != nil || number < 0 || number >= l.next {
		return 0, badValue("resumeAfter is no token of this server: %q", text)
	}
	return number + 1, nil
}

// lost is the error of a stream whose next event is no longer kept.
func (st *stream) lost(l *eventLog) error {
	if st.next < l.first() {
		return &fault{code: 286, name: "ChangeStreamHistoryLost", message: "the events after the resume token are no longer kept"}
	}
	return nil
}

// read moves over the events there are and returns those that match, no more than fit a batch.
func (st *stream) read(l *eventLog, size int) (batch, error) {
	var b batch
	if err := st.lost(l); err != nil {
		return b, err
	}
	for st.next < l.next && !b.full(size) {
		e := l.events[st.next-l.first()]
		st.next++
		if e.database == st.database && st.matches(e.document) {
			if err := b.add(st.project(e.document)); err != nil {
				return b, err
			}
		}
	}
	return b, nil
}
