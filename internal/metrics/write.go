package metrics

import (
	"io"
	"strconv"
	"strings"
)

// ContentType is that of the text (Prometheus, exposition formats, text-based format).
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Write writes a snapshot in the order of Families: those that nothing is known of are left
// out.
func Write(to io.Writer, s Snapshot) error {
	w := writer{}
	for _, f := range Families() {
		w.family(f, s)
	}
	_, err := io.WriteString(to, w.text.String())
	return err
}

// writer gathers the text.
type writer struct {
	text strings.Builder
	// of is the family that is being written, begun tells that it has a sample.
	of    Family
	begun bool
}

func (w *writer) family(f Family, s Snapshot) {
	w.of, w.begun = f, false
	f.collect(s, w)
}

// sample adds one sample, with the values of the family's labels in their order.
func (w *writer) sample(value float64, labels ...string) { w.suffixed("", value, "", labels...) }

// yes adds 1 or 0.
func (w *writer) yes(is bool, labels ...string) {
	value := 0.0
	if is {
		value = 1
	}
	w.sample(value, labels...)
}

// suffixed adds a sample of a histogram, whose last label may be le.
func (w *writer) suffixed(suffix string, value float64, le string, labels ...string) {
	b := &w.text
	if !w.begun {
		w.begun = true
		b.WriteString("# HELP " + w.of.Name + " " + w.of.Help + "\n# TYPE " + w.of.Name + " " + string(w.of.Type) + "\n")
	}
	b.WriteString(w.of.Name + suffix)
	open := byte('{')
	label := func(name, value string) {
		b.WriteByte(open)
		open = ','
		b.WriteString(name)
		b.WriteString(`="`)
		b.WriteString(escape.Replace(value))
		b.WriteByte('"')
	}
	for n, l := range w.of.Labels {
		label(l.Name, labels[n])
	}
	if le != "" {
		label("le", le)
	}
	if open == ',' {
		b.WriteByte('}')
	}
	b.WriteByte(' ')
	b.WriteString(number(value))
	b.WriteByte('\n')
}

// histogram adds a whole one.
func (w *writer) histogram(h Histogram, labels ...string) {
	all := uint64(0)
	for n, count := range h.counts {
		all += count
		le := "+Inf"
		if n < len(bounds) {
			le = number(bounds[n])
		}
		w.suffixed("_bucket", float64(all), le, labels...)
	}
	w.suffixed("_sum", h.sum, "", labels...)
	w.suffixed("_count", float64(all), "", labels...)
}

func number(value float64) string {
	if value == float64(int64(value)) {
		return strconv.FormatInt(int64(value), 10)
	}
	return strconv.FormatFloat(value, 'g', -1, 64)
}

// escape makes a label's value (the same source).
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)
