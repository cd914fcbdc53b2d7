package docdb_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/juju/mgo/v3"
	"github.com/juju/mgo/v3/bson"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestQueryOperators(t *testing.T) {
	db := startSound(t)
	c := db.client(t).C("c")
	now := time.Now().Truncate(time.Millisecond)
	for _, d := range []bson.D{
		doc("_id", 1, "n", 1, "s", "apple", "l", list(1, 2), "d", doc("x", 1, "y", 2), "t", now),
		doc("_id", 2, "n", int64(2), "s", "Banana\nsplit", "l", list(2, 3, 4), "b", true),
		doc("_id", 3, "n", 3.5, "l", list(doc("k", "a", "v", 1), doc("k", "b", "v", 2)), "null", nil, "t", now.Add(time.Second)),
		doc("_id", 4, "s", "cherry", "l", list(), "bin", []byte{1, 2}),
	} {
		require.NoError(t, c.Insert(d))
	}
	for _, test := range []struct {
		claim string
		query any
		want  []any
	}{
		{"no query finds all, in order of insertion", nil, list(1, 2, 3, 4)},
		{"a value equals", doc("s", "apple"), list(1)},
		{"numbers equal across types", doc("n", 2.0), list(2)},
		{"an item of an array equals", doc("l", 2), list(1, 2)},
		{"an array equals as a whole", doc("l", list(2, 3, 4)), list(2)},
		{"a document equals with the order of its fields", doc("d", doc("x", 1, "y", 2)), list(1)},
		{"a document in another order does not", doc("d", doc("y", 2, "x", 1)), list()},
		{"null equals what is null or not there", doc("null", nil), list(1, 2, 3, 4)},
		{"a binary equals", doc("bin", []byte{1, 2}), list(4)},
		{"a bool equals", doc("b", true), list(2)},
		{"a path reaches into documents", doc("d.y", 2), list(1)},
		{"a path reaches into the documents of arrays", doc("l.k", "b"), list(3)},
		{"a path reaches an item by its index", doc("l.0", 2), list(2)},
		{"_id", doc("_id", 3), list(3)},
		{"_id and something else", doc("_id", 3, "n", 1), list()},
		{"_id $in, in the order of _id", doc("_id", doc("$in", list(3, 1, 9, 3))), list(1, 3)},
		{"_id by an order", doc("_id", doc("$gt", 2)), list(3, 4)},
		{"a regular expression", doc("s", bson.RegEx{Pattern: "^b", Options: "i"}), list(2)},
		{"$regex", doc("s", doc("$regex", "^a")), list(1)},
		{"$regex with $options", doc("s", doc("$regex", "^S", "$options", "im")), list(2)},
		{"$regex with . for newlines", doc("s", doc("$regex", bson.RegEx{Pattern: "a.s", Options: "s"})), list(2)},
		{"$eq", doc("s", doc("$eq", "cherry")), list(4)},
		{"$ne holds for what is not there", doc("s", doc("$ne", "apple")), list(2, 3, 4)},
		{"$ne of an item", doc("l", doc("$ne", 2)), list(3, 4)},
		{"$gt", doc("n", doc("$gt", 2)), list(3)},
		{"$gte", doc("n", doc("$gte", 2)), list(2, 3)},
		{"$lt", doc("n", doc("$lt", 2)), list(1)},
		{"$lte and $gt", doc("n", doc("$lte", 3.5, "$gt", 1)), list(2, 3)},
		{"order of times", doc("t", doc("$gt", now)), list(3)},
		{"order compares values of a type only", doc("s", doc("$gt", 0)), list()},
		{"$in", doc("s", doc("$in", list("apple", bson.RegEx{Pattern: "^c"}))), list(1, 4)},
		{"$in of nothing", doc("s", doc("$in", list())), list()},
		{"$in with null finds what is not there", doc("s", doc("$in", list(nil))), list(3)},
		{"$nin", doc("s", doc("$nin", list("apple", "cherry"))), list(2, 3)},
		{"$exists", doc("null", doc("$exists", true)), list(3)},
		{"$exists not", doc("s", doc("$exists", 0)), list(3)},
		{"$exists by index", doc("l.0", doc("$exists", 1)), list(1, 2, 3)},
		{"$not of operators", doc("n", doc("$not", doc("$gt", 1))), list(1, 4)},
		{"$not of a regular expression", doc("s", doc("$not", bson.RegEx{Pattern: "^a"})), list(2, 3, 4)},
		{"$size", doc("l", doc("$size", 2)), list(1, 3)},
		{"$size of nothing", doc("l", doc("$size", 0)), list(4)},
		{"$all", doc("l", doc("$all", list(2, 3))), list(2)},
		{"$elemMatch of documents matches one as a whole", doc("l", doc("$elemMatch", doc("k", "a", "v", 2))), list()},
		{"$elemMatch of documents", doc("l", doc("$elemMatch", doc("k", "b", "v", 2))), list(3)},
		{"$elemMatch of values", doc("l", doc("$elemMatch", doc("$gt", 2, "$lt", 4))), list(2)},
		{"$elemMatch $nin within $not", doc("l", doc("$not", doc("$elemMatch", doc("$nin", list(1, 2))))), list(1, 4)},
		{"$or", doc("$or", list(doc("_id", 4), doc("n", 1))), list(1, 4)},
		{"$and", doc("$and", list(doc("l", 2), doc("n", doc("$gt", 1)))), list(2)},
		{"all fields of a query hold", doc("l", 2, "n", 1), list(1)},
	} {
		t.Run(test.claim, func(t *testing.T) {
			var documents []struct {
				ID int `bson:"_id"`
			}
			require.NoError(t, c.Find(test.query).All(&documents))
			found := list()
			for _, d := range documents {
				found = append(found, d.ID)
			}
			assert.Equal(t, test.want, found)
			n, err := c.Find(test.query).Count()
			require.NoError(t, err)
			assert.Equal(t, len(found), n)
		})
	}
}

