package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	reportFile     = "benchmarks.md"
	transcriptFile = "benchmarks.txt"
	imageFolder    = "images"
)

// A report is a folder with a Markdown file, the plots that it shows, and the transcript that it was made from. Its text is
// a person's: what is generated stands between markers, <!-- name --> and <!-- /name -->, and is replaced.
type report struct {
	dir string
	png bool // whether each plot is written as PNG too
}

const preamble = "run" // the section about the machine and the command

// check refuses, before twenty minutes are spent, what write could not do: a report that shows other plans too would be of two runs.
func (r report) check(which []plan) error {
	text, err := r.text(which)
	if err != nil {
		return err
	}
	for _, name := range append(names(which), preamble) {
		if _, err := fill(text, name, ""); err != nil {
			return fmt.Errorf("write into %s: %w", r.file(), err)
		}
	}
	for _, p := range plans {
		if _, err := fill(text, p.name, ""); err == nil && !slices.Contains(names(which), p.name) {
			return fmt.Errorf("write into %s: it shows %s too: use another folder, or -bench all", r.file(), p.name)
		}
	}
	return nil
}

func (r report) file() string { return filepath.Join(r.dir, reportFile) }

// text is the report as it stands, or the beginning of one.
func (r report) text(which []plan) (string, error) {
	data, err := os.ReadFile(r.file())
	if !errors.Is(err, fs.ErrNotExist) {
		return string(data), err
	}
	var text strings.Builder
	fmt.Fprintf(&text, "# Benchmarks\n\n<!-- %s -->\n<!-- /%[1]s -->\n", preamble)
	for _, p := range which {
		fmt.Fprintf(&text, "\n## %s\n\n<!-- %s -->\n<!-- /%[2]s -->\n", p.title, p.name)
	}
	return text.String(), nil
}

// write brings the report up to date with the transcript.
func (r report) write(which []plan, t transcript) error {
	text, err := r.text(which)
	if err != nil {
		return err
	}
	var about bytes.Buffer
	t.about(&about)
	if text, err = fill(text, preamble, about.String()); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(r.dir, imageFolder), 0o755); err != nil {
		return err
	}
	for _, p := range which {
		var section bytes.Buffer
		got, failed := t.of(p)
		if c := chartOf(p, got); len(c.rows) > 0 {
			image := imageFolder + "/benchmark-" + p.name
			if err := r.plot(image, c); err != nil {
				return fmt.Errorf("plot %s: %w", p.name, err)
			}
			fmt.Fprintf(&section, "![%s](%s.svg)\n\n", p.title, image)
		}
		section.WriteString(tables(p, got, failed))
		if text, err = fill(text, p.name, section.String()); err != nil {
			return err
		}
	}
	return os.WriteFile(r.file(), []byte(text), 0o644)
}

func (r report) plot(image string, c chart) error {
	formats := []string{"svg"}
	if r.png {
		formats = append(formats, "png")
	}
	for _, format := range formats {
		data, err := c.draw(format)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(r.dir, image+"."+format), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// tables is what a plan has shown, and what failed, as Markdown.
func tables(p plan, got results, failed []run) string {
	var out strings.Builder
	got.markdown(&out, p)
	if len(failed) > 0 {
		out.WriteString("\nWhat failed, and is not in these figures:\n\n")
	}
	for _, f := range failed {
		fmt.Fprintf(&out, "- %s, round %d: %s\n", p.label(f.side), f.round, f.failure)
	}
	return out.String()
}

// about writes what the figures were measured on, with and by.
func (t transcript) about(out io.Writer) {
	rounds := 0
	for _, r := range t.runs {
		rounds = max(rounds, r.round)
	}
	fmt.Fprintf(out, "Rounds: %d, on %s, on %s. Tables show medians, with least and most in brackets. Repeat it in `bench` with\n\n    %s\n\n",
		rounds, t.fact("machine"), t.fact("date"), t.fact("command"))
	row(out, []string{"", ""})
	row(out, []string{"---", "---"})
	for _, f := range t.facts {
		if name, version, ok := strings.Cut(f.value, " "); ok && f.key == "version" {
			row(out, []string{name, version})
		}
	}
}

// fill replaces what stands between a section's markers.
func fill(text, name, with string) (string, error) {
	begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
	before, rest, ok := strings.Cut(text, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return text, fmt.Errorf("it has no section between %s and %s", strings.TrimSpace(begin), end)
	}
	if with != "" {
		with = "\n" + with + "\n"
	}
	return before + begin + with + end + after, nil
}

func names(of []plan) []string {
	var names []string
	for _, p := range of {
		names = append(names, p.name)
	}
	return names
}
