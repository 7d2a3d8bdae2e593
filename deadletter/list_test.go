package deadletter_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The newest state of each key, the oldest death first, in whichever partition it lies.
func TestList(t *testing.T) {
	on(t, 3, func(t *testing.T, g *ground) {
		g.bury(many(100)...)
		g.raise("7", 0)
		g.raise("11", 0)
		g.bury(
			death{id: "8", generation: 1, died: epoch.Add(-time.Second)}, // beside its first letter
			death{id: "9", err: "again", died: epoch.Add(time.Hour)},     // instead of it
			death{id: "11", err: "risen", died: epoch.Add(-time.Minute)}, // after its tombstone
		)
		want := []string{"11", "8#1"}
		for i := range 100 {
			if i != 7 && i != 9 && i != 11 {
				want = append(want, fmt.Sprint(i))
			}
		}
		want = append(want, "9")
		letters := g.list(deadletter.Filter{})
		if got := ids(letters); !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if got := letters[len(letters)-1].Err; got != "again" {
			t.Errorf("the error of 9 is %q, want that of its last letter", got)
		}
		if got := ids(g.list(deadletter.Filter{Limit: 3})); !slices.Equal(got, want[:3]) {
			t.Errorf("the first three are %q, want %q", got, want[:3])
		}
		if n := len(g.list(deadletter.Filter{Error: "order 9 not found"})); n != 0 {
			t.Errorf("a letter that was replaced is found by what it was")
		}
	})
}

// A list has every dead letter, the earliest first, also where they lie in another order and are more than are sorted at
// once. Pitfall 48 of docs/pitfalls.md.
func TestListIsComplete(t *testing.T) {
	on(t, 3, func(t *testing.T, g *ground) {
		n, payload := 25_000, "" // two lots and a half
		if testing.Short() {
			n, payload = 5_000, strings.Repeat("x", 4000) // of bytes
		}
		deaths := many(n)
		for i := range deaths {
			deaths[i].payload = payload
		}
		rand.Shuffle(n/2, func(i, j int) { deaths[i], deaths[j] = deaths[j], deaths[i] })
		g.bury(deaths...)
		for i, l := range g.list(deadletter.Filter{}) {
			if l.ID() != fmt.Sprint(i) {
				t.Fatalf("at %d there is %s", i, l.ID())
			}
		}
		// Few of many: those between them are not looked at twice.
		few := g.list(deadletter.Filter{Since: epoch.Add(100 * time.Millisecond), IDs: []string{"17", "101", "1234", fmt.Sprint(n - 1)}})
		if got := ids(few); !slices.Equal(got, []string{"101", "1234", fmt.Sprint(n - 1)}) {
			t.Errorf("%q", got)
		}
	})
}

func TestLetterAsItIs(t *testing.T) {
	on(t, 1, func(t *testing.T, g *ground) {
		foreign := []kgo.RecordHeader{{Key: "x-tenant", Value: []byte("\xff\x00")}, {Key: "ce_ttl", Value: []byte("5")}}
		g.bury(death{id: "a", source: "/shop", typ: "mail.send", generation: 2, reason: task.ReasonExhausted, err: "no luck",
			payload: `{"n":1}`, key: "customer-7", headers: foreign})
		l := g.list(deadletter.Filter{})[0]
		if l.Queue != g.queue || string(l.Key) != "5:/shopa#2" || l.Partition != 0 || l.Offset != 0 || l.Bad != nil ||
			l.Reason != task.ReasonExhausted || l.Err != "no luck" || l.FirstErr != "first no luck" || l.Attempts != 4 || l.Crashes != 1 ||
			l.Node != "node-1" || !l.Died.Equal(epoch) || l.Generation != 2 {
			t.Errorf("%+v", l)
		}
		if tk := l.Task; tk.ID != "a" || tk.Source != "/shop" || tk.Type != "mail.send" || string(tk.Payload) != `{"n":1}` ||
			tk.Queue != g.queue || tk.Key != "customer-7" || tk.Header("ce_ttl") != "5" || tk.Header("x-tenant") != "\xff\x00" || tk.Generation != 2 {
			t.Errorf("%+v", tk)
		}
		if got := l.Headers(); !slices.ContainsFunc(got, func(h kgo.RecordHeader) bool { return h.Key == "ce_ttl" }) ||
			slices.ContainsFunc(got, func(h kgo.RecordHeader) bool { return strings.HasPrefix(h.Key, "ce_ttr") }) {
			t.Errorf("headers %q", got)
		}
		if string(l.OriginalKey()) != "customer-7" {
			t.Errorf("its record had the key %q", l.OriginalKey())
		}
	})
}

