package main

import (
	"bytes"
	"errors"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// A chart has a row for each side: a bar where the axis is linear, otherwise a point for each of several measures, with
// whiskers from least to most and the median beside them.
type chart struct {
	title, axis string
	log         bool
	measures    []string
	rows        []chartRow // from top to bottom
}

type chartRow struct {
	label  string
	own    bool
	values []spread // one for each measure
}

// chartOf draws what a plan measures. Of latencies the most is left out: it is one task's.
func chartOf(p plan, got results) chart {
	c := chart{title: p.title, axis: p.axis, log: p.log}
	units := slices.DeleteFunc(slices.Clone(p.units), func(u unit) bool { return u.name == "ms-max" })
	for _, u := range units {
		c.measures = append(c.measures, strings.TrimSuffix(u.label, ", ms"))
	}
	for _, s := range p.sides {
		r := chartRow{label: s.label, own: s.own()}
		for _, u := range units {
			if v, ok := got.spread(s.name, u.name); ok {
				r.values = append(r.values, v)
			}
		}
		if len(r.values) == len(units) {
			c.rows = append(c.rows, r)
		}
	}
	return c
}

const (
	chartWidth = 8 * vg.Inch
	margin     = 0.12 * vg.Inch
	frame      = 1.1 * vg.Inch // title, axis and its label
)

// draw returns the chart as "svg" or "png".
func (c chart) draw(format string) ([]byte, error) {
	if len(c.rows) == 0 {
		return nil, errors.New("there is nothing to draw")
	}
	p := plot.New()
	p.Title.Text, p.X.Label.Text = c.title, c.axis
	p.Title.Padding = vg.Points(8)
	for _, font := range []*vg.Length{&p.X.Label.TextStyle.Font.Size, &p.X.Tick.Label.Font.Size, &p.Y.Tick.Label.Font.Size, &p.Legend.TextStyle.Font.Size} {
		*font = vg.Points(11)
	}
	p.Title.TextStyle.Font.Size = vg.Points(14)
	p.Title.TextStyle.Font.Variant, p.X.Label.TextStyle.Font.Variant = sans, sans
	p.X.Tick.Label.Font.Variant, p.Y.Tick.Label.Font.Variant, p.Legend.TextStyle.Font.Variant = sans, sans, sans

	labels := make([]string, len(c.rows))
	for i, r := range c.rows {
		labels[len(labels)-1-i] = r.label
	}
	p.NominalY(labels...)
	p.Y.Tick.Length, p.Y.LineStyle.Width = 0, 0
	p.Add(rows(c))
	p.Y.Min, p.Y.Max = -0.5, float64(len(c.rows))-0.5
	p.X.Padding, p.Y.Padding = 0, 0
	p.X.Min, p.X.Max = c.reach()
	p.X.Tick.Marker = ticks{c.log}
	if c.log {
		p.X.Scale = plot.LogScale{}
	}
	for i, m := range c.measures {
		if len(c.measures) > 1 {
			p.Legend.Add(m, legend{marks[i]})
		}
	}
	p.Legend.Top, p.Legend.YOffs = true, vg.Points(22) // beside the title
	p.Legend.Padding = vg.Points(3)
	height := 0.36 * vg.Inch // of a row
	if len(c.measures) > 1 {
		height = 0.27 * vg.Inch * vg.Length(len(c.measures))
	}
	canvas, err := draw.NewFormattedCanvas(chartWidth, frame+height*vg.Length(len(c.rows)), format)
	if err != nil {
		return nil, err
	}
	whole := draw.New(canvas)
	whole.FillPolygon(color.White, []vg.Point{whole.Min, {X: whole.Min.X, Y: whole.Max.Y}, whole.Max, {X: whole.Max.X, Y: whole.Min.Y}})
	p.Draw(draw.Crop(whole, margin, -margin, margin, -margin))
	var out bytes.Buffer
	if _, err := canvas.WriteTo(&out); err != nil {
		return nil, err
	}
	// Where a reader's machine lacks the font that the text was laid out with, one of the same widths will do.
	return bytes.ReplaceAll(out.Bytes(), []byte("font-family:Liberation Sans;"),
		[]byte("font-family:'Liberation Sans',Arial,Helvetica,sans-serif;")), nil
}

const sans = "Sans"

// reach is where the axis begins and ends: past the largest value there is room for its label.
func (c chart) reach() (from, to float64) {
	least, most := math.Inf(1), math.Inf(-1)
	for _, r := range c.rows {
		for _, v := range r.values {
			if v.least > 0 {
				least = min(least, v.least)
			}
			most = max(most, v.most)
		}
	}
	switch {
	case most <= 0 || math.IsInf(least, 1): // nothing that could be drawn
		return 0.1, 1
	case !c.log:
		return 0, most * 1.18
	}
	from = least / 2
	return from, most * math.Pow(most/from, 0.18)
}

// ticks are those of a linear axis, or at the powers of ten, with numbers as in the tables.
type ticks struct{ log bool }

func (t ticks) Ticks(from, to float64) []plot.Tick {
	var all []plot.Tick
	if !t.log {
		step := round(to / 6)
		for v := 0.0; v <= to; v += step {
			all = append(all, plot.Tick{Value: v, Label: number(v)})
		}
		return all
	}
	for power := math.Floor(math.Log10(from)); power <= math.Log10(to); power++ {
		for i := 1.0; i < 10; i++ {
			tick := plot.Tick{Value: i * math.Pow(10, power)}
			if i == 1 {
				tick.Label = number(tick.Value)
			}
			if tick.Value >= from && tick.Value <= to {
				all = append(all, tick)
			}
		}
	}
	return all
}

// round is the next larger number of 1, 2 and 5 with zeros.
func round(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, digit := range []float64{1, 2, 5} {
		if digit*power >= v {
			return digit * power
		}
	}
	return 10 * power
}

// legend shows how a measure is drawn.
type legend struct{ mark draw.GlyphDrawer }

func (l legend) Thumbnail(c *draw.Canvas) {
	c.DrawGlyph(draw.GlyphStyle{Color: others, Radius: radius, Shape: l.mark}, c.Center())
}
