package docdb

import (
	"regexp"
	"strings"

	"github.com/juju/mgo/v3/bson"
)

// predicate tells whether a document matches; test, whether the values at a path do.
type (
	predicate = func(bson.D) bool
	test      = func([]any) bool
)

func every[T any](conditions []func(T) bool) func(T) bool {
	return func(v T) bool {
		for _, holds := range conditions {
			if !holds(v) {
				return false
			}
		}
		return true
	}
}

func some[T any](conditions []func(T) bool) func(T) bool {
	return func(v T) bool {
		for _, holds := range conditions {
			if holds(v) {
				return true
			}
		}
		return false
	}
}

func not(t test) test { return func(values []any) bool { return !t(values) } }

// compileFilter makes a predicate of a query document. It fails for what is unknown, also if
// there is no document to try it on.
func compileFilter(filter bson.D) (predicate, error) {
	conditions, err := each(filter, compileCondition)
	return every(conditions), err
}

func compileCondition(e bson.DocElem) (predicate, error) {
	switch {
	case e.Name == "$and":
		all, err := compileAll(e, compileQuery)
		return every(all), err
	case e.Name == "$or":
		all, err := compileAll(e, compileQuery)
		return some(all), err
	case strings.HasPrefix(e.Name, "$"):
		return nil, unsupported("query operator", e.Name)
	}
	holds, err := compileTest(e.Value)
	path := strings.Split(e.Name, ".")
	return func(d bson.D) bool { return holds(reach(d, path)) }, err
}

// compileAll compiles each item of a list that an operator needs.
func compileAll[T any](e bson.DocElem, compile func(any) (func(T) bool, error)) ([]func(T) bool, error) {
	items, ok := e.Value.([]any)
	if !ok {
		return nil, badValue("%s needs a list", e.Name)
	}
	return each(items, compile)
}

// compileQuery is compileFilter for a filter within another.
func compileQuery(operand any) (predicate, error) {
	filter, ok := operand.(bson.D)
	if !ok {
		return nil, badValue("a condition is no document: %v", operand)
	}
	return compileFilter(filter)
}

// operatorsOf returns v if it is a document of operators, such as {$gt: 1, $lt: 3}.
func operatorsOf(v any) (bson.D, bool) {
	d, ok := v.(bson.D)
	return d, ok && len(d) > 0 && strings.HasPrefix(d[0].Name, "$")
}

// compileTest makes a test of what a field is to be: operators or a value.
func compileTest(operand any) (test, error) {
	operators, ok := operatorsOf(operand)
	if !ok {
		return compileEqual(operand)
	}
	tests, err := each(operators, func(e bson.DocElem) (test, error) { return compileOperator(e, operators) })
	return every(tests), err
}

// compileOperator makes a test of one operator; all are those that it stands among.
func compileOperator(e bson.DocElem, all bson.D) (test, error) {
	switch e.Name {
	case "$eq":
		return compileEqual(e.Value)
	case "$ne":
		t, err := compileEqual(e.Value)
		return not(t), err
	case "$gt", "$gte", "$lt", "$lte":
		return compileOrder(e.Name, e.Value), nil
	case "$in":
		tests, err := compileAll(e, compileEqual)
		return some(tests), err
	case "$nin":
		tests, err := compileAll(e, compileEqual)
		return not(some(tests)), err
	case "$all":
		tests, err := compileAll(e, compileEqual)
		return every(tests), err
	case "$exists":
		return func(values []any) bool { return (len(values) > 0) == isTrue(e.Value) }, nil
	case "$not":
		t, err := compileTest(e.Value)
		return not(t), err
	case "$size":
		return compileSize(e.Value)
	case "$elemMatch":
		return compileElemMatch(e.Value)
	case "$regex":
		return compileRegex(e.Value, all)
	case "$options": // belongs to $regex
		return every[[]any](nil), nil
	}
	return nil, unsupported("query operator", e.Name)
}

// anyOf tells whether a condition holds for a value, or for an item of one that is an array.
func anyOf(holds func(any) bool) test {
	return func(values []any) bool {
		for _, v := range values {
			if holds(v) {
				return true
			}
			items, _ := v.([]any)
			for _, item := range items {
				if holds(item) {
					return true
				}
			}
		}
		return false
	}
}

// compileEqual tests for a value or, where the operand is a regular expression, for a text that
// matches. A field that is not there equals null.
func compileEqual(operand any) (test, error) {
	if r, ok := operand.(bson.RegEx); ok {
		return compilePattern(r.Pattern, r.Options)
	}
	same := anyOf(func(v any) bool { return equal(v, operand) })
	return func(values []any) bool { return same(values) || operand == nil && len(values) == 0 }, nil
}

// compileOrder compares with values of the operand's type only.
func compileOrder(name string, operand any) test {
	return anyOf(func(v any) bool {
		if rank(v) != rank(operand) {
			return false
		}
		c := compare(v, operand)
		switch name {
		case "$gt":
			return c > 0
		case "$gte":
			return c >= 0
		case "$lt":
			return c < 0
		}
		return c <= 0
	})
}

func compileSize(operand any) (test, error) {
	if !isNumber(operand) {
		return nil, badValue("$size needs a number")
	}
	return func(values []any) bool {
		for _, v := range values {
			if items, ok := v.([]any); ok && int64(len(items)) == toInt(operand) {
				return true
			}
		}
		return false
	}, nil
}

// compileElemMatch looks for an item of an array that matches as a whole: by operators, or as a
// document.
func compileElemMatch(operand any) (test, error) {
	d, ok := operand.(bson.D)
	if !ok {
		return nil, badValue("$elemMatch needs a document")
	}
	var holds func(any) bool
	if _, isOperators := operatorsOf(d); isOperators && d[0].Name != "$and" && d[0].Name != "$or" {
		t, err := compileTest(d)
		if err != nil {
			return nil, err
		}
		holds = func(item any) bool { return t([]any{item}) }
	} else {
		p, err := compileFilter(d)
		if err != nil {
			return nil, err
		}
		holds = func(item any) bool { d, ok := item.(bson.D); return ok && p(d) }
	}
	return func(values []any) bool {
		for _, v := range values {
			items, _ := v.([]any)
			for _, item := range items {
				if holds(item) {
					return true
				}
			}
		}
		return false
	}, nil
}

func compileRegex(operand any, all bson.D) (test, error) {
	pattern, isText := operand.(string)
	var options string
	if r, ok := operand.(bson.RegEx); ok {
		pattern, options, isText = r.Pattern, r.Options, true
	}
	if o, ok := get(all, "$options"); ok && isText {
		options, isText = o.(string)
	}
	if !isText {
		return nil, badValue("$regex and $options need texts")
	}
	return compilePattern(pattern, options)
}

// compilePattern tests for texts that match an expression. A real server's are of PCRE; those
// that Go does not know, such as look-aheads, are an error.
func compilePattern(pattern, options string) (test, error) {
	if strings.Trim(options, "ims") != "" {
		return nil, unsupported("options of a regular expression", options)
	}
	if options != "" {
		pattern = "(?" + options + ")" + pattern
	}
	r, err := regexp.Compile(pattern)
	if err != nil {
		return nil, unsupported("regular expression", pattern)
	}
	return anyOf(func(v any) bool { s, ok := v.(string); return ok && r.MatchString(s) }), nil
}