func TestUpdateOperators(t *testing.T) {
	oid := bson.NewObjectId()
	before := func() bson.D { return doc("n", 1, "d", doc("x", 1), "l", list(1, 2)) }
	for _, test := range []struct {
		claim  string
		update bson.D
		want   bson.D // but _id
		fails  string
	}{
		{claim: "$set of a field", update: doc("$set", doc("n", 2)), want: doc("n", 2, "d", doc("x", 1), "l", list(1, 2))},
		{claim: "$set within documents", update: doc("$set", doc("d.y.z", "new")), want: doc("n", 1, "d", doc("x", 1, "y", doc("z", "new")), "l", list(1, 2))},
		{claim: "$set of an item", update: doc("$set", doc("l.1", oid)), want: doc("n", 1, "d", doc("x", 1), "l", list(1, oid))},
		{claim: "$set within what is no document", update: doc("$set", doc("n.x", 1)), fails: "cannot create field x"},
		{claim: "$unset", update: doc("$unset", doc("n", 1, "d.x", 1, "none.x", 1)), want: doc("d", doc(), "l", list(1, 2))},
		{claim: "$unset of an item leaves null", update: doc("$unset", doc("l.0", 1)), want: doc("n", 1, "d", doc("x", 1), "l", list(nil, 2))},
		{claim: "$inc", update: doc("$inc", doc("n", -3, "m", 2)), want: doc("n", -2, "d", doc("x", 1), "l", list(1, 2), "m", 2)},
		{claim: "$inc widens", update: doc("$inc", doc("n", int64(1), "d.x", 0.5)), want: doc("n", int64(2), "d", doc("x", 1.5), "l", list(1, 2))},
		{claim: "$set of a number of another type", update: doc("$set", doc("n", int64(1))), want: doc("n", int64(1), "d", doc("x", 1), "l", list(1, 2))},
		{claim: "$push", update: doc("$push", doc("l", 2, "k", "a")), want: doc("n", 1, "d", doc("x", 1), "l", list(1, 2, 2), "k", list("a"))},
		{claim: "$push $each", update: doc("$push", doc("l", doc("$each", list(3, 4)))), want: doc("n", 1, "d", doc("x", 1), "l", list(1, 2, 3, 4))},
		{claim: "$push of a document", update: doc("$push", doc("l", doc("a", 1))), want: doc("n", 1, "d", doc("x", 1), "l", list(1, 2, doc("a", 1)))},
		{claim: "$addToSet", update: doc("$addToSet", doc("l", 2.0)), want: before()},
		{claim: "$addToSet $each", update: doc("$addToSet", doc("l", doc("$each", list(2, 3, 3)))), want: doc("n", 1, "d", doc("x", 1), "l", list(1, 2, 3))},
		{claim: "$pull of a value", update: doc("$pull", doc("l", 1, "none", 1)), want: doc("n", 1, "d", doc("x", 1), "l", list(2))},
		{claim: "$pull by operators", update: doc("$pull", doc("l", doc("$in", list(2, 1)))), want: doc("n", 1, "d", doc("x", 1), "l", list())},
		{claim: "several operators", update: doc("$set", doc("n", 5), "$unset", doc("d", 1), "$push", doc("l", 3)), want: doc("n", 5, "l", list(1, 2, 3))},
		{claim: "a document replaces all", update: doc("only", 1), want: doc("only", 1)},
		{claim: "_id cannot be set", update: doc("$set", doc("_id", 2)), fails: "_id"},
		{claim: "_id cannot be replaced", update: doc("_id", 2), fails: "_id"},
	} {
		t.Run(test.claim, func(t *testing.T) {
			db := startSound(t)
			c := db.client(t).C("c")
			require.NoError(t, c.Insert(append(doc("_id", 1), before()...)))
			err := c.UpdateId(1, test.update)
			if test.fails != "" {
				assert.ErrorContains(t, err, test.fails)
				test.want = before()
			} else {
				require.NoError(t, err)
			}
			var after bson.D
			require.NoError(t, c.FindId(1).One(&after))
			assert.Equal(t, test.want, after[1:])
		})
	}
}

