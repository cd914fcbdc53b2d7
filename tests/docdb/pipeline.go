package docdb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/juju/mgo/v3/bson"
)

type aggregateCommand struct {
	Pipeline []bson.D `bson:"pipeline"`
	Cursor   struct {
		BatchSize int `bson:"batchSize"`
	} `bson:"cursor"`
	AllowDiskUse bool `bson:"allowDiskUse"` // there is no disk
}

// aggregate runs a pipeline over a collection, or opens a change stream of the database.
func aggregate(op *operation, args aggregateCommand) (bson.D, error) {
	for _, spec := range args.Pipeline {
		if len(spec) != 1 {
			return nil, badValue("a stage of a pipeline has one field, not %d", len(spec))
		}
	}
	if len(args.Pipeline) > 0 && args.Pipeline[0][0].Name == "$changeStream" {
		return op.watch(args)
	}
	stages, err := each(args.Pipeline, compileStage)
	if err != nil {
		return nil, err
	}
	documents, err := op.matching(nil, nil, 0)
	if err != nil {
		return nil, err
	}
	for _, run := range stages {
		if documents, err = run(documents); err != nil {
			return nil, err
		}
	}
	if args.Cursor.BatchSize == 0 {
		args.Cursor.BatchSize = firstBatchSize
	}
	return op.server.firstReply(op.namespace().String(), documents, args.Cursor.BatchSize, false)
}

// watch opens a change stream; its first batch is empty.
func (op *operation) watch(args aggregateCommand) (bson.D, error) {
	if op.target != "" {
		return nil, unsupported("change stream of one collection", op.target)
	}
	st, err := op.server.openStream(op.database, args.Pipeline)
	if err != nil {
		return nil, err
	}
	c := &cursor{namespace: op.database + ".$cmd.aggregate", stream: st}
	return c.reply(op.server.open(c), "firstBatch", batch{}), nil
}

// stage is a step of a pipeline. It may change the slice that it is given.
type stage func([]bson.D) ([]bson.D, error)

// compileStage makes a stage. It fails for what is unknown.
func compileStage(d bson.D) (stage, error) {
	name := d[0].Name
	spec, ok := d[0].Value.(bson.D)
	if !ok {
		return nil, unsupported("operand of stage", name)
	}
	switch name {
	case "$match":
		matches, err := compileFilter(spec)
		return func(documents []bson.D) ([]bson.D, error) {
			return slices.DeleteFunc(documents, func(d bson.D) bool { return !matches(d) }), nil
		}, err
	case "$sort":
		inOrder, err := compileSort(spec)
		return func(documents []bson.D) ([]bson.D, error) { return inOrder(documents), nil }, err
	case "$group":
		return compileGroup(spec)
	case "$project":
		return compileProject(spec)
	case "$replaceRoot":
		return compileReplaceRoot(spec)
	}
	return nil, unsupported("stage of a pipeline", name)
}

// convertEach makes a stage that turns every document into the one that an expression gives.
func convertEach(convert expression) stage {
	return func(documents []bson.D) ([]bson.D, error) {
		return each(documents, func(d bson.D) (bson.D, error) {
			v, err := convert(d)
			converted, ok := v.(bson.D)
			if err == nil && !ok {
				err = badValue("result of a stage is no document: %v", v)
			}
			return converted, err
		})
	}
}

// expression gives a value that depends on a document; absent where it names a field that is
// not there.
type expression func(bson.D) (any, error)

// compileExpression makes an expression of a constant, a field ("$name"), an operator or a
// document of expressions.
func compileExpression(operand any) (expression, error) {
	switch v := operand.(type) {
	case string:
		name, ok := strings.CutPrefix(v, "$")
		switch path := strings.Split(name, "."); {
		case ok && (len(path) > maxNesting || strings.HasPrefix(name, "$")):
			return nil, unsupported("path", v)
		case ok:
			return func(d bson.D) (any, error) { return at(d, path), nil }, nil
		}
	case bson.D:
		if _, ok := operatorsOf(v); !ok {
			return compileDocument(v)
		}
		if len(v) != 1 || expressionOperators[v[0].Name] == nil {
			return nil, unsupported("expression", fmt.Sprint(v))
		}
		argument, err := compileExpression(v[0].Value)
		return func(d bson.D) (any, error) {
			value, err := argument(d)
			if err != nil || value == nil || value == any(absent{}) {
				return nil, err
			}
			return expressionOperators[v[0].Name](value)
		}, err
	}
	return func(bson.D) (any, error) { return operand, nil }, nil
}

// expressionOperators compute with a value that is not null.
var expressionOperators = map[string]func(any) (any, error){
	"$toString":      toString,
	"$arrayToObject": arrayToObject,
}

