package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// results are the values of a plan's sides by unit and round. A round in which the side failed has none.
type results map[string]map[string]map[int]float64

// of is what the runs of a plan have shown, and what became of those that failed.
func (t transcript) of(p plan) (results, []run) {
	got := results{}
	var failed []run
	for _, r := range t.runs {
		if r.plan != p.name {
			continue
		}
		if r.failure != "" {
			failed = append(failed, r)
			continue
		}
		if got[r.side] == nil {
			got[r.side] = map[string]map[int]float64{}
		}
		for unit, v := range r.values {
			if got[r.side][unit] == nil {
				got[r.side][unit] = map[int]float64{}
			}
			got[r.side][unit][r.round] = v
		}
	}
	return got, failed
}

// A spread is what several rounds have shown.
type spread struct{ least, median, most float64 }

// String is the median, and the range if there is one.
func (s spread) String() string {
	if s.least == s.most {
		return fmt.Sprintf("**%s**", number(s.median))
	}
	return fmt.Sprintf("**%s** (%s – %s)", number(s.median), number(s.least), number(s.most))
}

// spread is that of a side's unit, and whether any round has shown it.
func (r results) spread(side, unit string) (spread, bool) {
	v := slices.Sorted(maps.Values(r[side][unit]))
	if len(v) == 0 {
		return spread{}, false
	}
	return spread{v[0], median(v), v[len(v)-1]}, true
}

// ratio is the median of the rounds' ratios, as both sides of a round met the same machine.
func (r results) ratio(side, base, unit string) (float64, bool) {
	var ratios []float64
	for round, v := range r[side][unit] {
		if of := r[base][unit][round]; of != 0 {
			ratios = append(ratios, v/of)
		}
	}
	if len(ratios) == 0 {
		return 0, false
	}
	return median(ratios), true
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// markdown writes a row for each side: medians with least and most, ratios of the first unit, and what is steady.
func (r results) markdown(out io.Writer, p plan) {
	bases := slices.DeleteFunc(slices.Clone(p.bases), func(base string) bool { return r[base] == nil })
	header := []string{""}
	for _, u := range p.units {
		header = append(header, u.label)
	}
	for _, base := range bases {
		header = append(header, "× "+p.label(base))
	}
	for _, u := range p.steady {
		header = append(header, u.label)
	}
	row(out, header)
	row(out, append([]string{"---"}, slices.Repeat([]string{"---:"}, len(header)-1)...))
	for _, s := range p.sides {
		if r[s.name] == nil {
			continue
		}
		cells := []string{s.label}
		for _, u := range p.units {
			cell := ""
			if v, ok := r.spread(s.name, u.name); ok {
				cell = v.String()
			}
			cells = append(cells, cell)
		}
		for _, base := range bases {
			cell := ""
			if ratio, ok := r.ratio(s.name, base, p.units[0].name); ok {
				cell = number(ratio)
			}
			cells = append(cells, cell)
		}
		for _, u := range p.steady {
			cell := ""
			if v, ok := r.spread(s.name, u.name); ok {
				cell = number(v.median)
			}
			cells = append(cells, cell)
		}
		row(out, cells)
	}
}

// number keeps three digits and separates thousands.
func number(v float64) string {
	text := strconv.FormatFloat(v, 'g', 3, 64)
	if rounded, err := strconv.ParseFloat(text, 64); err == nil { // it is its own inverse
		v = rounded
	}
	text = strconv.FormatFloat(v, 'f', -1, 64)
	whole, fraction, _ := strings.Cut(text, ".")
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "−", whole[1:]
	}
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	if fraction != "" {
		fraction = "." + fraction
	}
	return sign + whole + fraction
}

func row(out io.Writer, cells []string) { fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | ")) }
