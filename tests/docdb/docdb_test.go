package docdb_test

import (
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/juju/mgo/v3"
	"github.com/juju/mgo/v3/bson"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"keepalived-charm/tests/docdb"
	"keepalived-charm/tests/poll"
)

// database is a server with a client, and what the server reported.
type database struct {
	*docdb.Server
	session *mgo.Session
	mu      sync.Mutex
	reports []string
}

// start begins a server and a client of it, which end with the test.
func start(t *testing.T, config docdb.Config) *database {
	t.Helper()
	db := &database{}
	config.Report = func(err error) {
		db.mu.Lock()
		defer db.mu.Unlock()
		db.reports = append(db.reports, err.Error())
	}
	var err error
	db.Server, err = docdb.Start(config)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	db.session, err = mgo.DialWithInfo(&mgo.DialInfo{Addrs: []string{db.Addr().String()}, Direct: true, Timeout: 10 * time.Second})
	require.NoError(t, err)
	t.Cleanup(db.session.Close)
	return db
}

// startSound is start for clients that ask for nothing that is reported.
func startSound(t *testing.T) *database {
	t.Helper()
	db := start(t, docdb.Config{})
	t.Cleanup(func() { assert.Empty(t, db.reported()) })
	return db
}

// reported takes what was reported since it was called last.
func (db *database) reported() []string {
	db.mu.Lock()
	defer db.mu.Unlock()
	r := db.reports
	db.reports = nil
	return r
}

// client is a session of its own, with its own connection, on database "juju".
func (db *database) client(t *testing.T) *mgo.Database {
	s := db.session.Copy()
	t.Cleanup(s.Close)
	return s.DB("juju")
}

// doc makes a document of names and values by turns.
func doc(pairs ...any) bson.D {
	d := bson.D{}
	for i := 0; i < len(pairs); i += 2 {
		d = append(d, bson.DocElem{Name: pairs[i].(string), Value: pairs[i+1]})
	}
	return d
}

func list(items ...any) []any { return append([]any{}, items...) }

func TestJujuRecognisesTheServer(t *testing.T) {
	db := startSound(t)
	info, err := db.session.BuildInfo()
	require.NoError(t, err)
	assert.True(t, info.VersionAtLeast(4, 4), "a version with server-side transactions")
	assert.NoError(t, db.session.Ping())
	var master struct {
		IsMaster       bool `bson:"ismaster"`
		MaxWireVersion int  `bson:"maxWireVersion"`
	}
	require.NoError(t, db.session.Run("ismaster", &master))
	assert.True(t, master.IsMaster)
	assert.GreaterOrEqual(t, master.MaxWireVersion, 4, "a wire version with the find command")
}

