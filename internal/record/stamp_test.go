package record_test

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestMove(t *testing.T) {
	r := binary("ce_ttturn", "1", "x-tenant", "7", "ce_ttl", "60", "ce_tterror", "old", "ce_id", "again", "ce_ttqueue", "old")
	before := show(r.Headers)
	r.Key = []byte("k")
	got := record.Move(r, "tier", []byte("letter"), record.Stamp{
		Queue: "mail", Due: time.UnixMilli(1_772_600_767_123), Generation: 0, Turn: 2, Attempt: 2, Err: "boom", FirstErr: "bang",
		Reason: task.ReasonFailed, Origin: "mail.pending/3/42", Node: "n1", Died: time.UnixMilli(1_772_600_000_000), Crashes: 1,
	})
	const want = `ce_specversion: 1.0
ce_id: 1
ce_source: /s
ce_type: t
x-tenant: 7
ce_ttl: 60
ce_id: again
ce_ttqueue: mail
ce_ttdue: 1772600767123
ce_ttgeneration: 0
ce_ttturn: 2
ce_ttattempt: 2
ce_tterror: boom
ce_ttfirsterror: bang
ce_ttreason: failed
ce_ttorigin: mail.pending/3/42
ce_ttnode: n1
ce_ttdied: 1772600000000
ce_ttcrashes: 1
`
	if h := show(got.Headers); h != want {
		t.Errorf("got headers:\n%s", h)
	}
	if got.Topic != "tier" || string(got.Key) != "letter" || !bytes.Equal(got.Value, r.Value) {
		t.Errorf("got topic %q, key %q, value %q", got.Topic, got.Key, got.Value)
	}
	if show(r.Headers) != before {
		t.Error("the record that was moved has changed")
	}
}

func TestMoveSaysNothingOfZeroFields(t *testing.T) {
	r := &kgo.Record{Value: []byte("no task"), Headers: headers("ce_ttturn", "7", "a", "b")}
	got := record.Move(r, "q.dead", nil, record.Stamp{Reason: task.ReasonUndecodable, Generation: 3, Attempt: 2})
	if h, want := show(got.Headers), "a: b\nce_ttreason: undecodable\n"; h != want {
		t.Errorf("got headers:\n%swant:\n%s", h, want)
	}
}

// In a compacted topic a null value would delete the letter that it is.
func TestMoveWritesNoTombstone(t *testing.T) {
	if got := record.Move(&kgo.Record{}, "q.dead", []byte("k"), record.Stamp{}); got.Value == nil {
		t.Error("the value is null")
	}
}

// A due time is never written as an earlier one, and never as one that can't be read.
func TestMoveRoundsDueUp(t *testing.T) {
	for due, want := range map[time.Time]time.Time{
		time.Unix(7, 1):   time.UnixMilli(7001),
		time.Unix(7, 5e6): time.UnixMilli(7005),
		time.Unix(0, 0):   time.Unix(0, 0),
		time.Unix(-9, 0):  time.Unix(0, 0),
		time.Date(200000, 1, 1, 0, 0, 0, 0, time.UTC): time.UnixMilli(253402300799999),
	} {
		got, err := record.ReadStamp(record.Move(binary(), "t", nil, record.Stamp{Due: due}))
		if err != nil || !got.Due.Equal(want) {
			t.Errorf("%v became %v (%v), want %v", due, got.Due, err, want)
		}
	}
}

