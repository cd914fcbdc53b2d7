// Package svg writes drawings for the documentation (SVG 1.1, no scripts). Measures are in
// pixels, y goes downwards.
package svg

import (
	"fmt"
	"html"
	"strings"
)

// Drawing collects the elements of an image.
type Drawing struct{ b *strings.Builder }

// New begins an image on white.
func New(width, height int, title string) Drawing {
	d := Drawing{&strings.Builder{}}
	fmt.Fprintf(d.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" `+
		`font-family="DejaVu Sans, Verdana, Helvetica, Arial, sans-serif">`+"\n", width, height, width, height)
	fmt.Fprintf(d.b, "<title>%s</title>\n", html.EscapeString(title))
	fmt.Fprintf(d.b, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", width, height)
	return d
}

// End is the whole image.
func (d Drawing) End() string { return d.b.String() + "</svg>\n" }

// Line draws a line; more are attributes with a space before.
func (d Drawing) Line(x1, y1, x2, y2 float64, colour string, width float64, more string) {
	fmt.Fprintf(d.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%.1f"%s/>`+"\n",
		x1, y1, x2, y2, colour, width, more)
}

// Dot draws a filled circle.
func (d Drawing) Dot(x, y float64, colour string) {
	fmt.Fprintf(d.b, `<circle cx="%.1f" cy="%.1f" r="4.5" fill="%s"/>`+"\n", x, y, colour)
}

// Box draws a filled rectangle.
func (d Drawing) Box(x, y, width, height float64, colour string) {
	fmt.Fprintf(d.b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>`+"\n", x, y, width, height, colour)
}

// Text writes at a place; anchor is start, middle or end.
func (d Drawing) Text(x, y float64, size int, anchor, colour, text string) {
	fmt.Fprintf(d.b, `<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s" fill="%s">%s</text>`+"\n",
		x, y, size, anchor, colour, html.EscapeString(text))
}
