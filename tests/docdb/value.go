package docdb

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/juju/mgo/v3/bson"
)

// Documents are bson.D and the values in them what mgo's decoder makes of BSON: nil, bool, int
// (32 bits on the wire), int64, float64, string, time.Time, bson.ObjectId, []byte, bson.Binary,
// bson.D, []any and a few that Juju does not store. A stored one is never changed, so it may be
// shared by collections, events and cursors.

// document makes a document of names and values by turns.
func document(pairs ...any) bson.D {
	d := make(bson.D, 0, len(pairs)/2)
	for pair := range slices.Chunk(pairs, 2) {
		name, _ := pair[0].(string)
		d = append(d, bson.DocElem{Name: name, Value: pair[1]})
	}
	return d
}

// each applies a function to all items, until it fails.
func each[In, Out any](items []In, f func(In) (Out, error)) ([]Out, error) {
	var all []Out
	for _, item := range items {
		out, err := f(item)
		if err != nil {
			return nil, err
		}
		all = append(all, out)
	}
	return all, nil
}

// get returns the field of d with that name.
func get(d bson.D, name string) (any, bool) {
	for _, e := range d {
		if e.Name == name {
			return e.Value, true
		}
	}
	return nil, false
}

// reach returns every value at a path, into the documents of arrays as well. It is empty where
// there is no such field.
func reach(v any, path []string) []any {
	if len(path) == 0 {
		return []any{v}
	}
	switch v := v.(type) {
	case bson.D:
		if field, ok := get(v, path[0]); ok {
			return reach(field, path[1:])
		}
	case []any:
		var found []any
		if i, ok := position(path[0], len(v)); ok {
			found = reach(v[i], path[1:])
		}
		for _, item := range v {
			if d, ok := item.(bson.D); ok {
				found = append(found, reach(d, path)...)
			}
		}
		return found
	}
	return nil
}

// position reads the index of an item of an array with length items.
func position(s string, length int) (int, bool) {
	i, err := strconv.Atoi(s)
	return i, err == nil && i >= 0 && i < length
}

// first is the first value at a path; nil where there is none.
func first(d bson.D, path string) any {
	if found := reach(d, strings.Split(path, ".")); len(found) > 0 {
		return found[0]
	}
	return nil
}

// isNumber tells whether v is a number of any type.
func isNumber(v any) bool { return rank(v) == rankNumber }

// toInt is a number without its fraction.
func toInt(v any) int64 {
	switch v := v.(type) {
	case int:
		return int64(v)
	case int64:
		return v
	case float64:
		return int64(v)
	}
	return 0
}

func toFloat(v any) float64 {
	if f, ok := v.(float64); ok {
		return f
	}
	return float64(toInt(v))
}

// isTrue is how operators and projections read a value: all but false, null and zero is true.
func isTrue(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case bool:
		return v
	}
	return !isNumber(v) || toFloat(v) != 0
}

// add is the sum of two numbers, of the wider type of both.
func add(a, b any) any {
	_, floatA := a.(float64)
	_, floatB := b.(float64)
	if floatA || floatB {
		return toFloat(a) + toFloat(b)
	}
	_, smallA := a.(int)
	_, smallB := b.(int)
	if smallA && smallB {
		return int(toInt(a) + toInt(b))
	}
	return toInt(a) + toInt(b)
}

// The order of types (MongoDB manual, "Comparison/Sort Order"). Values of different ranks are
// never equal.
const (
	rankNull = iota
	rankNumber
	rankString
	rankDocument
	rankArray
	rankBinary
	rankObjectID
	rankBool
	rankTime
	rankOther
)

func rank(v any) int {
	switch v.(type) {
	case nil:
		return rankNull
	case int, int64, float64:
		return rankNumber
	case string:
		return rankString
	case bson.D:
		return rankDocument
	case []any:
		return rankArray
	case []byte, bson.Binary:
		return rankBinary
	case bson.ObjectId:
		return rankObjectID
	case bool:
		return rankBool
	case time.Time:
		return rankTime
	}
	return rankOther
}

// compare orders any two values.
func compare(a, b any) int {
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch rank(a) {
	case rankNull:
		return 0
	case rankNumber:
		return compareNumbers(a, b)
	case rankString:
		return cmp.Compare(a.(string), b.(string))
	case rankDocument:
		return slices.CompareFunc(a.(bson.D), b.(bson.D), func(x, y bson.DocElem) int {
			return cmp.Or(cmp.Compare(x.Name, y.Name), compare(x.Value, y.Value))
		})
	case rankArray:
		return slices.CompareFunc(a.([]any), b.([]any), compare)
	case rankTime:
		return a.(time.Time).Compare(b.(time.Time))
	}
	return bytes.Compare(encode(a), encode(b)) // also for bool and object IDs
}

func compareNumbers(a, b any) int {
	_, floatA := a.(float64)
	_, floatB := b.(float64)
	if floatA || floatB {
		return cmp.Compare(toFloat(a), toFloat(b))
	}
	return cmp.Compare(toInt(a), toInt(b))
}

func equal(a, b any) bool { return compare(a, b) == 0 }

// encode is a value in BSON, with its type. What came over the wire can be encoded.
func encode(v any) []byte {
	b, err := bson.Marshal(bson.D{{Name: "", Value: v}})
	if err != nil {
		return fmt.Append(nil, v)
	}
	return b
}

// appendKey appends a text that is the same for equal values and no other.
func appendKey(key []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return fmt.Appendf(key, "s%d:%s", len(v), v)
	case int, int64:
		return fmt.Appendf(key, "n%d;", v)
	case float64:
		if v == math.Trunc(v) && math.Abs(v) < 1<<63 {
			return fmt.Appendf(key, "n%d;", int64(v))
		}
		return fmt.Appendf(key, "f%x;", v)
	case bson.D:
		key = fmt.Appendf(key, "d%d:", len(v))
		for _, e := range v {
			key = appendKey(appendKey(key, e.Name), e.Value)
		}
		return key
	case []any:
		key = fmt.Appendf(key, "a%d:", len(v))
		for _, item := range v {
			key = appendKey(key, item)
		}
		return key
	}
	return append(key, encode(v)...)
}

// keyOf is appendKey for one value.
func keyOf(v any) string { return string(appendKey(nil, v)) }
