package interop

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// with returns headers from pairs of key and value.
func with(pairs ...string) []kgo.RecordHeader {
	var headers []kgo.RecordHeader
	for i := 0; i < len(pairs); i += 2 {
		headers = append(headers, kgo.RecordHeader{Key: pairs[i], Value: []byte(pairs[i+1])})
	}
	return headers
}

// binary returns the headers of a task in binary mode, and more.
func binary(id string, more ...string) []kgo.RecordHeader {
	return with(append([]string{"ce_specversion", "1.0", "ce_id", id, "ce_source", "/hostile", "ce_type", "interop.good"}, more...)...)
}

// without drops a header.
func without(key string, headers []kgo.RecordHeader) []kgo.RecordHeader {
	return slices.DeleteFunc(headers, func(h kgo.RecordHeader) bool { return h.Key == key })
}

var (
	structured = with("content-type", "application/cloudevents+json")
	// manyHeaders have 60 KB.
	manyHeaders = func() (pairs []string) {
		for i := range 60 {
			pairs = append(pairs, fmt.Sprintf("ce_ext%d", i), strings.Repeat(string(rune('a'+i%26)), 1000))
		}
		return pairs
	}()
)

// hostile records are no tasks, or ask for what can't be. All end as dead letters.
var hostile = []struct {
	name   string
	reason task.Reason
	record kgo.Record
}{
	{"an empty value", task.ReasonUndecodable, kgo.Record{Value: []byte{}}},
	{"a null", task.ReasonUndecodable, kgo.Record{Key: []byte("tombstone?")}},
	{"no JSON", task.ReasonUndecodable, kgo.Record{Value: []byte("\x00\xff\xfe binary \r\n")}},
	{"JSON that is no task", task.ReasonUndecodable, kgo.Record{Value: []byte(`{"hello":"world"}`)}},
	{"an array", task.ReasonUndecodable, kgo.Record{Value: []byte(`[{"id":"1","type":"interop.good"}]`)}},
	{"truncated JSON", task.ReasonUndecodable, kgo.Record{Value: []byte(`{"specversion":"1.0","id":"t1","source":"/hostile","ty`)}},
	{"truncated JSON with a label", task.ReasonUndecodable, kgo.Record{Headers: structured, Value: []byte(`{"specversion":"1.0","id":"t2`)}},
	{"invalid JSON as data, as Java can write it", task.ReasonUndecodable, kgo.Record{Headers: structured,
		Value: []byte(`{"specversion":"1.0","id":"j","source":"/hostile","type":"interop.good","data":not JSON}`)}},
	{"JSON nested too deep", task.ReasonUndecodable, kgo.Record{Headers: structured, Value: bytes.Repeat([]byte(`{"a":`), 100_000)}},
	{"specversion 9", task.ReasonUndecodable, kgo.Record{Headers: append(without("ce_specversion", binary("v9")), with("ce_specversion", "9")...)}},

	{"no type", task.ReasonInvalid, kgo.Record{Headers: without("ce_type", binary("untyped")), Value: []byte("{}")}},
	{"no id", task.ReasonInvalid, kgo.Record{Headers: without("ce_id", binary("")), Value: []byte("{}")}},
	{"an empty source", task.ReasonInvalid, kgo.Record{Headers: binary("sourceless", "ce_source", "")}},
	{"an id that is no UTF-8", task.ReasonInvalid, kgo.Record{Headers: binary("a\xff\xc3(b"), Value: []byte("{}")}},
	{"an identity of 2 KB", task.ReasonInvalid, kgo.Record{Headers: binary(strings.Repeat("x", 2000))}},
	{"60 KB of headers and no type", task.ReasonInvalid, kgo.Record{Headers: without("ce_type", binary("heavy", manyHeaders...)), Value: []byte("{}")}},
	{"base64 that is none", task.ReasonInvalid, kgo.Record{Headers: structured,
		Value: []byte(`{"specversion":"1.0","id":"b64","source":"/hostile","type":"interop.good","data_base64":"***"}`)}},
	{"attempt -1", task.ReasonInvalid, kgo.Record{Headers: binary("attempt", "ce_ttattempt", "-1")}},
	{"a turn beyond int64", task.ReasonInvalid, kgo.Record{Headers: binary("turn", "ce_ttturn", "99999999999999999999")}},
	{"a start in the year 9999", task.ReasonInvalid, kgo.Record{Headers: binary("9999", "ce_notbefore", "9999-12-31T23:59:59Z")}},
	{"a start that is no time", task.ReasonInvalid, kgo.Record{Headers: binary("someday", "ce_notbefore", "soon")}},
	{"an expiry that is no time", task.ReasonInvalid, kgo.Record{Headers: binary("never", "ce_expirytime", "")}},
	{"a negative retry in the plain form", task.ReasonInvalid, kgo.Record{Value: []byte(`{"id":"plain","type":"interop.good","retry":-1}`)}},

	{"an expiry that is past", task.ReasonExpired, kgo.Record{Headers: binary("late", "ce_expirytime", "1999-12-31T23:59:59Z")}},
	{"60 KB of headers and a handler that gives up", task.ReasonFailed,
		kgo.Record{Headers: binary("givesup", append(manyHeaders, "ce_type", "interop.permanent")...), Value: []byte("{}")}},
}