func toString(v any) (any, error) {
	switch v := v.(type) {
	case string, int, int64, bool:
		return fmt.Sprint(v), nil
	case bson.ObjectId:
		return v.Hex(), nil
	}
	return nil, unsupported("type for $toString", fmt.Sprintf("%T", v))
}

// arrayToObject makes a document of a list of documents with name k and value v.
func arrayToObject(v any) (any, error) {
	items, ok := v.([]any)
	if !ok {
		return nil, badValue("$arrayToObject needs an array")
	}
	object := bson.D{}
	for _, item := range items {
		pair, _ := item.(bson.D)
		name, ok := first(pair, "k").(string)
		if value, has := get(pair, "v"); ok && has {
			object = append(object, document(name, value)...)
			continue
		}
		return nil, badValue("$arrayToObject needs pairs of k, a text, and v")
	}
	return object, nil
}

func compileReplaceRoot(spec bson.D) (stage, error) {
	if len(spec) != 1 || spec[0].Name != "newRoot" {
		return nil, badValue("$replaceRoot needs newRoot and nothing else")
	}
	root, err := compileExpression(spec[0].Value)
	return convertEach(root), err
}

// compileProject makes a stage that keeps fields (1) and computes others; _id is kept unless it
// is computed.
func compileProject(spec bson.D) (stage, error) {
	fields := bson.D{}
	if _, ok := get(spec, "_id"); !ok {
		fields = append(fields, document("_id", "$_id")...)
	}
	for _, e := range spec {
		switch flag := isNumber(e.Value) || rank(e.Value) == rankBool; {
		case flag && !isTrue(e.Value) || strings.Contains(e.Name, "."):
			return nil, unsupported("field of $project", e.Name)
		case flag:
			e.Value = "$" + e.Name
		}
		fields = append(fields, e)
	}
	project, err := compileDocument(fields)
	return convertEach(project), err
}

// compileDocument makes an expression that computes every field of a document, without those
// that are absent.
func compileDocument(spec bson.D) (expression, error) {
	values, err := each(spec, func(e bson.DocElem) (expression, error) { return compileExpression(e.Value) })
	if err != nil {
		return nil, err
	}
	return func(d bson.D) (any, error) {
		computed := bson.D{}
		for i, e := range spec {
			v, err := values[i](d)
			if err != nil {
				return nil, err
			}
			if v != any(absent{}) {
				computed = append(computed, document(e.Name, v)...)
			}
		}
		return computed, nil
	}, nil
}

// accumulators give a group's value from those of its documents, which may be absent.
var accumulators = map[string]func(values []any) any{
	"$sum": func(values []any) any {
		var sum any = 0
		for _, v := range values {
			if isNumber(v) {
				sum = add(sum, v)
			}
		}
		return sum
	},
	"$first": func(values []any) any {
		if values[0] == any(absent{}) {
			return nil
		}
		return values[0]
	},
	"$push": func(values []any) any {
		return slices.DeleteFunc(values, func(v any) bool { return v == any(absent{}) })
	},
}

// field is one of a group: an accumulator of the values of an expression.
type field struct {
	name       string
	accumulate func([]any) any
	value      expression
}

func compileField(e bson.DocElem) (field, error) {
	a, ok := e.Value.(bson.D)
	if !ok || len(a) != 1 || accumulators[a[0].Name] == nil {
		return field{}, unsupported("accumulator", fmt.Sprint(e.Value))
	}
	value, err := compileExpression(a[0].Value)
	return field{e.Name, accumulators[a[0].Name], value}, err
}

// compileGroup makes a stage that makes one document of all with the same value of the
// expression _id, in the order of the first of each.
func compileGroup(spec bson.D) (stage, error) {
	id, _ := get(spec, "_id")
	key, err := compileExpression(id)
	if err != nil {
		return nil, err
	}
	isID := func(e bson.DocElem) bool { return e.Name == "_id" }
	fields, err := each(slices.DeleteFunc(slices.Clone(spec), isID), compileField)
	return func(documents []bson.D) ([]bson.D, error) {
		ids, err := each(documents, key)
		if err != nil {
			return nil, err
		}
		return each(split(ids, documents), func(g group) (bson.D, error) {
			d := document("_id", g.id)
			for _, f := range fields {
				values, err := each(g.documents, f.value)
				if err != nil {
					return nil, err
				}
				d = append(d, document(f.name, f.accumulate(values))...)
			}
			return d, nil
		})
	}, err
}

type group struct {
	id        any
	documents []bson.D
}

// split parts documents by their IDs, where absent is null.
func split(ids []any, documents []bson.D) (groups []group) {
	places := map[string]int{}
	for i, id := range ids {
		if id == any(absent{}) {
			id = nil
		}
		place, ok := places[keyOf(id)]
		if !ok {
			place = len(groups)
			places[keyOf(id)] = place
			groups = append(groups, group{id: id})
		}
		groups[place].documents = append(groups[place].documents, documents[i])
	}
	return groups
}
