package docdb_test

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/juju/mgo/v3"
	"github.com/juju/mgo/v3/bson"
	"github.com/juju/mgo/v3/sstxn"
	"github.com/juju/mgo/v3/txn"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/docdb"
)

// begin begins a transaction that inserts {_id: 1} into c.
func begin(t *testing.T, client *mgo.Database) {
	t.Helper()
	require.NoError(t, client.Session.StartTransaction())
	require.NoError(t, client.C("c").Insert(doc("_id", 1)))
}

// ids are the _id of all documents of c, in their order.
func ids(t *testing.T, client *mgo.Database) []any {
	t.Helper()
	var documents []bson.D
	require.NoError(t, client.C("c").Find(nil).All(&documents))
	all := list()
	for _, d := range documents {
		all = append(all, d[0].Value)
	}
	return all
}

func TestTransactionsOfManyClientsLoseNothing(t *testing.T) {
	const clients, rounds = 20, 20
	db := startSound(t)
	require.NoError(t, db.client(t).C("c").Insert(doc("_id", "sum", "n", 0)))
	var all sync.WaitGroup
	for i := range clients {
		client := db.client(t)
		all.Go(func() {
			runner := sstxn.NewRunner(client, nil)
			for round := range rounds {
				err := runner.Run([]txn.Op{
					{C: "c", Id: "sum", Assert: txn.DocExists, Update: doc("$inc", doc("n", 1))},
					{C: "c", Id: fmt.Sprint(i, "-", round), Assert: txn.DocMissing, Insert: doc("client", i)},
				}, "", nil)
				assert.NoError(t, err)
			}
		})
	}
	all.Wait()
	var sum struct {
		N     int
		Revno int64 `bson:"txn-revno"`
	}
	require.NoError(t, db.client(t).C("c").FindId("sum").One(&sum))
	assert.Equal(t, clients*rounds, sum.N)
	assert.Equal(t, int64(clients*rounds), sum.Revno)
	assert.Len(t, ids(t, db.client(t)), 1+clients*rounds)
}

// TestATransactionReadsOnWithItsOwnNumber: mgo says so since 3.0.5, which Juju 3.6 has.
func TestATransactionReadsOnWithItsOwnNumber(t *testing.T) {
	db := startSound(t)
	client := db.client(t)
	require.NoError(t, client.C("c").Insert(doc("_id", 1), doc("_id", 2), doc("_id", 3)))
	session := doc("id", bson.Binary{Kind: 4, Data: make([]byte, 16)})
	within := func(command bson.D) bson.D {
		return append(command, doc("lsid", session, "txnNumber", int64(1), "autocommit", false)...)
	}
	var found struct {
		Cursor struct {
			ID         int64    `bson:"id"`
			FirstBatch []bson.D `bson:"firstBatch"`
			NextBatch  []bson.D `bson:"nextBatch"`
		} `bson:"cursor"`
	}
	require.NoError(t, client.Run(within(doc("find", "c", "batchSize", 2, "startTransaction", true)), &found))
	require.Len(t, found.Cursor.FirstBatch, 2)
	more := within(doc("getMore", found.Cursor.ID, "collection", "c"))
	require.NoError(t, client.Run(more, &found))
	assert.Equal(t, []bson.D{doc("_id", 3)}, found.Cursor.NextBatch)
	assert.Zero(t, found.Cursor.ID, "that was all")
	require.NoError(t, client.Session.DB("admin").Run(within(doc("commitTransaction", 1)), nil))
	err := client.Run(more, nil)
	require.Error(t, err)
	assert.Equal(t, 251, err.(*mgo.QueryError).Code, "NoSuchTransaction")
}