func TestNumbersKeepTheirTypeThroughTheDatabase(t *testing.T) {
	db := startSound(t)
	c := db.client(t).C("c")
	want := bson.D{{Name: "_id", Value: bson.NewObjectId()}, {Name: "int", Value: 1}, {Name: "long", Value: int64(1)}, {Name: "big", Value: int64(1) << 62},
		{Name: "double", Value: 1.0}, {Name: "bin", Value: []byte("x")}, {Name: "uuid", Value: bson.Binary{Kind: 4, Data: []byte("0123456789abcdef")}},
		{Name: "re", Value: bson.RegEx{Pattern: "a", Options: "i"}}, {Name: "ts", Value: bson.MongoTimestamp(7)}, {Name: "null", Value: nil}}
	require.NoError(t, c.Insert(want))
	var got bson.D
	require.NoError(t, c.Find(nil).One(&got))
	assert.Equal(t, want, got)
}

func TestUpdatesTellWhatTheyDid(t *testing.T) {
	db := startSound(t)
	c := db.client(t).C("c")
	for i := range 4 {
		require.NoError(t, c.Insert(doc("_id", i, "even", i%2 == 0, "n", i)))
	}
	info, err := c.UpdateAll(doc("even", true), doc("$set", doc("n", 0)))
	require.NoError(t, err)
	assert.Equal(t, &mgo.ChangeInfo{Updated: 1, Matched: 2}, info, "one of two had it already")
	assert.Equal(t, mgo.ErrNotFound, c.UpdateId(9, doc("$set", doc("n", 1))))
	info, err = c.Upsert(doc("_id", 9, "n", doc("$gt", 1), "d.x", doc("$eq", 3)), doc("$inc", doc("count", 1)))
	require.NoError(t, err)
	assert.Equal(t, 9, info.UpsertedId)
	var d bson.D
	require.NoError(t, c.FindId(9).One(&d))
	assert.Equal(t, doc("_id", 9, "d", doc("x", 3), "count", 1), d)
	info, err = c.RemoveAll(doc("even", false))
	require.NoError(t, err)
	assert.Equal(t, 2, info.Removed)
	assert.Equal(t, mgo.ErrNotFound, c.RemoveId(1))
	assert.Equal(t, list(0, 2, 9), ids(t, db.client(t)))

	bulk := c.Bulk()
	bulk.Unordered()
	bulk.Insert(doc("_id", 20), doc("_id", 0), doc("_id", 21))
	_, err = bulk.Run()
	assert.True(t, mgo.IsDup(err), "%v", err)
	assert.Equal(t, list(0, 2, 9, 20, 21), ids(t, db.client(t)), "unordered goes on")
	assert.True(t, mgo.IsDup(c.Insert(doc("_id", 30), doc("_id", 0), doc("_id", 31))))
	assert.Equal(t, list(0, 2, 9, 20, 21, 30), ids(t, db.client(t)), "ordered ends at the first error")
}

