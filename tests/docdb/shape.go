package docdb

import (
	"slices"
	"strings"

	"github.com/juju/mgo/v3/bson"
)

// compileSort makes a function that sorts documents, equal ones in the order they have. It
// changes the slice that it is given.
func compileSort(order bson.D) (func([]bson.D) []bson.D, error) {
	for _, e := range order {
		if !isNumber(e.Value) || toInt(e.Value) != 1 && toInt(e.Value) != -1 {
			return nil, unsupported("order by", e.Name)
		}
	}
	return func(documents []bson.D) []bson.D {
		if len(order) == 1 && order[0].Name == "$natural" {
			if toInt(order[0].Value) < 0 {
				slices.Reverse(documents)
			}
			return documents
		}
		slices.SortStableFunc(documents, func(a, b bson.D) int { return compareBy(order, a, b) })
		return documents
	}, nil
}

func compareBy(order bson.D, a, b bson.D) int {
	for _, e := range order {
		sign := int(toInt(e.Value))
		if c := compare(sortKey(a, e.Name, sign), sortKey(b, e.Name, sign)); c != 0 {
			return sign * c
		}
	}
	return 0
}

// sortKey is the value that a document is sorted by: of several, the one that comes first.
func sortKey(d bson.D, path string, sign int) any {
	var keys []any
	for _, v := range reach(d, strings.Split(path, ".")) {
		if items, ok := v.([]any); ok {
			keys = append(keys, items...)
		} else {
			keys = append(keys, v)
		}
	}
	if len(keys) == 0 {
		return nil
	}
	return slices.MinFunc(keys, func(a, b any) int { return sign * compare(a, b) })
}

// mask is a set of fields, with their own fields where only those are meant.
type mask map[string]mask

// compileProjection makes a function that returns the fields of a document that it names, or
// those that it does not name where it excludes; _id is named unless it is excluded.
func compileProjection(fields bson.D) (func(bson.D) bson.D, error) {
	if len(fields) == 0 {
		return func(d bson.D) bson.D { return d }, nil
	}
	named, id := mask{}, true
	flags := map[bool]bool{} // of fields but _id
	for _, e := range fields {
		if !isNumber(e.Value) && rank(e.Value) != rankBool {
			return nil, unsupported("projection of", e.Name)
		}
		if e.Name == "_id" {
			id = isTrue(e.Value)
			continue
		}
		flags[isTrue(e.Value)] = true
		named.add(strings.Split(e.Name, "."))
	}
	if len(flags) > 1 {
		return nil, badValue("projection both includes and excludes")
	}
	include := flags[true] || len(flags) == 0 && id
	if id == include {
		named["_id"] = nil
	}
	return func(d bson.D) bson.D { return named.project(d, include) }, nil
}

// add adds a path. A field that is in the set as a whole remains so.
func (m mask) add(path []string) {
	sub, ok := m[path[0]]
	switch {
	case len(path) == 1:
		m[path[0]] = nil
		return
	case ok && sub == nil:
		return
	case !ok:
		sub = mask{}
		m[path[0]] = sub
	}
	sub.add(path[1:])
}

// project returns d with the fields of the set only, or else without them.
func (m mask) project(d bson.D, include bool) bson.D {
	projected := bson.D{}
	for _, e := range d {
		sub, named := m[e.Name]
		if named && sub != nil {
			if v, ok := sub.projectValue(e.Value, include); ok {
				projected = append(projected, document(e.Name, v)...)
			}
		} else if named == include {
			projected = append(projected, e)
		}
	}
	return projected
}

// projectValue is project for the documents in a value. What is no document has none of the
// fields.
func (m mask) projectValue(v any, include bool) (any, bool) {
	switch v := v.(type) {
	case bson.D:
		return m.project(v, include), true
	case []any:
		items := []any{}
		for _, item := range v {
			if p, ok := m.projectValue(item, include); ok {
				items = append(items, p)
			}
		}
		return items, true
	}
	return v, !include
}
