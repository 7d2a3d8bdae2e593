package main

import (
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
)

// newTable begins a table without lines, as people can read it and cut and awk can too.
func newTable(columns ...string) table.Writer {
	w := table.NewWriter()
	w.SetStyle(table.StyleDefault)
	w.Style().Options = table.Options{}
	w.Style().Box.PaddingLeft, w.Style().Box.PaddingRight = "", "  "
	w.SuppressTrailingSpaces()
	header := make(table.Row, len(columns))
	for i, c := range columns {
		header[i] = strings.ToUpper(c)
	}
	w.AppendHeader(header)
	return w
}
