package docdb

import (
	"errors"
	"reflect"

	"github.com/juju/mgo/v3/bson"
)

type findCommand struct {
	Filter      bson.D `bson:"filter"`
	Sort        bson.D `bson:"sort"`
	Projection  bson.D `bson:"projection"`
	Skip        int    `bson:"skip"`
	Limit       int    `bson:"limit"` // 0 is none
	BatchSize   int    `bson:"batchSize"`
	SingleBatch bool   `bson:"singleBatch"`
	MaxTimeMS   int    `bson:"maxTimeMS"` // nothing lasts that long
	Hint        any    `bson:"hint"`      // there is nothing to choose
}

// matching returns a collection's documents that match, sorted; a collection that does not
// exist has none.
func (op *operation) matching(filter, order bson.D, limit int) ([]bson.D, error) {
	c := op.server.collections[op.namespace()]
	if c == nil {
		c = newCollection(op.namespace())
	}
	inOrder, err := compileSort(order)
	if err != nil {
		return nil, err
	}
	if len(order) > 0 {
		limit = 0 // of those that come first
	}
	records, err := c.find(filter, limit)
	if err != nil {
		return nil, err
	}
	documents := make([]bson.D, len(records))
	for i, r := range records {
		documents[i] = r.document
	}
	return inOrder(documents), nil
}

// part leaves out the first skip of items and all after limit; 0 is no limit.
func part[T any](items []T, skip, limit int) []T {
	items = items[min(max(skip, 0), len(items)):]
	if limit > 0 {
		items = items[:min(limit, len(items))]
	}
	return items
}

func find(op *operation, args findCommand) (bson.D, error) {
	needed := 0
	if args.Limit > 0 {
		needed = args.Skip + args.Limit
	}
	found, err := op.matching(args.Filter, args.Sort, needed)
	if err != nil {
		return nil, err
	}
	project, err := compileProjection(args.Projection)
	if err != nil {
		return nil, err
	}
	found = part(found, args.Skip, args.Limit)
	for i, d := range found {
		found[i] = project(d)
	}
	if args.BatchSize == 0 {
		args.BatchSize = firstBatchSize
	}
	return op.server.firstReply(op.namespace().String(), found, args.BatchSize, args.SingleBatch)
}

type countCommand struct {
	Query bson.D `bson:"query"`
	Skip  int    `bson:"skip"`
	Limit int    `bson:"limit"`
}

func count(op *operation, args countCommand) (bson.D, error) {
	found, err := op.matching(args.Query, nil, 0)
	if err != nil {
		return nil, err
	}
	return document("n", len(part(found, args.Skip, args.Limit))), nil
}

// write notes a change that was made, if it was.
func (op *operation) write(c change, err error) error {
	if err == nil {
		*op.changes = append(*op.changes, c)
	}
	return err
}

// statements runs the statements of a write command. What a correct client may come upon, such
// as a duplicate key, is returned as a part of the reply; it ends the command where that is
// ordered, which is the default.
func (op *operation) statements(n int, ordered *bool, run func(i int) error) (bson.D, error) {
	var failures []bson.D
	for i := range n {
		var f *fault
		switch err := run(i); {
		case err == nil:
			continue
		case !errors.As(err, &f) || f.strange:
			return nil, err
		}
		op.failed = true
		failures = append(failures, document("index", i, "code", f.code, "errmsg", f.message))
		if ordered == nil || *ordered {
			break
		}
	}
	if failures == nil {
		return nil, nil
	}
	return document("writeErrors", failures), nil
}

type insertCommand struct {
	Documents []bson.D `bson:"documents"`
	Ordered   *bool    `bson:"ordered"`
}

func insert(op *operation, args insertCommand) (bson.D, error) {
	c := op.collection()
	inserted := 0
	failures, err := op.statements(len(args.Documents), args.Ordered, func(i int) error {
		if err := op.write(c.insert(args.Documents[i])); err != nil {
			return err
		}
		inserted++
		return nil
	})
	return append(document("n", inserted), failures...), err
}

type updateStatement struct {
	Query  bson.D         `bson:"q"`
	Update bson.D         `bson:"u"`
	Multi  bool           `bson:"multi"`
	Upsert bool           `bson:"upsert"`
	Other  map[string]any `bson:",inline"`
}

type updateCommand struct {
	Updates []updateStatement `bson:"updates"`
	Ordered *bool             `bson:"ordered"`
}