func TestReadersSeeTransactionsWholeOrNotAtAll(t *testing.T) {
	db := startSound(t)
	done := make(chan struct{})
	writer := db.client(t)
	go func() {
		defer close(done)
		for range 50 {
			assert.NoError(t, writer.Session.StartTransaction())
			assert.NoError(t, writer.C("c").Insert(doc("x", 1)))
			assert.NoError(t, writer.C("c").Insert(doc("x", 2)))
			assert.NoError(t, writer.Session.CommitTransaction())
		}
	}()
	for reader := db.client(t); ; {
		n, err := reader.C("c").Count()
		require.NoError(t, err)
		assert.Zero(t, n%2)
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestAbortRestoresEverything(t *testing.T) {
	db := startSound(t)
	client := db.client(t)
	c := client.C("c")
	require.NoError(t, c.EnsureIndex(mgo.Index{Key: []string{"name"}, Unique: true, Sparse: true}))
	for i := range 5 {
		require.NoError(t, c.Insert(doc("_id", i, "name", fmt.Sprint(i))))
	}
	begin := func() {
		require.NoError(t, client.Session.StartTransaction())
		require.NoError(t, c.RemoveId(2))
		require.NoError(t, c.RemoveId(1))
		require.NoError(t, c.RemoveId(3))
		require.NoError(t, c.UpdateId(0, doc("$set", doc("name", "3"))))
		require.NoError(t, c.UpdateId(0, doc("$unset", doc("name", 1))))
		require.NoError(t, c.Insert(doc("_id", 1, "name", "1", "again", true)))
		require.NoError(t, c.Insert(doc("_id", 9)))
	}
	for _, test := range []struct {
		claim string
		end   func(t *testing.T)
	}{
		{"by the client", func(t *testing.T) { require.NoError(t, client.Session.AbortTransaction()) }},
		{"by a duplicate key", func(t *testing.T) {
			assert.True(t, mgo.IsDup(c.Insert(doc("_id", 4))))
			assert.True(t, mgo.IsTxnAborted(c.Insert(doc("_id", 10))), "nothing more is done in it")
			assert.NoError(t, client.Session.AbortTransaction())
		}},
	} {
		t.Run(test.claim, func(t *testing.T) {
			begin()
			test.end(t)
			var documents []bson.M
			require.NoError(t, c.Find(nil).All(&documents))
			var want []bson.M
			for i := range 5 {
				want = append(want, bson.M{"_id": i, "name": fmt.Sprint(i)})
			}
			assert.Equal(t, want, documents, "documents and their order")
			for i := range 5 {
				assert.True(t, mgo.IsDup(c.Insert(doc("_id", 20+i, "name", fmt.Sprint(i)))), "keys of indexes")
			}
		})
	}
}

func TestAFailedAssertionAborts(t *testing.T) {
	db := startSound(t)
	client := db.client(t)
	runner := sstxn.NewRunner(client, nil)
	require.NoError(t, client.C("c").Insert(doc("_id", 1, "life", 0)))
	err := runner.Run([]txn.Op{
		{C: "c", Id: 2, Assert: txn.DocMissing, Insert: doc()},
		{C: "c", Id: 1, Assert: doc("life", doc("$ne", 0))},
	}, "", nil)
	assert.ErrorIs(t, err, txn.ErrAborted)
	assert.Equal(t, list(1), ids(t, client))
}

func TestCommitOfWhatWasNeverBegunFails(t *testing.T) {
	db := startSound(t)
	err := db.client(t).Session.Run(doc("commitTransaction", 1, "autocommit", false, "txnNumber", 1, "lsid", doc("id", "x")), nil)
	assert.True(t, mgo.IsTxnAborted(err), "%v", err)
}

func TestASessionThatBeginsAnewAbortsItsTransaction(t *testing.T) {
	db := startSound(t)
	client := db.client(t)
	insert := func(number, id int, start bool) error {
		cmd := doc("insert", "c", "documents", list(doc("_id", id)), "autocommit", false, "txnNumber", number, "lsid", doc("id", "x"))
		if start {
			cmd = append(cmd, bson.DocElem{Name: "startTransaction", Value: true})
		}
		return client.Run(cmd, nil)
	}
	require.NoError(t, insert(1, 1, true))
	require.NoError(t, insert(2, 2, true))
	assert.True(t, mgo.IsTxnAborted(insert(1, 3, false)), "the first is over")
	assert.NoError(t, client.Run(doc("commitTransaction", 1, "autocommit", false, "txnNumber", 2, "lsid", doc("id", "x")), nil))
	assert.Equal(t, list(2), ids(t, client))
}

func TestAClientThatDisconnectsAbortsItsTransaction(t *testing.T) {
	db := startSound(t)
	var conns []net.Conn
	leaving, err := mgo.DialWithInfo(&mgo.DialInfo{Addrs: []string{db.Addr().String()}, Direct: true, Timeout: 10 * time.Second,
		DialServer: func(a *mgo.ServerAddr) (net.Conn, error) {
			conn, err := net.Dial("tcp", a.String())
			conns = append(conns, conn)
			return conn, err
		}})
	require.NoError(t, err)
	defer leaving.Close()
	begin(t, leaving.DB("juju"))
	for _, conn := range conns {
		require.NoError(t, conn.Close())
	}
	began := time.Now()
	assert.Empty(t, ids(t, db.client(t)))
	assert.Less(t, time.Since(began), 5*time.Second)
}

func TestATransactionThatIsNotEndedIsAborted(t *testing.T) {
	db := start(t, docdb.Config{TransactionLifetime: 100 * time.Millisecond})
	holder := db.client(t)
	begin(t, holder)
	assert.Empty(t, ids(t, db.client(t)), "others wait until it was aborted")
	reports := db.reported()
	require.Len(t, reports, 1)
	assert.Contains(t, reports[0], "not ended within 100ms")
	assert.True(t, mgo.IsTxnAborted(holder.C("c").Insert(doc("_id", 2))))
}