// tolerated are absurd in ways that the wire format says to ignore: they run.
var tolerated = [][]kgo.RecordHeader{
	binary("tolerated-maxattempts", "ce_maxattempts", "1e30"),
	binary("tolerated-timeout", "ce_timeoutms", "-5"),
	binary("tolerated-time", "ce_time", "yesterday"),
	binary("tolerated-trace", "ce_traceparent", "00-zz"),
	binary("tolerated-headers", manyHeaders...),
	binary("tolerated-twice", "ce_id", "tolerated-twice", "", "a header without a name"),
}

// TestHostileRecords: in one partition every other record is hostile. Each ends in the dead-letter topic byte for byte
// and says why; every good one behind it runs, in order.
func TestHostileRecords(t *testing.T) {
	s := newStage(t, 1)
	s.handle("interop.good")
	err := s.mux.Handle("interop.permanent", func(context.Context, *task.Task) error { return task.Permanent(fmt.Errorf("no")) })
	if err != nil {
		t.Fatal(err)
	}
	var (
		sent []*kgo.Record
		good []string
	)
	for i := range hostile {
		id := fmt.Sprintf("good-%d", i)
		good = append(good, id)
		bad := hostile[i].record // a copy: producing writes into it
		sent = append(sent, &bad, &kgo.Record{Headers: binary(id), Value: []byte("{}")})
	}
	for _, headers := range tolerated {
		good = append(good, string(headers[1].Value))
		sent = append(sent, &kgo.Record{Headers: headers, Value: []byte("{}")})
	}
	s.produce(sent...)
	s.consume(1)(len(sent))
	s.finished()

	if got := s.ids(); !slices.Equal(got, good) {
		t.Errorf("ran %v, want %v", got, good)
	}
	byOrigin := map[string]*kgo.Record{}
	for _, l := range s.letters(len(hostile)) {
		stamp, err := record.ReadStamp(l)
		if err != nil {
			t.Errorf("the stamp of letter %q: %v", l.Key, err)
		}
		byOrigin[stamp.Origin] = l
	}
	for i := range hostile {
		h := &hostile[i]
		t.Run(h.name, func(t *testing.T) {
			origin := fmt.Sprintf("%s/0/%d", names.Pending(s.queue), 2*i)
			l := byOrigin[origin]
			if l == nil {
				t.Fatalf("no letter of %s", origin)
			}
			checkLetter(t, l, &h.record, h.reason)
		})
	}
}

// A record as large as the queue accepts fits into the dead-letter topic. Pitfall 30 of docs/pitfalls.md.
func TestLargestRecordFitsIntoTheDeadLetterTopic(t *testing.T) {
	s := newStage(t, 1)
	s.handle("interop.good")
	const overhead = 256 // of the batch and this record's headers
	largest := &kgo.Record{Headers: without("ce_type", binary("largest")), Value: bytes.Repeat([]byte("x"), maxBytes-overhead)}
	s.produce(largest)
	s.produce(&kgo.Record{Headers: binary("behind"), Value: []byte("{}")})
	s.consume(1)(2)
	s.finished()
	if got := s.ids(); !slices.Equal(got, []string{"behind"}) {
		t.Errorf("ran %v", got)
	}
	checkLetter(t, s.letters(1)[0], largest, task.ReasonInvalid)
}

// checkLetter compares a letter with the record that was sent.
func checkLetter(t *testing.T, letter, sent *kgo.Record, reason task.Reason) {
	t.Helper()
	if letter.Value == nil {
		t.Error("the letter is a null: a tombstone of itself")
	}
	if !bytes.Equal(letter.Value, sent.Value) {
		t.Errorf("the value is %.200q, want %.200q", letter.Value, sent.Value)
	}
	if got, want := foreign(letter.Headers), foreign(sent.Headers); !slices.Equal(got, want) {
		t.Errorf("of the headers %d are left, want %d; they are %.1000q, want %.1000q", len(got), len(want), got, want)
	}
	stamp, err := record.ReadStamp(letter)
	if err != nil || stamp.Reason != reason || stamp.Err == "" || stamp.Node != "interop" || stamp.Died.IsZero() {
		t.Errorf("the stamp is %+v (%v), want the reason %s, an error, node and time", stamp, err, reason)
	}
}

// foreign lists the headers that are not tasktier's own, as "key=value".
func foreign(headers []kgo.RecordHeader) []string {
	var list []string
	for _, h := range headers {
		if !strings.HasPrefix(h.Key, "ce_tt") {
			list = append(list, h.Key+"="+string(h.Value))
		}
	}
	return list
}
