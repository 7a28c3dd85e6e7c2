package main

import (
	"fmt"
	"html"
	"math"
	"strconv"
	"strings"
)

// Measures of a plot, in pixels.
const (
	plotWidth  = 860
	labelWidth = 220
	valueWidth = 80 // right of the longest bar, for its value
	barHeight  = 14
	barGap     = 2
	rowGap     = 10
	topHeight  = 58
	axisHeight = 44
)

// plotStyle has the colors for light and for dark backgrounds. A column is a shade of its
// own; what is ours has another color.
const plotStyle = `
text{font:13px system-ui,-apple-system,"Segoe UI",sans-serif;fill:#1f2328}
.title{font-size:16px;font-weight:600}.us{font-weight:600}.value{font-size:11px}.axis{font-size:11px;fill:#59636e}
.back{fill:#ffffff}.grid{stroke:#d1d9e0;stroke-width:1}
.us0{fill:#0550ae}.us1{fill:#218bff}.us2{fill:#80ccff}.peer0{fill:#57606a}.peer1{fill:#8c959f}.peer2{fill:#bfc6cd}
@media (prefers-color-scheme:dark){
text{fill:#f0f6fc}.axis{fill:#9198a1}.back{fill:#0d1117}.grid{stroke:#3d444d}
.us0{fill:#79c0ff}.us1{fill:#388bfd}.us2{fill:#1158c7}.peer0{fill:#afb8c1}.peer1{fill:#7d8590}.peer2{fill:#4d5561}
}`

// shades is how many columns have a color of their own.
const shades = 3

// plot returns a group as SVG: a row for each who, a bar for each column, the value at its
// end.
func plot(g group, r *results) string {
	rows, cols := g.rows(r), g.cols(r)
	highest := 0.0
	for _, who := range rows {
		for _, c := range cols {
			if v, ok := g.value(r, who, c); ok {
				highest = max(highest, v)
			}
		}
	}
	step := tickStep(highest)
	end := max(step, math.Ceil(highest/step)*step)
	barsWidth := float64(plotWidth - labelWidth - valueWidth)
	x := func(v float64) float64 { return labelWidth + v/end*barsWidth }
	rowHeight := len(cols)*(barHeight+barGap) + rowGap
	bottom := topHeight + len(rows)*rowHeight
	height := bottom + axisHeight

	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`,
		plotWidth, height, plotWidth, height, html.EscapeString(g.title))
	fmt.Fprintf(&b, "\n<style>%s\n</style>\n", plotStyle)
	fmt.Fprintf(&b, `<rect class="back" width="%d" height="%d"/>`+"\n", plotWidth, height)
	fmt.Fprintf(&b, `<text class="title" x="12" y="24">%s</text>`+"\n", html.EscapeString(g.title))
	legend(&b, cols)
	for v := 0.0; v <= end+step/2; v += step {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`, x(v), x(v), topHeight-4, bottom)
		fmt.Fprintf(&b, `<text class="axis" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(v), bottom+15, tick(v))
	}
	fmt.Fprintf(&b, `<text class="axis" x="%.1f" y="%d" text-anchor="middle">%s</text>`+"\n", x(end/2), bottom+34, html.EscapeString(unitTitle(g.unit)))
	for i, who := range rows {
		writeRow(&b, plotRow{g, r, who, cols}, topHeight+i*rowHeight, x)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// plotRow is one row of a plot.
type plotRow struct {
	group   group
	results *results
	who     string
	cols    []column
}

// writeRow draws the label and the bars of a row. Its top is at y, and x says where a bar ends.
func writeRow(b *strings.Builder, r plotRow, y int, x func(v float64) float64) {
	name, color := "", "peer"
	if ours(r.who) {
		name, color = ` class="us"`, "us"
	}
	middle := y + len(r.cols)*(barHeight+barGap)/2 + 4
	fmt.Fprintf(b, `<text%s x="%d" y="%d" text-anchor="end">%s</text>`+"\n", name, labelWidth-10, middle, html.EscapeString(label(r.who)))
	for j, c := range r.cols {
		v, ok := r.group.value(r.results, r.who, c)
		if !ok {
			continue
		}
		top := y + j*(barHeight+barGap)
		fmt.Fprintf(b, `<rect class="%s%d" x="%d" y="%d" width="%.1f" height="%d"/>`, color, j%shades, labelWidth, top, max(1, x(v)-labelWidth), barHeight)
		fmt.Fprintf(b, `<text class="value" x="%.1f" y="%d">%s</text>`+"\n", x(v)+5, top+barHeight-3, html.EscapeString(number(v, r.group.unit)))
	}
}

// legend says which shade is which column.
func legend(b *strings.Builder, cols []column) {
	if len(cols) < 2 {
		return
	}
	x := labelWidth
	for j, c := range cols {
		fmt.Fprintf(b, `<rect class="us%d" x="%d" y="34" width="10" height="10"/><rect class="peer%d" x="%d" y="34" width="10" height="10"/>`, j%shades, x, j%shades, x+12)
		fmt.Fprintf(b, `<text class="axis" x="%d" y="43">%s</text>`+"\n", x+28, html.EscapeString(c.title))
		x += 60 + 7*len(c.title)
	}
}

// tickStep returns a round number of which about five make highest.
func tickStep(highest float64) float64 {
	if highest <= 0 {
		return 1
	}
	raw := highest / 5
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*power {
			return m * power
		}
	}
	return 10 * power
}

// tick returns a value of the axis, with commas between thousands.
func tick(v float64) string {
	text := strconv.FormatFloat(v, 'f', -1, 64)
	if v < 1 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	whole, fraction, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if fraction != "" {
		return whole + "." + fraction
	}
	return whole
}
