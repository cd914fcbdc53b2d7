package docdb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/juju/mgo/v3/bson"
)

// namespace names a collection.
type namespace struct{ database, collection string }

func (n namespace) String() string { return n.database + "." + n.collection }

// collection holds documents in the order of their insertion. Whoever uses it has the server's
// turn and mu.
type collection struct {
	name    namespace
	ring    record // list of records, and its own end
	count   int
	unique  []*index // the first is of _id
	indexes map[string]bson.D
	capped  int64 // bytes; 0 is not capped
}

// record is a place for a document in a collection. One that was removed keeps its neighbours,
// so that removals undone in reverse order restore the list.
type record struct {
	prev, next *record
	*version   // nil when removed
}

// version is a document with its keys in the collection's unique indexes; an empty key is not
// in the index.
type version struct {
	document bson.D
	keys     []string
}

// change is what happened to a record: to undo it and to tell others of it. Before is nil for
// an insertion, after for a removal.
type change struct {
	collection    *collection
	record        *record
	before, after *version
	replaced      bool // as a whole, not by operators
}

// undo takes a change back, which must be the last.
func (c change) undo() { c.collection.set(c.record, c.before) }

// index of a unique key; others need not be kept.
type index struct {
	name    string
	paths   []string
	sparse  bool // documents without any of the fields are not in it
	records map[string]*record
}

func newCollection(name namespace) *collection {
	c := &collection{
		name:    name,
		unique:  []*index{{name: "_id_", paths: []string{"_id"}, records: map[string]*record{}}},
		indexes: map[string]bson.D{},
	}
	c.ring.prev, c.ring.next = &c.ring, &c.ring
	return c
}

// set gives a record another version, nil to remove it. It keeps indexes and count.
func (c *collection) set(r *record, v *version) {
	if r.version != nil {
		for i, key := range r.keys {
			delete(c.unique[i].records, key)
		}
		r.prev.next, r.next.prev = r.next, r.prev
		c.count--
	}
	r.version = v
	if v != nil {
		for i, key := range r.keys {
			if key != "" {
				c.unique[i].records[key] = r
			}
		}
		r.prev.next, r.next.prev = r, r
		c.count++
	}
}

// insert adds a document, which gets an _id if it has none.
func (c *collection) insert(d bson.D) (change, error) {
	id, ok := get(d, "_id")
	if !ok {
		id = bson.NewObjectId()
	}
	rest := slices.DeleteFunc(slices.Clone(d), func(e bson.DocElem) bool { return e.Name == "_id" })
	return c.change(&record{prev: c.ring.prev, next: &c.ring}, append(document("_id", id), rest...), false)
}

// update gives a record another document.
func (c *collection) update(r *record, d bson.D, replaced bool) (change, error) {
	before, _ := get(r.document, "_id")
	if after, _ := get(d, "_id"); !equal(before, after) {
		return change{}, &fault{code: 66, name: "ImmutableField", message: "the _id of a document cannot be changed"}
	}
	return c.change(r, d, replaced)
}

func (c *collection) change(r *record, d bson.D, replaced bool) (change, error) {
	v := &version{document: d}
	for _, x := range c.unique {
		key, err := x.key(d)
		if err != nil {
			return change{}, err
		}
		if other := x.records[key]; other != nil && other != r {
			return change{}, c.duplicate(x, d)
		}
		v.keys = append(v.keys, key)
	}
	made := change{collection: c, record: r, before: r.version, after: v, replaced: replaced}
	c.set(r, v)
	return made, nil
}

func (c *collection) remove(r *record) change {
	made := change{collection: c, record: r, before: r.version}
	c.set(r, nil)
	return made
}

// key is a document's key in a unique index; empty where it has none.
func (x *index) key(d bson.D) (string, error) {
	var key []byte
	missing := 0
	for _, path := range x.paths {
		found := reach(d, strings.Split(path, "."))
		switch {
		case len(found) == 0:
			missing++
			found = []any{nil}
		case len(found) > 1 || rank(found[0]) == rankArray:
			return "", unsupported("array in unique index", x.name)
		}
		key = appendKey(key, found[0])
	}
	if x.sparse && missing == len(x.paths) {
		return "", nil
	}
	return string(key), nil
}

// duplicate is the error that mgo.IsDup recognises.
func (c *collection) duplicate(x *index, d bson.D) error {
	var values []string
	for _, path := range x.paths {
		values = append(values, fmt.Sprintf("%s: %#v", path, first(d, path)))
	}
	return &fault{code: 11000, name: "DuplicateKey", message: fmt.Sprintf(
		"E11000 duplicate key error collection: %s index: %s dup key: { %s }", c.name, x.name, strings.Join(values, ", "))}
}

// addIndex makes an index; one that there is already may be made again.
func (c *collection) addIndex(name string, key bson.D, unique, sparse bool) error {
	if known, ok := c.indexes[name]; ok {
		if !equal(known, key) {
			return &fault{code: 86, name: "IndexKeySpecsConflict", message: "index " + name + " exists with another key"}
		}
		return nil
	}
	if unique {
		x := &index{name: name, sparse: sparse, records: map[string]*record{}}
		for _, e := range key {
			x.paths = append(x.paths, e.Name)
		}
		if err := c.addUnique(x); err != nil {
			return err
		}
	}
	c.indexes[name] = key
	return nil
}

// addUnique adds x with the keys of all records, unless two of them have the same.
func (c *collection) addUnique(x *index) error {
	versions := map[*record]*version{}
	for r := range c.all {
		key, err := x.key(r.document)
		if err != nil {
			return err
		}
		if x.records[key] != nil {
			return c.duplicate(x, r.document)
		}
		if key != "" {
			x.records[key] = r
		}
		versions[r] = &version{document: r.document, keys: append(slices.Clip(r.keys), key)}
	}
	for r, v := range versions {
		r.version = v
	}
	c.unique = append(c.unique, x)
	return nil
}

// all yields the records in the order of their insertion. The one yielded may be removed.
func (c *collection) all(yield func(*record) bool) {
	for r := c.ring.next; r != &c.ring; r = r.next {
		if !yield(r) {
			return
		}
	}
}

// find returns the records that match a filter, no more than limit; 0 is all.
func (c *collection) find(filter bson.D, limit int) ([]*record, error) {
	matches, err := compileFilter(filter)
	if err != nil {
		return nil, err
	}
	var found []*record
	for r := range c.candidates(filter) {
		if matches(r.document) {
			found = append(found, r)
		}
		if limit > 0 && len(found) == limit {
			break
		}
	}
	return found, nil
}

// candidates are the records that a filter can match: those of its _id, in the order of the
// index, or all.
func (c *collection) candidates(filter bson.D) func(func(*record) bool) {
	ids, ok := wantedIDs(filter)
	if !ok {
		return c.all
	}
	ids = slices.CompactFunc(slices.SortedFunc(slices.Values(ids), compare), equal)
	return func(yield func(*record) bool) {
		for _, id := range ids {
			if r := c.unique[0].records[keyOf(id)]; r != nil && !yield(r) {
				return
			}
		}
	}
}

// wantedIDs are the values that a filter allows _id to have, if it says so.
func wantedIDs(filter bson.D) ([]any, bool) {
	id, ok := get(filter, "_id")
	if !ok {
		return nil, false
	}
	ids := []any{id}
	if operators, ok := operatorsOf(id); ok {
		in, _ := get(operators, "$in")
		if ids, ok = in.([]any); !ok {
			return nil, false
		}
	}
	isPattern := func(v any) bool { _, ok := v.(bson.RegEx); return ok }
	return ids, !slices.ContainsFunc(ids, isPattern)
}