func TestFindAndModify(t *testing.T) {
	db := startSound(t)
	c := db.client(t).C("sequence")
	for want := 1; want < 4; want++ {
		var d struct{ Counter int }
		_, err := c.FindId("unit").Apply(mgo.Change{Update: doc("$inc", doc("counter", 1)), Upsert: true, ReturnNew: true}, &d)
		require.NoError(t, err)
		assert.Equal(t, want, d.Counter)
	}
	for i := range 3 {
		require.NoError(t, c.Insert(doc("_id", i, "n", -i, "x", 1)))
	}
	var d bson.D
	info, err := c.Find(doc("x", 1)).Sort("n").Select(doc("n", 1)).Apply(mgo.Change{Update: doc("$set", doc("n", 5))}, &d)
	require.NoError(t, err)
	assert.Equal(t, 1, info.Updated)
	assert.Equal(t, doc("_id", 2, "n", -2), d, "the first in that order, as it was")
	info, err = c.Find(doc("x", 1)).Sort("-n").Apply(mgo.Change{Remove: true}, &d)
	require.NoError(t, err)
	assert.Equal(t, 1, info.Removed)
	assert.Equal(t, doc("_id", 2, "n", 5, "x", 1), d)
	_, err = c.FindId("none").Apply(mgo.Change{Update: doc("$set", doc("n", 5))}, &d)
	assert.Equal(t, mgo.ErrNotFound, err)
}

func TestResultsAreOrderedLimitedAndProjected(t *testing.T) {
	db := startSound(t)
	c := db.client(t).C("c")
	for i, k := range []string{"b", "a", "c", "a"} {
		require.NoError(t, c.Insert(doc("_id", i, "k", k, "d", doc("x", i, "y", 0), "l", list(doc("p", 1, "q", 2), 3))))
	}
	require.NoError(t, c.Insert(doc("_id", 4)))
	for _, test := range []struct {
		claim string
		query *mgo.Query
		want  []any
	}{
		{"sorted, equal ones in order of insertion, missing first", c.Find(nil).Sort("k"), list(4, 1, 3, 0, 2)},
		{"sorted by several", c.Find(nil).Sort("-k", "-d.x"), list(2, 0, 3, 1, 4)},
		{"in natural order backwards", c.Find(nil).Sort("-$natural"), list(4, 3, 2, 1, 0)},
		{"skipped and limited", c.Find(nil).Sort("_id").Skip(1).Limit(2), list(1, 2)},
		{"skipped all", c.Find(nil).Skip(9), list()},
	} {
		var documents []bson.D
		require.NoError(t, test.query.All(&documents), test.claim)
		found := list()
		for _, d := range documents {
			found = append(found, d[0].Value)
		}
		assert.Equal(t, test.want, found, test.claim)
	}
	for _, test := range []struct {
		claim  string
		fields bson.D
		want   bson.D
	}{
		{"a field, with _id", doc("k", 1), doc("_id", 1, "k", "a")},
		{"a field without _id", doc("k", true, "_id", 0), doc("k", "a")},
		{"_id only", doc("_id", 1), doc("_id", 1)},
		{"parts of documents", doc("d.x", 1, "l.q", 1), doc("_id", 1, "d", doc("x", 1), "l", list(doc("q", 2)))},
		{"all but a field", doc("l", 0), doc("_id", 1, "k", "a", "d", doc("x", 1, "y", 0))},
		{"all but _id and parts", doc("_id", 0, "d.x", 0, "l.p", 0), doc("k", "a", "d", doc("y", 0), "l", list(doc("q", 2), 3))},
		{"all but _id", doc("_id", 0), doc("k", "a", "d", doc("x", 1, "y", 0), "l", list(doc("p", 1, "q", 2), 3))},
	} {
		var d bson.D
		require.NoError(t, c.FindId(1).Select(test.fields).One(&d), test.claim)
		assert.Equal(t, test.want, d, test.claim)
	}
}

func TestLargeResultsComeInBatches(t *testing.T) {
	const n = 250
	db := startSound(t)
	c := db.client(t).C("c")
	for i := range n {
		require.NoError(t, c.Insert(doc("_id", i)))
	}
	for _, size := range []int{0, 1, 7, 100, 1000} {
		iter := c.Find(nil).Batch(size).Iter()
		var d bson.D
		for i := range n {
			require.True(t, iter.Next(&d), "batches of %d", size)
			assert.Equal(t, i, d[0].Value)
			if i == n/2 {
				require.NoError(t, c.RemoveId(i))
				require.NoError(t, c.Insert(doc("_id", i)))
				_, err := c.RemoveAll(nil)
				require.NoError(t, err)
			}
		}
		assert.False(t, iter.Next(&d))
		require.NoError(t, iter.Close())
		for i := range n {
			require.NoError(t, c.Insert(doc("_id", i)))
		}
	}
	iter := c.Find(nil).Batch(10).Iter()
	assert.True(t, iter.Next(&bson.D{}))
	assert.NoError(t, iter.Close(), "before its end")
	assert.NoError(t, db.session.Ping())
}