// The texts of a stamp are cut to a bounded size, so that a dead letter never outgrows the space reserved beyond its
// original. Pitfall 30 of docs/pitfalls.md.
func TestStampTextsAreBounded(t *testing.T) {
	for name, text := range map[string]string{
		"long":                  strings.Repeat("x", 1<<20),
		"runes over the border": strings.Repeat("x", 4095) + strings.Repeat("é", 100),
		"long runes":            strings.Repeat("😀", 4096),
		"not UTF-8":             strings.Repeat("a\xff", 4096),
		"cut in a rune":         "short \xe2\x82",
		"short":                 "ok é",
	} {
		r := record.Move(binary(), "t", nil, record.Stamp{
			Turn: 1, Err: text, FirstErr: text, Node: text, Origin: text, Reason: task.ReasonExhausted, Queue: strings.Repeat("q", 241),
			Due: time.Now(), Died: time.Now(), Crashes: 1 << 30, Generation: 1 << 30, Attempt: 1 << 30,
		})
		if grown := record.Size(r) - record.Size(binary()); grown > 16<<10 {
			t.Errorf("%s: the stamp takes %d bytes; 64 KiB are kept free, for more than one thing", name, grown)
		}
		s, err := record.ReadStamp(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, got := range []string{s.Err, s.FirstErr, s.Node, s.Origin} {
			if len(got) > record.MaxError || !utf8.ValidString(got) || got == "" {
				t.Errorf("%s: %d bytes, valid UTF-8: %v", name, len(got), utf8.ValidString(got))
			}
		}
		if utf8.ValidString(text) && !strings.HasPrefix(text, s.Err) {
			t.Errorf("%s: the text is not what was cut", name)
		}
	}
}

func TestReadStamp(t *testing.T) {
	want := record.Stamp{
		Queue: "mail", Due: time.UnixMilli(1_772_600_767_123).UTC(), Generation: 1, Turn: 2, Attempt: 3, Err: "boom", FirstErr: "bang",
		Reason: task.ReasonFailed, Origin: "mail.pending/3/42", Node: "n1", Died: time.UnixMilli(1_772_600_000_000).UTC(), Crashes: 1,
	}
	got, err := record.ReadStamp(record.Move(binary(), "t", nil, want))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	if got, err := record.ReadStamp(binary("ce_ttl", "x")); err != nil || !reflect.DeepEqual(got, record.Stamp{}) {
		t.Errorf("a record without a stamp has %+v (%v)", got, err)
	}
}

// Stamps in the headers are untrusted: oversized, negative and far-future values are refused or cut, and the other
// headers are still read. Pitfall 12 of docs/pitfalls.md.
func TestStampsAreUntrusted(t *testing.T) {
	for _, c := range []struct {
		name, value string
		bad         bool
	}{
		{"ttdue", "0", false},
		{"ttdue", "253402300799999", false},
		{"ttdue", "253402300800000", true},
		{"ttdue", "-1", true},
		{"ttdue", "1e3", true},
		{"ttdue", "99999999999999999999999999", true},
		{"ttdue", "", true},
		{"ttdue", strings.Repeat("9", 60<<10), true},
		{"ttdied", "x", true},
		{"ttgeneration", "-1", true},
		{"ttturn", "0", true},
		{"ttturn", "2147483648", true},
		{"ttattempt", "0", true},
		{"ttcrashes", "4294967297", true},
		{"ttqueue", "mail", false},
		{"ttqueue", "", true},
		{"ttqueue", "a/b", true},
		{"ttqueue", strings.Repeat("q", 60<<10), true},
		{"ttreason", strings.Repeat("r", 60<<10), false}, // cut
		{"tterror", strings.Repeat("\xff", 60<<10), false},
	} {
		// A good one before it: a bad one must not leave it standing.
		s, err := record.ReadStamp(binary("ce_tterror", "kept", "ce_ttdue", "5", "ce_ttqueue", "old", "ce_"+c.name, c.value))
		if c.bad {
			wantError(t, err, task.ReasonInvalid, c.name)
			if s.Err != "kept" {
				t.Errorf("%s %.20q: the rest was not read", c.name, c.value)
			}
			if c.name == "ttdue" && !s.Due.IsZero() || c.name == "ttqueue" && s.Queue != "" {
				t.Errorf("%s %.20q: an earlier value stands", c.name, c.value)
			}
		} else if err != nil {
			t.Errorf("%s %.20q: %v", c.name, c.value, err)
		}
		if len(s.Err) > record.MaxError || len(s.Reason) > 64 || !utf8.ValidString(s.Err) {
			t.Errorf("%s %.20q: a text is not bounded", c.name, c.value)
		}
	}
}

// The key that a record had comes back as it was: one that was empty is one, and a header that somebody made up does not
// outlive a move.
func TestMoveKeepsKeys(t *testing.T) {
	forged := kgo.RecordHeader{Key: "ce_ttkey", Value: []byte("forged")}
	for _, key := range [][]byte{nil, {}, []byte("k"), {0, 0xff}} {
		r := record.Move(&kgo.Record{Headers: []kgo.RecordHeader{forged}}, "q.dead", []byte("identity"), record.Stamp{Key: key})
		s, err := record.ReadStamp(r)
		if err != nil || !bytes.Equal(s.Key, key) || (s.Key == nil) != (key == nil) || string(r.Key) != "identity" {
			t.Errorf("%q came back as %q (%v)", key, s.Key, err)
		}
		if back := record.Move(r, "q.pending", s.Key, record.Stamp{}); len(record.Unstamped(r)) != 0 || len(back.Headers) != 0 || !bytes.Equal(back.Key, key) {
			t.Errorf("%q goes back as %q with headers %q", key, back.Key, back.Headers)
		}
	}
}