// The key of a dead letter is not mistaken for the ordering key of a task that had none, and the original key is
// returned unchanged. Pitfall 25 of docs/pitfalls.md.
func TestOriginalKeysAreKept(t *testing.T) {
	on(t, 1, func(t *testing.T, g *ground) {
		g.bury(death{id: "none"}, death{id: "binary", key: "\x00\xff", died: epoch.Add(time.Second)})
		letters := g.list(deadletter.Filter{})
		if l := letters[0]; l.OriginalKey() != nil || l.Task.Key != "" {
			t.Errorf("without one: %q, ordered by %q", l.OriginalKey(), l.Task.Key)
		}
		if l := letters[1]; string(l.OriginalKey()) != "\x00\xff" {
			t.Errorf("binary: %q", l.OriginalKey())
		}
	})
}

// Records that are no tasks are letters under the place they were read from. A stamp that lies harms nothing.
func TestLettersThatAreNoTasks(t *testing.T) {
	on(t, 1, func(t *testing.T, g *ground) {
		raw := &kgo.Record{Value: []byte("\x00\xff"), Headers: []kgo.RecordHeader{{Key: "x", Value: []byte("y")}}}
		g.bury(death{raw: raw, origin: "q.pending/3/17", reason: task.ReasonUndecodable, err: "is no task"})
		g.produce(&kgo.Record{Topic: names.Dead(g.queue), Key: []byte("who knows"), Value: []byte{}, Headers: []kgo.RecordHeader{
			{Key: "ce_ttdied", Value: []byte("yesterday")}, {Key: "ce_ttreason", Value: []byte(strings.Repeat("x", 500))},
			{Key: "ce_ttattempt", Value: []byte("-7")}, {Key: "ce_ttcrashes", Value: []byte("99999999999999999999")}, {Key: "ce_tterror", Value: []byte("\xff")},
		}})
		letters := g.list(deadletter.Filter{})
		if len(letters) != 2 {
			t.Fatalf("%d letters", len(letters))
		}
		if l := letters[0]; l.ID() != "q.pending/3/17" || l.Bad == nil || l.Reason != task.ReasonUndecodable || l.Attempts != 0 ||
			string(l.Record.Value) != "\x00\xff" || l.Origin != "q.pending/3/17" {
			t.Errorf("%+v", l)
		}
		if l := letters[1]; l.ID() != "who knows" || l.Bad == nil || l.Died.IsZero() || len(l.Reason) > 64 || l.Attempts != 0 || l.Crashes != 0 || l.Err != "\ufffd" {
			t.Errorf("%+v", l)
		}
	})
}

func TestProgress(t *testing.T) {
	on(t, 2, func(t *testing.T, g *ground) {
		g.bury(many(300)...)
		last, total := int64(0), int64(0)
		for _, err := range g.store.List(t.Context(), g.queue, deadletter.Filter{IDs: []string{"none"}}, deadletter.WithProgress(func(read, of int64) {
			if read < last {
				t.Errorf("%d after %d", read, last)
			}
			last, total = read, of
		})) {
			t.Errorf("%v", err)
		}
		if last != 300 || total != 300 {
			t.Errorf("it ends at %d of %d", last, total)
		}
	})
}

// A list ends at the end it saw at the start, and whoever leaves it leaves nothing running behind.
func TestListEnds(t *testing.T) {
	on(t, 2, func(t *testing.T, g *ground) {
		g.bury(many(20)...)
		n := 0
		for l, err := range g.store.List(t.Context(), g.queue, deadletter.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			n++
			g.bury(death{id: "more " + l.ID(), died: l.Died.Add(time.Hour)})
		}
		if n != 20 {
			t.Errorf("%d letters, want the 20 that were there", n)
		}
		for _, err := range g.store.List(t.Context(), g.queue, deadletter.Filter{}) {
			if err != nil {
				t.Error(err)
			}
			break
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		for _, err := range g.store.List(ctx, g.queue, deadletter.Filter{}) {
			cancel()
			last = err
		}
		if last == nil {
			t.Error("a list whose context ends does not say so")
		}
	})
}
