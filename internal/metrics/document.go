package metrics

import (
	"fmt"
	"strings"
)

// why says what a cause is.
var why = map[Cause]string{
	Released:    "the holder handed over",
	Silent:      "the holder went silent",
	Outranked:   "by priority",
	Alone:       "no other holder was heard",
	CheckFailed: "the check failed here",
	Asked:       "an operator's failover",
	StandsAside: "the unit stands aside",
	LinkDown:    "an interface is down",
	Unknown:     "nobody here saw why",
}

func causes(before string, list []Cause) Label {
	var words []string
	for _, c := range list {
		words = append(words, fmt.Sprintf("`%s` (%s)", c, why[c]))
	}
	return Label{"cause", before + strings.Join(words, ", ")}
}

// Table is Families in Markdown.
func Table() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, f := range Families() {
		var names []string
		for _, l := range f.Labels {
			names = append(names, "`"+l.Name+"`")
		}
		note := ""
		if f.Hook {
			note = " (H)"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s%s |\n", f.Name, f.Type, strings.Join(names, ", "), f.Help, note)
	}
	return b.String()
}

// LabelTable is what the labels' values are, in Markdown.
func LabelTable() string {
	var b strings.Builder
	b.WriteString("| label | of | value |\n| --- | --- | --- |\n")
	said := map[string]bool{}
	for _, f := range Families() {
		for _, l := range f.Labels {
			of := ""
			if l.Name == "cause" || l.Name == "version" {
				of = "`" + f.Name + "`"
			}
			if said[l.Name+of] {
				continue
			}
			said[l.Name+of] = true
			fmt.Fprintf(&b, "| `%s` | %s | %s |\n", l.Name, of, l.Meaning)
		}
	}
	return b.String()
}

// FindingTable is the kinds of findings in Markdown.
func FindingTable() string {
	var b strings.Builder
	b.WriteString("| kind | what is wrong |\n| --- | --- |\n")
	for _, f := range Findings() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f, f.Meaning())
	}
	return b.String()
}
