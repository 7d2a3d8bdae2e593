package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Fuzzing takes flat arguments: headers are written as one text, name and value in turn, each ended by a byte 0x1e.
const end = "\x1e"

func flat(hs []kgo.RecordHeader) []byte {
	var b []byte
	for _, h := range hs {
		b = append(b, h.Key+end...)
		b = append(b, h.Value...)
		b = append(b, end...)
	}
	return b
}

func unflat(key, hs, value []byte) *kgo.Record {
	r := &kgo.Record{Key: key, Value: value}
	for parts := bytes.Split(hs, []byte(end)); len(parts) > 1; parts = parts[2:] {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(parts[0]), Value: parts[1]})
	}
	return r
}

// seed adds the golden records and some hostile ones.
func seed(f *testing.F) {
	for _, g := range goldens(f) {
		r := g.record()
		f.Add(r.Key, flat(r.Headers), r.Value)
	}
	for _, r := range []*kgo.Record{
		{}, binary(), sixHeaders(), value("{"), value(`{"id":"\u`), value(`{"id":1,"type":`), value(`{"specversion":"1.0","id":"\ud800`),
		structured(`,"data":"\ud83d\ude00","datacontenttype":"text/x"`), structured(`,"a":null,"a":1,"":{}`),
		binary("ce_notbefore", "2026-03-04T05:06:07.1+01:00", "ce_ttdue", "1", "ce_ttqueue", "q", "ce_tterror", "\xff"),
	} {
		f.Add(r.Key, flat(r.Headers), r.Value)
	}
}

// Whatever a record is, Decode answers with a task or an Error.
func FuzzDecode(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, key, hs, value []byte) {
		r := unflat(key, hs, value)
		before := bytes.Clone(value)
		var got task.Task
		err := record.Decode(r, &got)
		if !bytes.Equal(before, value) {
			t.Fatal("the record has changed")
		}
		if err != nil {
			var e *record.Error
			if !errors.As(err, &e) || e.Reason != task.ReasonInvalid && e.Reason != task.ReasonUndecodable || len(err.Error()) > 1024 {
				t.Fatalf("got error %v", err)
			}
		} else if got.Turn < 1 || got.Attempt < 1 || got.Generation < 0 || got.ID == "" || got.Source == "" || got.Type == "" {
			t.Fatalf("got %+v", got)
		}
		if len(got.ID)+len(got.Source) > task.MaxIdentity || !utf8.ValidString(got.ID+got.Source+got.Type) {
			t.Fatalf("got an identity that can't be: %+v", got)
		}
		if _, err := record.ReadStamp(r); err != nil && !errors.As(err, new(*record.Error)) {
			t.Fatalf("got error %v", err)
		}
	})
}

// What was decoded, encoded and decoded again is the same task.
func FuzzEncodeDecode(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, key, hs, value []byte) {
		var want, got task.Task
		if record.Decode(unflat(key, hs, value), &want) != nil {
			return
		}
		if err := record.Decode(record.Encode(&want, "t"), &got); err != nil {
			t.Fatalf("%v, of %+v", err, want)
		}
		if d := diff(&want, &got); d != "" {
			t.Fatal(d)
		}
	})
}

// The scanner reads attributes as encoding/json does, where that has an answer.
func FuzzStructured(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, _, _, v []byte) {
		var got task.Task
		if record.Decode(&kgo.Record{Value: v, Headers: headers("content-type", "application/cloudevents+json")}, &got) != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(v, &want); err != nil {
			t.Fatalf("decoded what is no JSON object: %v", err)
		}
		for name, text := range map[string]string{"id": got.ID, "source": got.Source, "type": got.Type} {
			var s string
			if json.Unmarshal(want[name], &s) != nil {
				s = string(want[name])
			}
			if s != text {
				t.Fatalf("%s is %q, want %q", name, text, s)
			}
		}
		if data := want["data"]; data != nil && want["data_base64"] == nil && want["specversion"] != nil && got.ContentType == "" && string(want["specversion"]) != `"0.3"` && !bytes.Equal(data, got.Payload) {
			t.Fatalf("payload is %q, want %q", got.Payload, data)
		}
	})
}