func TestWhatIsUnknownIsNamedAndReported(t *testing.T) {
	c := "c"
	find := func(filter bson.D) bson.D { return doc("find", c, "filter", filter) }
	update := func(u bson.D) bson.D {
		return doc("update", c, "updates", list(doc("q", doc("_id", 1), "u", u)))
	}
	pipeline := func(stages ...any) bson.D { return doc("aggregate", c, "pipeline", stages, "cursor", doc()) }
	stream := func(target any, options bson.D, stages ...any) bson.D {
		return doc("aggregate", target, "pipeline", append(list(doc("$changeStream", options)), stages...))
	}
	lookup := doc("fullDocument", "updateLookup")
	for _, test := range []struct {
		claim   string
		command bson.D
		names   string
	}{
		{"a command", doc("mapReduce", c), "mapReduce"},
		{"an option of a command", doc("find", c, "collation", doc("locale", "de")), "collation"},
		{"an option of a command without any", doc("ping", 1, "loud", true), "loud"},
		{"an option of an update", doc("update", c, "updates", list(doc("q", doc(), "u", doc(), "arrayFilters", list()))), "arrayFilters"},
		{"an option of a delete", doc("delete", c, "deletes", list(doc("q", doc(), "limit", 1, "hint", "x"))), "hint"},
		{"an option of an index", doc("createIndexes", c, "indexes", list(doc("name", "x", "key", doc("x", 1), "partialFilterExpression", doc()))), "partialFilterExpression"},
		{"an operator of a field", find(doc("a", doc("$near", 1))), "$near"},
		{"an operator of a query", find(doc("$where", "1")), "$where"},
		{"an operator within others", find(doc("$or", list(doc("a", doc("$not", doc("$mod", 1)))))), "$mod"},
		{"a regular expression that Go does not know", find(doc("a", doc("$regex", "a(?=b)"))), "a(?=b)"},
		{"an option of a regular expression", find(doc("a", doc("$regex", "a", "$options", "x"))), "x"},
		{"a condition of another type", find(doc("a", doc("$in", 1))), "$in"},
		{"a projection by operator", doc("find", c, "projection", doc("a", doc("$slice", 1))), "a"},
		{"an order that is none", doc("find", c, "sort", doc("a", 2)), "a"},
		{"an operator of an update", update(doc("$rename", doc("a", "b"))), "$rename"},
		{"a modifier of $push", update(doc("$push", doc("a", doc("$each", list(1), "$slice", 1)))), "$slice"},
		{"a positional path", update(doc("$set", doc("a.$", 1))), "a.$"},
		{"a stage", pipeline(doc("$lookup", doc())), "$lookup"},
		{"an accumulator", pipeline(doc("$group", doc("_id", nil, "n", doc("$avg", "$a")))), "$avg"},
		{"an expression", pipeline(doc("$project", doc("n", doc("$concat", list())))), "$concat"},
		{"a path that is too long", pipeline(doc("$replaceRoot", doc("newRoot", "$a"+strings.Repeat(".a", 180)))), "$a.a.a"},
		{"a variable", pipeline(doc("$replaceRoot", doc("newRoot", "$$ROOT"))), "$$ROOT"},
		{"a change stream of one collection", stream(c, lookup), c},
		{"a change stream without documents", stream(1, doc()), "fullDocument"},
		{"an option of a change stream", stream(1, append(doc("startAtOperationTime", 1), lookup...)), "startAtOperationTime"},
		{"a stage of a change stream", stream(1, lookup, doc("$group", doc("_id", "$ns"))), "$group"},
		{"a projection of a change stream to nothing", stream(1, lookup, doc("$project", doc())), "$project"},
		{"a projection of a change stream by expression", stream(1, lookup, doc("$project", doc("n", "$ns"))), "n"},
		{"a projection of a change stream without tokens", stream(1, lookup, doc("$project", doc("_id", 0))), "_id"},
		{"a stage after the projection of a change stream", stream(1, lookup, doc("$project", doc("ns", 1)), doc("$match", doc("ns", 1))), "$project"},
		{"a resume token of somebody else", stream(1, append(doc("resumeAfter", doc("_data", "82")), lookup...)), "82"},
		{"count in a transaction", doc("count", c, "autocommit", false, "txnNumber", 1, "lsid", doc("id", 1)), "count"},
	} {
		t.Run(test.claim, func(t *testing.T) {
			db := start(t, docdb.Config{})
			require.NoError(t, db.session.DB("juju").C(c).Insert(doc("_id", 1, "a", list())))
			err := db.session.DB("juju").Run(test.command, nil)
			require.Error(t, err)
			assert.Contains(t, err.Error(), test.names)
			reports := db.reported()
			require.Len(t, reports, 1)
			assert.Contains(t, reports[0], test.names)
			assert.Contains(t, reports[0], "cannot run "+test.command[0].Name+" on juju.")
		})
	}
}

func TestUnknownOperatorsFailWithoutDocuments(t *testing.T) {
	db := start(t, docdb.Config{})
	_, err := db.client(t).C("none").Find(doc("a", doc("$near", 1))).Count()
	assert.ErrorContains(t, err, "$near")
	assert.Len(t, db.reported(), 1)
}

// docdbGoroutines counts those that are in this package's server.
func docdbGoroutines() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return strings.Count(string(stacks), "docdb.(*Server)")
}

func TestCloseEndsEveryGoroutineAndConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	db := start(t, docdb.Config{Listener: listener})
	assert.Equal(t, listener.Addr(), db.Addr(), "it listens where it was told")
	idle, err := net.Dial("tcp", db.Addr().String())
	require.NoError(t, err)
	defer idle.Close()

	holder, waiter, watcher := db.client(t), db.client(t), watch(t, db, nil)
	begin(t, holder)
	var clients sync.WaitGroup
	clients.Go(func() { assert.Error(t, waiter.C("c").Insert(doc("_id", 2)), "it waits for the transaction") })
	clients.Go(func() { _, err := watcher.next(time.Minute); assert.Error(t, err, "it waits for events") })
	time.Sleep(20 * time.Millisecond)

	require.NoError(t, db.Close())
	// One that told of its end may not have been scheduled since.
	poll.Until(t, func() bool { return docdbGoroutines() == 0 }, 10*time.Second, time.Millisecond)
	clients.Wait()
	require.NoError(t, idle.SetReadDeadline(time.Now().Add(5*time.Second)))
	_, err = idle.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "EOF")
	_, err = net.Dial("tcp", db.Addr().String())
	assert.Error(t, err, "nobody listens")
	assert.Empty(t, db.reported())
}
