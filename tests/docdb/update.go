package docdb

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/juju/mgo/v3/bson"
)

// updater gives the document that follows from another, which it does not change.
type updater func(bson.D) (bson.D, error)

// absent is the value of a field that is not there.
type absent struct{}

// updateOperators give the value that a field gets, from the present one, which may be absent,
// and the operand.
var updateOperators = map[string]func(present, operand any) (any, error){
	"$set":      func(_, operand any) (any, error) { return operand, nil },
	"$unset":    func(_, _ any) (any, error) { return absent{}, nil },
	"$inc":      increment,
	"$push":     grow(false),
	"$addToSet": grow(true),
	"$pull":     pull,
}

// isReplacement tells whether an update is a whole document and not one of operators.
func isReplacement(update bson.D) bool {
	return len(update) == 0 || !strings.HasPrefix(update[0].Name, "$")
}

// compileUpdate makes an updater of an update document. It fails for what is unknown.
func compileUpdate(update bson.D) (updater, error) {
	if isReplacement(update) {
		return func(d bson.D) (bson.D, error) { return withID(update, d), nil }, nil
	}
	for _, e := range update {
		if updateOperators[e.Name] == nil {
			return nil, unsupported("update operator", e.Name)
		}
		fields, ok := e.Value.(bson.D)
		if !ok {
			return nil, badValue("%s needs a document", e.Name)
		}
		for _, field := range fields {
			if strings.Contains(field.Name, "$") {
				return nil, unsupported("positional path", field.Name)
			}
		}
	}
	return func(d bson.D) (bson.D, error) { return applyOperators(d, update) }, nil
}

// withID returns d with the _id of another document, if that has one and d does not.
func withID(d, other bson.D) bson.D {
	id, has := get(other, "_id")
	if _, ok := get(d, "_id"); ok || !has {
		return d
	}
	return append(document("_id", id), d...)
}

func applyOperators(d bson.D, update bson.D) (bson.D, error) {
	var root any = d
	for _, e := range update {
		fields, _ := e.Value.(bson.D)
		for _, field := range fields {
			path := strings.Split(field.Name, ".")
			v, err := updateOperators[e.Name](at(root, path), field.Value)
			if err != nil {
				return nil, badValue("%s of %s: %v", e.Name, field.Name, err)
			}
			if root, err = put(root, path, v); err != nil {
				return nil, err
			}
		}
	}
	d, _ = root.(bson.D)
	return d, nil
}

// at is the value at exactly that path.
func at(v any, path []string) any {
	if len(path) == 0 {
		return v
	}
	switch v := v.(type) {
	case bson.D:
		if field, ok := get(v, path[0]); ok {
			return at(field, path[1:])
		}
	case []any:
		if i, ok := position(path[0], len(v)); ok {
			return at(v[i], path[1:])
		}
	}
	return absent{}
}

// put returns a copy of a document or array with another value at a path. The documents on the
// way there are made, unless the value is absent.
func put(container any, path []string, value any) (any, error) {
	if len(path) == 0 {
		return value, nil
	}
	switch c := container.(type) {
	case absent:
		if value == any(absent{}) {
			return absent{}, nil
		}
		return put(bson.D{}, path, value)
	case bson.D:
		return putField(c, path, value)
	case []any:
		return putItem(c, path, value)
	}
	if value == any(absent{}) {
		return container, nil
	}
	return nil, &fault{code: 28, name: "PathNotViable", message: "cannot create field " + path[0] + " in what is no document"}
}

func putField(d bson.D, path []string, value any) (any, error) {
	v, err := put(at(d, path[:1]), path[1:], value)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(d, func(e bson.DocElem) bool { return e.Name == path[0] })
	d = slices.Clone(d)
	switch gone := v == any(absent{}); {
	case gone && i >= 0:
		return slices.Delete(d, i, i+1), nil
	case gone:
		return d, nil
	case i >= 0:
		d[i].Value = v
		return d, nil
	}
	return append(d, document(path[0], v)...), nil
}