func TestPipelinesOfJuju(t *testing.T) {
	db := startSound(t)
	c := db.client(t).C("c")
	for i, d := range []bson.D{
		doc("model-uuid", "a", "attempt", 1), doc("model-uuid", "b", "attempt", 1, "target", "x"),
		doc("model-uuid", "a", "attempt", 2, "target", "y"), doc("model-uuid", "c", "attempt", 1),
	} {
		require.NoError(t, c.Insert(append(doc("_id", i), d...)))
	}
	for _, test := range []struct {
		claim  string
		stages []any
		want   []any
	}{
		{"the last attempt of each model", list(
			doc("$match", doc("model-uuid", doc("$in", list("a", "b")))),
			doc("$sort", doc("model-uuid", 1, "attempt", -1)),
			doc("$group", doc("_id", "$model-uuid", "docid", doc("$first", "$_id"), "attempt", doc("$first", "$attempt"), "target", doc("$first", "$target"))),
			doc("$project", doc("_id", "$docid", "model-uuid", "$_id", "attempt", 1, "target", 1)),
		), list(doc("_id", 2, "model-uuid", "a", "attempt", 2, "target", "y"), doc("_id", 1, "model-uuid", "b", "attempt", 1, "target", "x"))},
		{"counts as one document", list(
			doc("$group", doc("_id", doc("$toString", "$attempt"), "count", doc("$sum", 1))),
			doc("$sort", doc("_id", 1)),
			doc("$group", doc("_id", nil, "counts", doc("$push", doc("k", "$_id", "v", "$count")))),
			doc("$replaceRoot", doc("newRoot", doc("$arrayToObject", "$counts"))),
		), list(doc("1", 3, "2", 1))},
		{"counts by a field that may be missing", list(
			doc("$match", doc("target", doc("$exists", true, "$ne", ""))),
			doc("$group", doc("_id", "$target", "count", doc("$sum", 1))),
		), list(doc("_id", "x", "count", 1), doc("_id", "y", "count", 1))},
		{"of nothing", list(doc("$match", doc("x", 1)), doc("$group", doc("_id", "$x"))), list()},
	} {
		t.Run(test.claim, func(t *testing.T) {
			var documents []bson.D
			require.NoError(t, c.Pipe(test.stages).All(&documents))
			got := list()
			for _, d := range documents {
				got = append(got, d)
			}
			assert.Equal(t, test.want, got)
		})
	}
}

func TestUniqueIndexes(t *testing.T) {
	for _, test := range []struct {
		claim  string
		index  mgo.Index
		have   []bson.D
		insert bson.D
		dup    bool
	}{
		{"_id", mgo.Index{Key: []string{"x"}}, []bson.D{doc("_id", 1)}, doc("_id", 1.0), true},
		{"a field", mgo.Index{Key: []string{"x"}, Unique: true}, []bson.D{doc("x", 1)}, doc("x", int64(1)), true},
		{"descending", mgo.Index{Key: []string{"-x"}, Unique: true}, []bson.D{doc("x", "a")}, doc("x", "a"), true},
		{"another value", mgo.Index{Key: []string{"x"}, Unique: true}, []bson.D{doc("x", 1)}, doc("x", "1"), false},
		{"a missing field is null", mgo.Index{Key: []string{"x"}, Unique: true}, []bson.D{doc()}, doc("x", nil), true},
		{"a missing field is free where sparse", mgo.Index{Key: []string{"x"}, Unique: true, Sparse: true}, []bson.D{doc()}, doc(), false},
		{"null is not where sparse", mgo.Index{Key: []string{"x"}, Unique: true, Sparse: true}, []bson.D{doc("x", nil)}, doc("x", nil), true},
		{"compound", mgo.Index{Key: []string{"x", "d.y"}, Unique: true}, []bson.D{doc("x", 1, "d", doc("y", 2))}, doc("x", 1, "d", doc("y", 2)), true},
		{"compound, one field differs", mgo.Index{Key: []string{"x", "d.y"}, Unique: true}, []bson.D{doc("x", 1, "d", doc("y", 2))}, doc("x", 1), false},
		{"compound and sparse with one field", mgo.Index{Key: []string{"x", "y"}, Unique: true, Sparse: true}, []bson.D{doc("x", 1)}, doc("x", 1), true},
		{"not unique", mgo.Index{Key: []string{"x"}}, []bson.D{doc("x", 1)}, doc("x", 1), false},
	} {
		t.Run(test.claim, func(t *testing.T) {
			db := startSound(t)
			c := db.client(t).C("c")
			require.NoError(t, c.EnsureIndex(test.index))
			for _, d := range test.have {
				require.NoError(t, c.Insert(d))
			}
			err := c.Insert(test.insert)
			if !test.dup {
				assert.NoError(t, err)
				return
			}
			require.True(t, mgo.IsDup(err), "%v", err)
			assert.Contains(t, err.Error(), "E11000 duplicate key error collection: juju.c index: ")
		})
	}
}

