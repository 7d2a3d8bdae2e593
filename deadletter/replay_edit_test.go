package deadletter_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An edited task is the same task with another payload, in whatever form it came.
func TestReplayEdits(t *testing.T) {
	plain := func(value string, headers ...kgo.RecordHeader) death {
		return death{raw: &kgo.Record{Value: []byte(value), Headers: headers}, origin: "tasks.pending/0/1", key: "the key"}
	}
	binary := death{id: "1", source: "/s", typ: "t", payload: `{"a":1}`, key: "the key", headers: []kgo.RecordHeader{{Key: "x", Value: []byte("\xff")}}}
	for name, d := range map[string]death{
		"binary":             binary,
		"binary, no payload": {id: "1", source: "/s", typ: "t", key: "the key"},
		"structured":         plain(`{"specversion":"1.0","id":"1","source":"/s","type":"t","x":"y","datacontenttype":"application/json","data":{"a":1}}`),
		"base64":             plain(`{"specversion":"1.0","id":"1","source":"/s","type":"t","x":"y","data_base64":"AAEC"}`),
		"text":               plain(`{"specversion":"1.0","id":"1","source":"/s","type":"t","x":"y","datacontenttype":"text/plain","data":"a\nb"}`),
		"no data":            plain(`{"specversion":"1.0","id":"1","source":"/s","type":"t"}`),
		"plain":              plain(`{"id":"1","type":"t","payload":{"a":1},"retry":2}`),
	} {
		t.Run(name, func(t *testing.T) {
			without(t, func(t *testing.T, r *revival) {
				r.bury(d)
				var before task.Task
				edited := []byte("\"new\"\xff")
				result := r.replay(everything, deadletter.ReplayOptions{Edit: func(l *deadletter.Letter) ([]byte, error) {
					before = l.Task
					return edited, nil
				}})
				if result.Replayed != 1 {
					t.Fatalf("%+v", result)
				}
				back := r.pending()
				var after task.Task
				if err := record.Decode(back[0], &after); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(after.Payload, edited) || after.Generation != 1 || after.Turn != 1 || after.Attempt != 1 {
					t.Errorf("payload %q, generation %d", after.Payload, after.Generation)
				}
				if after.ID != before.ID || after.Source != before.Source || after.Type != before.Type || after.ContentType != before.ContentType || !slices.Equal(after.Headers, before.Headers) {
					t.Errorf("the task is %+v, was %+v", after, before)
				}
				if string(back[0].Key) != "the key" {
					t.Errorf("key %q", back[0].Key)
				}
			})
		})
	}
}

func TestReplayEditsOneOnly(t *testing.T) {
	without(t, func(t *testing.T, r *revival) {
		r.bury(many(2)...)
		never := func(*deadletter.Letter) ([]byte, error) {
			t.Error("it is edited")
			return nil, nil
		}
		if _, err := r.store.Replay(t.Context(), r.queue, everything, deadletter.ReplayOptions{Edit: never}); !errors.Is(err, deadletter.ErrSeveral) {
			t.Errorf("error %v", err)
		}
		enough := errors.New("enough")
		result, err := r.store.Replay(t.Context(), r.queue, deadletter.Filter{IDs: []string{"1"}}, deadletter.ReplayOptions{
			Edit: func(*deadletter.Letter) ([]byte, error) { return nil, enough },
		})
		if !errors.Is(err, enough) || result.Replayed != 0 || len(r.pending()) != 0 || len(r.list(everything)) != 2 {
			t.Errorf("%+v, %v", result, err)
		}
	})
}
