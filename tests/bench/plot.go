package bench

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// The plot's measures, in pixels; its height follows the number of rows.
const (
	plotWidth  = 960
	plotLeft   = 330 // where events end and the axis begins
	plotRight  = 930
	plotTop    = 88
	plotRow    = 32
	plotBottom = 62
	zeroWidth  = 64 // the column of outages without a lost connection
)

// The axis is logarithmic, because a clean hand-over and a dead service of the
// Python charm are a factor of 300 apart, from the interval of the attempts on;
// "none lost" has a column of its own before it.
const (
	axisLow  Seconds = 0.01
	axisHigh Seconds = 12
)

const (
	colourOurs   = "#0b5cad"
	colourPython = "#d9730d"
	colourBound  = "#b00020"
	colourGrid   = "#dddddd"
	colourText   = "#222222"
)

// position is where a time stands on the axis.
func position(s Seconds) float64 {
	const start = plotLeft + zeroWidth
	if s <= 0 {
		return plotLeft + zeroWidth/2 - 8
	}
	share := math.Log(float64(s/axisLow)) / math.Log(float64(axisHigh/axisLow))
	return start + (plotRight-start)*min(1, max(0, share))
}

// drawing collects the elements of an SVG image (SVG 1.1, no scripts).
type drawing struct{ strings.Builder }

func (d *drawing) line(x1, y1, x2, y2 float64, colour string, width float64, more string) {
	fmt.Fprintf(d, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"%s/>`+"\n",
		x1, y1, x2, y2, colour, width, more)
}

func (d *drawing) dot(x, y float64, colour string) {
	fmt.Fprintf(d, `<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s"/>`+"\n", x, y, colour)
}

// text writes at a place; anchor is start, middle or end.
func (d *drawing) text(x, y float64, size int, anchor, colour, text string) {
	fmt.Fprintf(d, `<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s" fill="%s">%s</text>`+"\n",
		x, y, size, anchor, colour, html.EscapeString(text))
}

// whisker is a line from low to high with ends, and a dot at the median.
func (d *drawing) whisker(y float64, low, median, high Seconds, colour string) {
	from, to := position(low), position(high)
	d.line(from, y, to, y, colour, 2, "")
	for _, x := range []float64{from, to} {
		d.line(x, y-4, x, y+4, colour, 2, "")
	}
	d.dot(position(median), y, colour)
}

// bound is the mark of a bound at one row.
func (d *drawing) bound(x, y float64) {
	d.line(x, y-plotRow/2+3, x, y+plotRow/2-3, colourBound, 2.5, "")
}

// titles are the plots' headings.
var titles = map[Kind]string{
	Fault:  "How long clients cannot connect to the virtual IP after a fault",
	Change: "How long clients cannot connect to the virtual IP during a change",
}

// Plot draws the rows of one kind as an SVG image.
func (r Report) Plot(kind Kind) string {
	r = r.Of(kind)
	bottom := float64(plotTop + plotRow*len(r.Rows))
	height := int(bottom) + plotBottom
	d := &drawing{}
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" `+
		`font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif">`+"\n", plotWidth, height, plotWidth, height)
	fmt.Fprintf(d, "<title>%s</title>\n", titles[kind])
	fmt.Fprintf(d, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", plotWidth, height)
	d.text(20, 28, 17, "start", colourText, titles[kind])
	d.text(20, 48, 11, "start", "#555555", r.Origin())
	d.legend(20, 70)
	d.axis(bottom)
	for i, row := range r.Rows {
		d.row(row, plotTop+plotRow*(float64(i)+0.5))
	}
	d.WriteString("</svg>\n")
	return d.String()
}

func (d *drawing) legend(x, y float64) {
	for _, sample := range []struct {
		colour, text string
		width        float64
	}{
		{colourOurs, "this charm: median, lowest to highest", 285},
		{colourPython, "Python charm, measured the same way", 280},
	} {
		d.line(x, y-4, x+24, y-4, sample.colour, 2, "")
		d.dot(x+12, y-4, sample.colour)
		d.text(x+32, y, 12, "start", colourText, sample.text)
		x += sample.width + 10
	}
	d.line(x+8, y-12, x+8, y+3, colourBound, 2.5, "")
	d.text(x+18, y, 12, "start", colourText, "bound for this charm's median")
}

func (d *drawing) axis(bottom float64) {
	tick := func(x float64, text string) {
		d.line(x, plotTop, x, bottom+5, colourGrid, 1, "")
		d.text(x, bottom+20, 12, "middle", colourText, text)
	}
	tick(position(0), "none")
	for _, s := range []Seconds{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10} {
		tick(position(s), fmt.Sprint(float64(s)))
	}
	d.line(plotLeft+zeroWidth-8, plotTop, plotLeft+zeroWidth-8, bottom, "#999999", 1, ` stroke-dasharray="3 3"`)
	d.line(plotLeft, bottom, plotRight, bottom, "#999999", 1, "")
	d.text(plotRight, bottom+44, 12, "end", colourText,
		"longest time without a successful new connection, in seconds (logarithmic; one attempt every 10 ms)")
}

func (d *drawing) row(row Row, y float64) {
	d.text(plotLeft-12, y+4, 13, "end", colourText, row.Event)
	d.line(20, y+plotRow/2, plotRight, y+plotRow/2, "#eeeeee", 1, "")
	d.bound(position(row.Bound.Outage), y)
	switch {
	case row.Python.Measured:
		d.whisker(y-6, row.Python.Low, row.Python.Median, row.Python.High, colourPython)
	case row.Python.Text != "":
		d.text(position(row.Bound.Outage)-8, y-2, 11, "end", colourPython, "Python charm: "+row.Python.Text)
	}
	if len(row.Runs) > 0 {
		low, median, high := row.Outages()
		d.whisker(y+6, low, median, high, colourOurs)
	}
}
