package claim

import (
	"errors"
	"math"
	"testing"

	"github.com/tasktier/tasktier/task"
)

// What stands in Redis may have been written by anybody.

// FuzzDetails: what is read of details is written and read again as it was, and what can't be read says so.
func FuzzDetails(f *testing.F) {
	whole := Details{Error: "no luck", FirstError: "é\u2028", Reason: task.ReasonFailed, Result: []byte("\x00\xff"), Progress: 0.5, Note: "half", Node: "n"}
	f.Add(whole.render(&task.Task{Queue: "q", Source: "/s", ID: "1"}))
	for _, text := range []string{"", "{}", "null", "[]", `{"result":"%"}`, `{"progress":1e400}`, `{"error":"\ud800"}`, `{"queue":1}`} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDetails(text)
		if err != nil {
			if !errors.Is(err, ErrDetails) || d != nil {
				t.Fatalf("read %q: %+v, %v", text, d, err)
			}
			return
		}
		if math.IsInf(d.Progress, 0) || math.IsNaN(d.Progress) {
			t.Fatalf("read %q: progress %v", text, d.Progress)
		}
		again, err := parseDetails(d.render(&task.Task{Queue: d.Queue, Source: d.Source, ID: d.ID}))
		if err != nil {
			t.Fatalf("read %q, and what was written of it: %v", text, err)
		}
		if len(d.Result) == 0 {
			d.Result, again.Result = nil, nil
		}
		if again.Error != d.Error || again.FirstError != d.FirstError || again.Reason != d.Reason || string(again.Result) != string(d.Result) ||
			again.Progress != d.Progress || again.Note != d.Note || again.Node != d.Node || again.ID != d.ID {
			t.Fatalf("read %q: %+v, and again: %+v", text, d, again)
		}
	})
}

// FuzzMember: no two tasks have one name in an index, and a name that is none of ours names no task.
func FuzzMember(f *testing.F) {
	for _, text := range []string{"", "5:/shop7", "0:7", "-1:x", "99:x", "+1:ab", "01:ab", ":", "9223372036854775808:x", "1:é"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		id, ok := identity("q", text)
		if !ok {
			return
		}
		if again, ok := identity("q", member(id)); !ok || again != id {
			t.Fatalf("%q names %+v, whose name is read as %+v", text, id, again)
		}
		if id.Source+id.ID != text[len(text)-len(id.Source)-len(id.ID):] {
			t.Fatalf("%q names %+v", text, id)
		}
	})
}