// Moving a record changes nothing but the stamp's headers.
func FuzzMove(f *testing.F) {
	seed(f)
	stamp := map[string]bool{}
	all := record.Stamp{Queue: "q", Due: full().Time, Turn: 1, Err: "e", FirstErr: "f", Reason: "r", Origin: "o", Node: "n", Died: full().Time, Crashes: 1, Key: []byte("k")}
	for _, h := range record.Move(&kgo.Record{}, "t", nil, all).Headers {
		stamp[h.Key] = true
	}
	if len(stamp) != 13 {
		f.Fatalf("a full stamp has %d headers: the wire format names 12, and a letter has the key", len(stamp))
	}
	f.Fuzz(func(t *testing.T, key, hs, value []byte) {
		r := unflat(key, hs, value)
		before := show(r.Headers)
		moved := record.Move(r, "t", []byte("k"), record.Stamp{Turn: 3, Err: string(value), Origin: string(hs)})
		rest := func(hs []kgo.RecordHeader) string {
			var kept []kgo.RecordHeader
			for _, h := range hs {
				if !stamp[h.Key] {
					kept = append(kept, h)
				}
			}
			return show(kept)
		}
		if !bytes.Equal(moved.Value, value) || rest(r.Headers) != rest(moved.Headers) || show(r.Headers) != before {
			t.Fatalf("got %q, of %q", show(moved.Headers), before)
		}
		s, err := record.ReadStamp(moved)
		if err != nil || s.Turn != 3 || s.Attempt != 1 || len(s.Err) > record.MaxError || !utf8.ValidString(s.Err) {
			t.Fatalf("got stamp %+v (%v)", s, err)
		}
		again := record.Move(moved, "t", []byte("k"), s)
		if show(again.Headers) != show(moved.Headers) {
			t.Fatalf("moved again: %q, of %q", show(again.Headers), show(moved.Headers))
		}
	})
}

// What a stamp says is read as it was written, as far as it fits, on whatever record, and says nothing of the record's own.
func FuzzStamp(f *testing.F) {
	f.Add([]byte("ce_ttdue"+end+"7"+end), "tasks", int64(1_790_000_000_123), 1, 2, 3, "no luck", "q.pending/0/7", 2)
	f.Add([]byte(""), "", int64(-1), -1, 0, -5, "\xff", "", -1)
	f.Add([]byte("ce_ttturn"+end+"x"+end+"ce_tterror"+end+"old"+end), "a/b", int64(maxMillisForFuzz), 1<<31-1, 1, 1, string(bytes.Repeat([]byte("é"), 5000)), "o\nn", 1<<31-1)
	f.Fuzz(func(t *testing.T, hs []byte, queue string, due int64, generation, turn, attempt int, text, origin string, crashes int) {
		s := record.Stamp{
			Queue: queue, Due: time.UnixMilli(due), Generation: generation, Turn: turn, Attempt: attempt,
			Err: text, FirstErr: text, Reason: task.ReasonFailed, Origin: origin, Node: origin, Crashes: crashes,
		}
		got, err := record.ReadStamp(record.Move(unflat(nil, hs, []byte("x")), "t", nil, s))
		if err != nil {
			if !errors.As(err, new(*record.Error)) {
				t.Fatal(err)
			}
			return // it said what no stamp may: a queue of no name, a time beyond all calendars
		}
		if len(got.Err) > record.MaxError || got.Err != got.FirstErr || !utf8.ValidString(got.Err) || got.Reason != task.ReasonFailed {
			t.Fatalf("wrote %+v, read %+v", s, got)
		}
		if len(text) <= record.MaxError && utf8.ValidString(text) && got.Err != text {
			t.Fatalf("wrote the error %q, read %q", text, got.Err)
		}
		if turn > 0 && (got.Turn != turn || got.Generation != max(generation, 0) || got.Attempt != max(attempt, 1)) {
			t.Fatalf("wrote turn %d.%d.%d, read %d.%d.%d", generation, turn, attempt, got.Generation, got.Turn, got.Attempt)
		}
		if due > 0 && got.Due.UnixMilli() != min(due, maxMillisForFuzz) || got.Queue != queue {
			t.Fatalf("wrote %v for %q, read %v for %q", s.Due, queue, got.Due, got.Queue)
		}
	})
}

// maxMillisForFuzz is the last moment of the year 9999.
const maxMillisForFuzz = 253402300799999