func update(op *operation, args updateCommand) (bson.D, error) {
	c := op.collection()
	var done updates
	failures, err := op.statements(len(args.Updates), args.Ordered, func(i int) error {
		return op.update(c, args.Updates[i], i, &done)
	})
	reply := document("n", done.matched, "nModified", done.modified)
	if done.upserted != nil {
		reply = append(reply, document("upserted", done.upserted)...)
	}
	return append(reply, failures...), err
}

// updates counts what the statements of an update did.
type updates struct {
	matched, modified int
	upserted          []bson.D
}

// update runs the statement with number i.
func (op *operation) update(c *collection, u updateStatement, i int, done *updates) error {
	if err := noOthers("option of an update", u.Other); err != nil {
		return err
	}
	limit := 1
	if u.Multi {
		limit = 0
	}
	records, err := c.find(u.Query, limit)
	if err != nil {
		return err
	}
	next, err := compileUpdate(u.Update)
	if err != nil {
		return err
	}
	if len(records) == 0 && u.Upsert {
		d, err := op.upsert(c, u.Query, next)
		if err != nil {
			return err
		}
		done.matched++
		done.upserted = append(done.upserted, document("index", i, "_id", first(d, "_id")))
	}
	for _, r := range records {
		changed, err := op.apply(c, r, u.Update, next)
		if err != nil {
			return err
		}
		done.matched++
		if changed {
			done.modified++
		}
	}
	return nil
}

// apply updates a record and tells whether that changed anything.
func (op *operation) apply(c *collection, r *record, spec bson.D, next updater) (bool, error) {
	d, err := next(r.document)
	if err != nil {
		return false, err
	}
	if reflect.DeepEqual(d, r.document) { // also in the types of numbers
		return false, nil
	}
	return true, op.write(c.update(r, d, isReplacement(spec)))
}

// upsert inserts what an update makes of the values that its filter asks for.
func (op *operation) upsert(c *collection, filter bson.D, next updater) (bson.D, error) {
	d, err := seed(filter)
	if err != nil {
		return nil, err
	}
	if d, err = next(d); err != nil {
		return nil, err
	}
	made, err := c.insert(d)
	if err := op.write(made, err); err != nil {
		return nil, err
	}
	return made.after.document, nil
}

type deleteStatement struct {
	Query bson.D         `bson:"q"`
	Limit int            `bson:"limit"` // 0 is all
	Other map[string]any `bson:",inline"`
}

type deleteCommand struct {
	Deletes []deleteStatement `bson:"deletes"`
	Ordered *bool             `bson:"ordered"`
}

func remove(op *operation, args deleteCommand) (bson.D, error) {
	c := op.collection()
	removed := 0
	failures, err := op.statements(len(args.Deletes), args.Ordered, func(i int) error {
		d := args.Deletes[i]
		if err := noOthers("option of a delete", d.Other); err != nil {
			return err
		}
		records, err := c.find(d.Query, d.Limit)
		for _, r := range records {
			*op.changes = append(*op.changes, c.remove(r))
			removed++
		}
		return err
	})
	return append(document("n", removed), failures...), err
}

type findAndModifyCommand struct {
	Query  bson.D `bson:"query"`
	Sort   bson.D `bson:"sort"`
	Update bson.D `bson:"update"`
	Remove bool   `bson:"remove"`
	New    bool   `bson:"new"` // return the document as updated, not as it was
	Upsert bool   `bson:"upsert"`
	Fields bson.D `bson:"fields"`
}

func findAndModify(op *operation, args findAndModifyCommand) (bson.D, error) {
	c := op.collection()
	project, err := compileProjection(args.Fields)
	if err != nil {
		return nil, err
	}
	next, err := compileUpdate(args.Update)
	if err != nil {
		return nil, err
	}
	found, err := op.matching(args.Query, args.Sort, 1)
	if err != nil {
		return nil, err
	}
	var before, after bson.D // the document that is changed
	result := document("n", 1, "updatedExisting", len(found) > 0 && !args.Remove)
	switch {
	case len(found) == 0 && args.Upsert:
		after, err = op.upsert(c, args.Query, next)
		result = append(result, document("upserted", first(after, "_id"))...)
	case len(found) == 0:
		result[0].Value = 0
	default:
		before = found[0]
		r := c.unique[0].records[keyOf(first(before, "_id"))]
		if args.Remove {
			*op.changes = append(*op.changes, c.remove(r))
		} else if _, err = op.apply(c, r, args.Update, next); err == nil {
			after = r.document
		}
	}
	if args.New {
		before = after
	}
	reply := document("value", nil, "lastErrorObject", result)
	if before != nil {
		reply[0].Value = project(before)
	}
	return reply, err
}