// putItem changes an item of an array; one that is taken away leaves null.
func putItem(items []any, path []string, value any) (any, error) {
	i, ok := position(path[0], len(items))
	if !ok {
		return nil, unsupported("update of what is no item of an array", path[0])
	}
	v, err := put(items[i], path[1:], value)
	if err != nil {
		return nil, err
	}
	if v == any(absent{}) {
		v = nil
	}
	items = slices.Clone(items)
	items[i] = v
	return items, nil
}

func increment(present, operand any) (any, error) {
	if present == any(absent{}) {
		present = 0
	}
	if !isNumber(present) || !isNumber(operand) {
		return nil, badValue("no number")
	}
	return add(present, operand), nil
}

// itemsOf is the array that a field holds; one that is not there is empty.
func itemsOf(present any) ([]any, error) {
	if present == any(absent{}) {
		return []any{}, nil
	}
	items, ok := present.([]any)
	if !ok {
		return nil, badValue("no array")
	}
	return slices.Clone(items), nil
}

// eachOf are the values that an operator adds: the operand, or the list of its $each.
func eachOf(operand any) ([]any, error) {
	modifiers, ok := operatorsOf(operand)
	if !ok {
		return []any{operand}, nil
	}
	var items []any
	for _, e := range modifiers {
		if items, ok = e.Value.([]any); e.Name != "$each" || !ok {
			return nil, unsupported("modifier", e.Name)
		}
	}
	return items, nil
}

// grow makes an operator that adds to an array; to a set it adds what is not in it.
func grow(set bool) func(present, operand any) (any, error) {
	return func(present, operand any) (any, error) {
		items, err := itemsOf(present)
		if err != nil {
			return nil, err
		}
		added, err := eachOf(operand)
		for _, v := range added {
			if !set || !slices.ContainsFunc(items, func(item any) bool { return equal(item, v) }) {
				items = append(items, v)
			}
		}
		return items, err
	}
}

// pull takes items out of an array: those that a value equals, operators match, or that are
// documents with such fields.
func pull(present, operand any) (any, error) {
	if present == any(absent{}) {
		return present, nil
	}
	items, err := itemsOf(present)
	if err != nil {
		return nil, err
	}
	holds := func(item any) bool { return equal(item, operand) }
	if _, ok := operand.(bson.D); ok {
		found, err := compileElemMatch(operand)
		if err != nil {
			return nil, err
		}
		holds = func(item any) bool { return found([]any{[]any{item}}) }
	}
	return slices.DeleteFunc(items, holds), nil
}

// seed is the document that an upsert begins with: what its filter says that fields equal.
func seed(filter bson.D) (bson.D, error) {
	var d any = bson.D{}
	for _, e := range filter {
		value := e.Value
		if operators, ok := operatorsOf(value); ok {
			if value, ok = get(operators, "$eq"); !ok {
				continue
			}
		}
		if strings.HasPrefix(e.Name, "$") {
			continue
		}
		var err error
		if d, err = put(d, strings.Split(e.Name, "."), value); err != nil {
			return nil, err
		}
	}
	seeded, _ := d.(bson.D)
	return seeded, nil
}

// difference tells what fields of b are not those of a, by path, and which are gone.
func difference(a, b bson.D, prefix string) (updated bson.D, removed []any) {
	updated, removed = bson.D{}, []any{}
	before := map[string]any{}
	for _, e := range a {
		before[e.Name] = e.Value
	}
	for _, e := range b {
		old, had := before[e.Name]
		delete(before, e.Name)
		inA, isA := old.(bson.D)
		inB, isB := e.Value.(bson.D)
		switch {
		case had && isA && isB:
			u, r := difference(inA, inB, prefix+e.Name+".")
			updated, removed = append(updated, u...), append(removed, r...)
		case !had || !reflect.DeepEqual(old, e.Value):
			updated = append(updated, document(prefix+e.Name, e.Value)...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		removed = append(removed, prefix+name)
	}
	return updated, removed
}
