package main

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

var (
	mine   = color.NRGBA{R: 0x1f, G: 0x6f, B: 0xb4, A: 0xff}
	others = color.NRGBA{R: 0x8a, G: 0x93, B: 0x9c, A: 0xff}
	faint  = color.NRGBA{R: 0xe3, G: 0xe6, B: 0xe9, A: 0xff}
	dark   = color.NRGBA{R: 0x22, G: 0x26, B: 0x2a, A: 0xff}

	// marks are the shapes of a chart's measures.
	marks = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.PyramidGlyph{}}
)

const radius = vg.Length(4.5)

// rows are a chart's bars or points.
type rows chart

// Plot draws them.
func (c rows) Plot(canvas draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&canvas)
	axis := canvas.Min.X
	height := y(1) - y(0)
	c.grid(canvas, p, x)
	for i, r := range c.rows {
		fill := others
		if r.own {
			fill = mine
		}
		for m, v := range r.values {
			// The measures of a row stand below each other.
			at := y(float64(len(c.rows)-1-i)) - height*(vg.Length(m)-vg.Length(len(r.values)-1)/2)/vg.Length(len(r.values)+1)
			if v.median <= 0 && c.log {
				c.text(canvas, p, vg.Point{X: axis + 6, Y: at}, "« "+number(-v.median)+" too early")
				continue
			}
			right := max(x(v.most), x(v.median))
			if c.log {
				canvas.StrokeLine2(draw.LineStyle{Color: faint, Width: 2}, axis, at, x(v.median), at)
			} else {
				half := height * 0.31
				canvas.FillPolygon(fill, []vg.Point{{X: axis, Y: at - half}, {X: x(v.median), Y: at - half}, {X: x(v.median), Y: at + half}, {X: axis, Y: at + half}})
			}
			whisker(canvas, max(axis, left(x, v.least, axis)), x(v.most), at)
			if c.log {
				canvas.DrawGlyph(draw.GlyphStyle{Color: fill, Radius: radius, Shape: marks[m%len(marks)]}, vg.Point{X: x(v.median), Y: at})
				right = max(right, x(v.median)+radius)
			}
			c.text(canvas, p, vg.Point{X: right + 6, Y: at}, number(v.median))
		}
	}
}

// left is where a value lies, or the axis if its logarithm has no place.
func left(x func(float64) vg.Length, v float64, axis vg.Length) vg.Length {
	if v <= 0 {
		return axis
	}
	return x(v)
}

// grid draws a line at each number of the axis.
func (c rows) grid(canvas draw.Canvas, p *plot.Plot, x func(float64) vg.Length) {
	for _, t := range (ticks{c.log}).Ticks(p.X.Min, p.X.Max) {
		if t.Label != "" && t.Value >= p.X.Min && t.Value <= p.X.Max {
			canvas.StrokeLine2(draw.LineStyle{Color: faint, Width: 0.7}, x(t.Value), canvas.Min.Y, x(t.Value), canvas.Max.Y)
		}
	}
}

// whisker draws a line from the least to the most, with ends.
func whisker(canvas draw.Canvas, from, to, at vg.Length) {
	style := draw.LineStyle{Color: dark, Width: 1}
	canvas.StrokeLine2(style, from, at, to, at)
	for _, end := range []vg.Length{from, to} {
		canvas.StrokeLine2(style, end, at-3, end, at+3)
	}
}

// text writes beside a point, in the middle of its height.
func (c rows) text(canvas draw.Canvas, p *plot.Plot, at vg.Point, text string) {
	style := p.X.Tick.Label
	style.XAlign, style.YAlign, style.Color = draw.XLeft, draw.YCenter, dark
	canvas.FillText(style, at, text)
}
