package docdb_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/juju/mgo/v3"
	"github.com/juju/mgo/v3/bson"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watcher reads a change stream as Juju's does.
type watcher struct {
	db     *mgo.Database
	cursor int64
	token  bson.D
}

type streamReply struct {
	Cursor struct {
		ID                   int64    `bson:"id"`
		NextBatch            []bson.D `bson:"nextBatch"`
		PostBatchResumeToken bson.D   `bson:"postBatchResumeToken"`
	} `bson:"cursor"`
}

// watch opens a change stream that leaves out collection "ignored"; a token resumes another, and
// more stages follow.
func watch(t *testing.T, db *database, token bson.D, more ...any) *watcher {
	t.Helper()
	options := doc("fullDocument", "updateLookup")
	if token != nil {
		options = append(options, bson.DocElem{Name: "resumeAfter", Value: token})
	}
	match := doc("$or", list(doc("operationType", "insert"), doc("operationType", "update"), doc("operationType", "replace"), doc("operationType", "delete")),
		"ns.coll", doc("$not", doc("$in", list("ignored"))))
	var reply streamReply
	w := &watcher{db: db.client(t)}
	require.NoError(t, w.db.Run(doc("aggregate", 1, "pipeline", append(list(doc("$changeStream", options), doc("$match", match)), more...),
		"cursor", doc("batchSize", 10), "readConcern", doc("level", "majority")), &reply))
	w.cursor, w.token = reply.Cursor.ID, reply.Cursor.PostBatchResumeToken
	return w
}

// next reads a batch of no more than 10 events.
func (w *watcher) next(wait time.Duration) ([]bson.M, error) {
	var reply streamReply
	err := w.db.Run(doc("getMore", w.cursor, "collection", "$cmd.aggregate", "batchSize", 10, "maxTimeMS", wait.Milliseconds()), &reply)
	w.token = reply.Cursor.PostBatchResumeToken
	var events []bson.M
	for _, d := range reply.Cursor.NextBatch {
		events = append(events, d.Map())
	}
	return events, err
}

// all reads n events.
func (w *watcher) all(t *testing.T, n int) (events []bson.M) {
	t.Helper()
	for len(events) < n {
		batch, err := w.next(10 * time.Second)
		require.NoError(t, err)
		require.NotEmpty(t, batch, "after %d of %d events", len(events), n)
		assert.LessOrEqual(t, len(batch), 10)
		events = append(events, batch...)
	}
	return events
}

func TestEventsTellWhatHappened(t *testing.T) {
	db := startSound(t)
	w := watch(t, db, nil)
	c := db.client(t).C("c")
	require.NoError(t, db.client(t).C("ignored").Insert(doc("_id", 1)))
	require.NoError(t, db.session.DB("other").C("c").Insert(doc("_id", 1)))
	require.NoError(t, c.Insert(doc("_id", "a", "x", 1, "y", 1, "z", doc("k", 1, "l", 1))))
	require.NoError(t, c.UpdateId("a", doc("$set", doc("x", 2, "z.k", 2, "txn-revno", int64(3)), "$unset", doc("y", 1))))
	require.NoError(t, c.UpdateId("a", doc("$set", doc("x", 2))), "which changes nothing and is no event")
	require.NoError(t, c.UpdateId("a", doc("w", 1)))
	require.NoError(t, c.RemoveId("a"))
	events := w.all(t, 4)
	for i, want := range []struct {
		kind                string
		full, updated, gone any
	}{
		{"insert", doc("_id", "a", "x", 1, "y", 1, "z", doc("k", 1, "l", 1)), nil, nil},
		{"update", doc("_id", "a", "x", 2, "z", doc("k", 2, "l", 1), "txn-revno", int64(3)), doc("x", 2, "z.k", 2, "txn-revno", int64(3)), list("y")},
		{"replace", doc("_id", "a", "w", 1), nil, nil},
		{"delete", nil, nil, nil},
	} {
		e := events[i]
		assert.Equal(t, want.kind, e["operationType"], "event %d", i)
		assert.Equal(t, doc("db", "juju", "coll", "c"), e["ns"])
		assert.Equal(t, doc("_id", "a"), e["documentKey"])
		assert.NotNil(t, e["clusterTime"])
		assert.Nil(t, e["txnNumber"], "outside of transactions")
		assert.Equal(t, want.full, e["fullDocument"])
		if want.updated != nil {
			assert.Equal(t, doc("updatedFields", want.updated, "removedFields", want.gone), e["updateDescription"])
		}
	}
}

