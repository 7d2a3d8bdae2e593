package handler

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/task"
)

// A lent is the node's side of a run: it has a fencing token and takes the result.
type lent struct {
	fence   int64
	slot    int64
	results [][]byte // every call's
}

func (l *lent) Slot() int64 { return l.slot }

func (l *lent) Fence() int64             { return l.fence }
func (l *lent) Progress(float64, string) {}
func (l *lent) Result(data []byte)       { l.results = append(l.results, data) }

// under returns the context of a run of tt.
func (l *lent) under(ctx context.Context, tt *task.Task) context.Context {
	return task.NewRunContext(ctx, tt, l)
}

// expect checks that want was kept, once; an empty want is none at all.
func (l *lent) expect(t *testing.T, want string) {
	t.Helper()
	got := make([]string, 0, len(l.results))
	for _, r := range l.results {
		got = append(got, string(r))
	}
	var wanted []string
	if want != "" {
		wanted = []string{want}
	}
	if !slices.Equal(got, wanted) {
		t.Errorf("kept %d results of %d bytes in all, %.60q; want %.60q of %d bytes",
			len(got), len(strings.Join(got, "")), got, wanted, len(want))
	}
}

func TestWholeKeepsAllOrNothing(t *testing.T) {
	const most = task.MaxResult
	for _, c := range []struct {
		name   string
		writes []int // their lengths
		want   int
	}{
		{"nothing", nil, 0},
		{"less than it holds", []int{3, 0, 2}, 5},
		{"exactly what it holds", []int{most - 3, 3}, most},
		{"a byte more", []int{most - 3, 3, 1}, 0},
		{"too much at once", []int{most + 1}, 0},
		{"too much, then what would fit", []int{most + 1, 1}, 0},
		{"far too much", slices.Repeat([]int{1000}, 1000), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var w whole
			for _, n := range c.writes {
				if got, err := w.Write(bytes.Repeat([]byte("x"), n)); got != n || err != nil {
					t.Fatalf("Write said %d, %v for %d bytes", got, err, n)
				}
				if cap(w.buf) > 2*most {
					t.Fatalf("it occupies %d bytes", cap(w.buf))
				}
			}
			if string(w.buf) != strings.Repeat("x", c.want) {
				t.Errorf("kept %d bytes, want %d", len(w.buf), c.want)
			}
			if w.over && w.buf != nil {
				t.Errorf("%d bytes are occupied by what will not be kept", cap(w.buf))
			}
		})
	}
}