func TestUniqueIndexesFollowChanges(t *testing.T) {
	db := startSound(t)
	c := db.client(t).C("c")
	require.NoError(t, c.Insert(doc("_id", 1, "x", 1), doc("_id", 2, "x", 2)))
	unique := mgo.Index{Key: []string{"x"}, Unique: true}
	require.NoError(t, c.EnsureIndex(unique), "on documents that there are")
	assert.True(t, mgo.IsDup(c.UpdateId(2, doc("$set", doc("x", 1)))))
	assert.NoError(t, c.UpdateId(1, doc("$set", doc("x", 3))))
	assert.NoError(t, c.UpdateId(2, doc("$set", doc("x", 1))), "the value is free")
	assert.NoError(t, c.RemoveId(2))
	assert.NoError(t, c.Insert(doc("_id", 4, "x", 1)), "the value is free again")
	_, err := c.UpsertId(5, doc("$set", doc("x", 1)))
	assert.True(t, mgo.IsDup(err))

	other := db.client(t).C("other")
	require.NoError(t, other.Insert(doc("x", 1), doc("x", 1)))
	assert.True(t, mgo.IsDup(other.EnsureIndex(unique)), "on documents that have duplicates")
}

func TestCollections(t *testing.T) {
	db := startSound(t)
	juju := db.client(t)
	stats := func(name string) (s bson.M) {
		require.NoError(t, juju.Run(doc("collStats", name, "scale", 1024), &s))
		return s
	}
	assert.NotContains(t, stats("logs"), "capped", "where there is none")
	require.NoError(t, juju.C("logs").Create(&mgo.CollectionInfo{}))
	err := juju.C("logs").Create(&mgo.CollectionInfo{})
	require.Error(t, err)
	assert.Equal(t, 48, err.(*mgo.QueryError).Code, "NamespaceExists")
	require.NoError(t, juju.C("logs").Insert(doc("text", string(make([]byte, 3000)))))
	s := stats("logs")
	assert.Equal(t, bson.M{"ns": "juju.logs", "count": 1, "size": 2, "capped": false, "ok": 1.0}, s)
	require.NoError(t, juju.Run(doc("convertToCapped", "logs", "size", 20<<20), nil))
	s = stats("logs")
	assert.Equal(t, true, s["capped"])
	assert.Equal(t, 20<<10, s["maxSize"], "in units of the scale")
	require.NoError(t, juju.C("small").Create(&mgo.CollectionInfo{Capped: true, MaxBytes: 4096}))
	assert.Equal(t, 4, stats("small")["maxSize"])
	require.NoError(t, juju.C("logs").DropCollection())
	assert.ErrorContains(t, juju.C("logs").DropCollection(), "ns not found")
}

func TestGridFSKeepsFiles(t *testing.T) {
	db := startSound(t)
	fs := db.client(t).GridFS("blobs")
	content := make([]byte, 3<<20+17)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	for i := range 2 {
		file, err := fs.Create("charm")
		require.NoError(t, err)
		_, err = file.Write(content[i:])
		require.NoError(t, err)
		require.NoError(t, file.Close())
	}
	file, err := fs.Open("charm")
	require.NoError(t, err)
	read, err := io.ReadAll(file)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(content[1:], read), "the newer one")
	assert.Equal(t, int64(len(content)-1), file.Size())
	_, err = file.Seek(1<<20, io.SeekStart)
	require.NoError(t, err)
	_, err = io.ReadFull(file, read[:10])
	require.NoError(t, err)
	assert.Equal(t, content[1+1<<20:][:10], read[:10])
	require.NoError(t, file.Close())
	require.NoError(t, fs.Remove("charm"))
	_, err = fs.Open("charm")
	assert.Equal(t, mgo.ErrNotFound, err)
	n, err := fs.Chunks.Count()
	require.NoError(t, err)
	assert.Zero(t, n, "no chunk is left")
}