// TestEventsHaveTheFieldsThatAreAskedFor: Juju 3.6 asks for a part of each document
// (state/watcher/txnwatcher.go).
func TestEventsHaveTheFieldsThatAreAskedFor(t *testing.T) {
	db := startSound(t)
	w := watch(t, db, nil, doc("$project", doc("operationType", 1, "documentKey", 1, "txnNumber", 1, "fullDocument._id", 1, "fullDocument.txn-revno", 1)))
	c := db.client(t).C("c")
	require.NoError(t, c.Insert(doc("_id", "a", "x", 1, "txn-revno", int64(1))))
	require.NoError(t, c.RemoveId("a"))
	events := w.all(t, 2)
	for i, want := range []bson.M{
		{"operationType": "insert", "documentKey": doc("_id", "a"), "fullDocument": doc("_id", "a", "txn-revno", int64(1))},
		{"operationType": "delete", "documentKey": doc("_id", "a")},
	} {
		require.NotEmpty(t, events[i]["_id"], "the token to resume after it")
		delete(events[i], "_id")
		assert.Equal(t, want, events[i])
	}
}

func TestEventsOfATransactionComeWithItsCommit(t *testing.T) {
	db := startSound(t)
	w := watch(t, db, nil)
	client := db.client(t)
	begin(t, client)
	require.NoError(t, client.C("c").Insert(doc("_id", 2)))
	events, err := w.next(50 * time.Millisecond)
	require.NoError(t, err)
	assert.Empty(t, events, "before the commit")
	require.NoError(t, client.Session.CommitTransaction())
	for i, e := range w.all(t, 2) {
		assert.Equal(t, doc("_id", i+1), e["documentKey"], "in the order of the changes")
		assert.NotZero(t, e["txnNumber"])
		assert.NotNil(t, e["lsid"])
	}
	require.NoError(t, client.Session.StartTransaction())
	require.NoError(t, client.C("c").RemoveId(2))
	require.NoError(t, client.Session.AbortTransaction())
	events, err = w.next(50 * time.Millisecond)
	require.NoError(t, err)
	assert.Empty(t, events, "nothing of one that was aborted")
}

func TestAStreamMissesNothingOfManyWriters(t *testing.T) {
	const writers, rounds = 8, 40
	db := startSound(t)
	w := watch(t, db, nil)
	var all sync.WaitGroup
	for i := range writers {
		client := db.client(t)
		all.Go(func() {
			for round := range rounds {
				if i%2 == 0 {
					assert.NoError(t, client.Session.StartTransaction())
				}
				assert.NoError(t, client.C(fmt.Sprint("c", i)).Insert(doc("_id", 2*round)))
				assert.NoError(t, client.C(fmt.Sprint("c", i)).Insert(doc("_id", 2*round+1)))
				if i%2 == 0 {
					assert.NoError(t, client.Session.CommitTransaction())
				}
			}
		})
	}
	seen := map[any]int{}
	events := w.all(t, writers*rounds) // the first half
	resumed := watch(t, db, w.token)   // the second, on another stream
	events = append(events, resumed.all(t, 2*writers*rounds-len(events))...)
	all.Wait()
	for _, e := range events {
		coll := e["ns"].(bson.D)[1].Value
		assert.Equal(t, doc("_id", seen[coll]), e["documentKey"], "of %v, in order and once", coll)
		seen[coll]++
	}
	more, err := resumed.next(time.Millisecond)
	require.NoError(t, err)
	assert.Empty(t, more)
}

func TestGetMoreWaitsAsLongAsItIsTold(t *testing.T) {
	db := startSound(t)
	w := watch(t, db, nil)
	began := time.Now()
	events, err := w.next(100 * time.Millisecond)
	require.NoError(t, err)
	assert.Empty(t, events)
	assert.GreaterOrEqual(t, time.Since(began), 100*time.Millisecond)

	client := db.client(t)
	var writer sync.WaitGroup
	defer writer.Wait()
	writer.Go(func() {
		time.Sleep(20 * time.Millisecond)
		assert.NoError(t, client.C("c").Insert(doc("_id", 1)))
	})
	began = time.Now()
	assert.Len(t, w.all(t, 1), 1)
	assert.Less(t, time.Since(began), 5*time.Second, "an event ends the wait")
}

func TestAStreamThatLagsTooFarSaysSo(t *testing.T) {
	db := startSound(t)
	w := watch(t, db, nil)
	client := db.client(t)
	batch := make([]any, 1000)
	for i := range batch {
		batch[i] = doc("x", i)
	}
	for range 40 {
		require.NoError(t, client.C("c").Insert(batch...))
	}
	_, err := w.next(time.Second)
	require.Error(t, err)
	assert.Equal(t, 286, err.(*mgo.QueryError).Code, "ChangeStreamHistoryLost")
}

func TestAKilledCursorIsNotFound(t *testing.T) {
	db := startSound(t)
	w := watch(t, db, nil)
	require.NoError(t, w.db.Run(doc("killCursors", "$cmd.aggregate", "cursors", list(w.cursor)), nil))
	_, err := w.next(time.Second)
	require.Error(t, err)
	assert.Equal(t, 43, err.(*mgo.QueryError).Code, "CursorNotFound")
}
