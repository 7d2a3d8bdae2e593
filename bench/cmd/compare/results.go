package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// results are the values of each side and unit, a value a round.
type results map[string]map[string][]float64

// add reads the line of a benchmark's output that holds its values: name, count, and then pairs of value and unit.
func (r results) add(side, output string) error {
	for line := range strings.Lines(output) {
		fields := strings.Fields(line)
		if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
			continue
		}
		for i := 2; i+1 < len(fields); i += 2 {
			v, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return fmt.Errorf("read %q: %w", line, err)
			}
			if r[side] == nil {
				r[side] = map[string][]float64{}
			}
			r[side][fields[i+1]] = append(r[side][fields[i+1]], v)
		}
		return nil
	}
	return errors.New("it reports no values")
}

// markdown writes the least, median and most of each unit, and the ratios of the first unit: the median of the rounds'
// ratios, as both sides of a round met the same machine.
func (r results) markdown(out io.Writer, p plan) {
	bases := slices.DeleteFunc(slices.Clone(p.bases), func(base string) bool { return r[base] == nil })
	header := []string{""}
	for _, unit := range p.units {
		header = append(header, unit+": min", "median", "max")
	}
	for _, base := range bases {
		header = append(header, "× "+base)
	}
	header = append(header, p.steady...)
	row(out, header)
	row(out, append([]string{"---"}, slices.Repeat([]string{"---:"}, len(header)-1)...))
	for _, s := range p.sides {
		cells := []string{s.name}
		for _, unit := range p.units {
			v := r[s.name][unit]
			cells = append(cells, number(slices.Min(v)), number(median(v)), number(slices.Max(v)))
		}
		for _, base := range bases {
			cells = append(cells, fmt.Sprintf("%.2f", r.ratio(s.name, base, p.units[0])))
		}
		for _, unit := range p.steady {
			cell := ""
			if v := r[s.name][unit]; len(v) > 0 {
				cell = number(median(v))
			}
			cells = append(cells, cell)
		}
		row(out, cells)
	}
}

func (r results) ratio(side, base, unit string) float64 {
	var ratios []float64
	for i, v := range r[side][unit] {
		ratios = append(ratios, v/r[base][unit][i])
	}
	return median(ratios)
}

func median(values []float64) float64 {
	v := slices.Sorted(slices.Values(values))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// number keeps three digits, or all before the point.
func number(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'g', 3, 64)
}

func row(out io.Writer, cells []string) { fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | ")) }
