package bench

import (
	"fmt"
	"math"

	"keepalived-charm/tests/svg"
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

// drawing is the plot.
type drawing struct{ svg.Drawing }

// whisker is a line from low to high with ends, and a dot at the median.
func (d *drawing) whisker(y float64, low, median, high Seconds, colour string) {
	from, to := position(low), position(high)
	d.Line(from, y, to, y, colour, 2, "")
	for _, x := range []float64{from, to} {
		d.Line(x, y-4, x, y+4, colour, 2, "")
	}
	d.Dot(position(median), y, colour)
}

// bound is the mark of a bound at one row.
func (d *drawing) bound(x, y float64) {
	d.Line(x, y-plotRow/2+3, x, y+plotRow/2-3, colourBound, 2.5, "")
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
	d := &drawing{svg.New(plotWidth, height, titles[kind])}
	d.Text(20, 28, 17, "start", colourText, titles[kind])
	d.Text(20, 48, 11, "start", "#555555", r.Origin())
	d.legend(20, 70)
	d.axis(bottom)
	for i, row := range r.Rows {
		d.row(row, plotTop+plotRow*(float64(i)+0.5))
	}
	return d.End()
}

func (d *drawing) legend(x, y float64) {
	for _, sample := range []struct {
		colour, text string
		width        float64
	}{
		{colourOurs, "this charm: median, lowest to highest", 285},
		{colourPython, "Python charm, measured the same way", 280},
	} {
		d.Line(x, y-4, x+24, y-4, sample.colour, 2, "")
		d.Dot(x+12, y-4, sample.colour)
		d.Text(x+32, y, 12, "start", colourText, sample.text)
		x += sample.width + 10
	}
	d.Line(x+8, y-12, x+8, y+3, colourBound, 2.5, "")
	d.Text(x+18, y, 12, "start", colourText, "bound for this charm's median")
}

func (d *drawing) axis(bottom float64) {
	tick := func(x float64, text string) {
		d.Line(x, plotTop, x, bottom+5, colourGrid, 1, "")
		d.Text(x, bottom+20, 12, "middle", colourText, text)
	}
	tick(position(0), "none")
	for _, s := range []Seconds{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10} {
		tick(position(s), fmt.Sprint(float64(s)))
	}
	d.Line(plotLeft+zeroWidth-8, plotTop, plotLeft+zeroWidth-8, bottom, "#999999", 1, ` stroke-dasharray="3 3"`)
	d.Line(plotLeft, bottom, plotRight, bottom, "#999999", 1, "")
	d.Text(plotRight, bottom+44, 12, "end", colourText,
		"longest time without a successful new connection, in seconds (logarithmic; one attempt every 10 ms)")
}

func (d *drawing) row(row Row, y float64) {
	d.Text(plotLeft-12, y+4, 13, "end", colourText, row.Event)
	d.Line(20, y+plotRow/2, plotRight, y+plotRow/2, "#eeeeee", 1, "")
	d.bound(position(row.Bound.Outage), y)
	switch {
	case row.Python.Measured:
		d.whisker(y-6, row.Python.Low, row.Python.Median, row.Python.High, colourPython)
	case row.Python.Text != "":
		d.Text(position(row.Bound.Outage)-8, y-2, 11, "end", colourPython, "Python charm: "+row.Python.Text)
	}
	if len(row.Runs) > 0 {
		low, median, high := row.Outages()
		d.whisker(y+6, low, median, high, colourOurs)
	}
}
