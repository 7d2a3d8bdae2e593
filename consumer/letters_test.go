package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// fails is a handler whose tasks end as dead.
func fails(context.Context, *task.Task) error { return errors.New("no luck") }

func header(kv ...string) (hs []kgo.RecordHeader) {
	for i := 0; i < len(kv); i += 2 {
		hs = append(hs, kgo.RecordHeader{Key: kv[i], Value: []byte(kv[i+1])})
	}
	return hs
}

// event is the header of an event in binary mode, with more attributes.
func event(id string, more ...string) []kgo.RecordHeader {
	return header(append([]string{"ce_specversion", "1.0", "ce_id", id, "ce_source", "/hostile", "ce_type", "ok"}, more...)...)
}

// Records that no one can obey become letters byte for byte, under a key that names them, and stop nothing behind them.
func TestHostileRecords(t *testing.T) {
	huge := strings.Repeat("x", 60<<10)
	tests := []struct {
		name   string
		rec    kgo.Record
		reason task.Reason
		id     string // of a task whose identity could be read
	}{
		{"nothing", kgo.Record{}, task.ReasonUndecodable, ""},
		{"empty value", kgo.Record{Value: []byte{}}, task.ReasonUndecodable, ""},
		{"key only", kgo.Record{Key: []byte("key")}, task.ReasonUndecodable, ""},
		{"binary rubbish", kgo.Record{Key: []byte{0}, Value: []byte{0xff, 0xfe, 0, 1}}, task.ReasonUndecodable, ""},
		{"truncated JSON", kgo.Record{Value: []byte(`{"id":"1","type":"ok","payl`)}, task.ReasonUndecodable, ""},
		{"a JSON list", kgo.Record{Value: []byte(`[1,2,3]`)}, task.ReasonUndecodable, ""},
		{"JSON without a type", kgo.Record{Value: []byte(`{"id":"1"}`)}, task.ReasonUndecodable, ""},
		{"structured, not JSON", kgo.Record{Value: []byte(`<a/>`), Headers: header("content-type", "application/cloudevents+json")}, task.ReasonUndecodable, ""},
		{"a version to come", kgo.Record{Headers: header("ce_specversion", "2.0", "ce_id", "v2", "ce_source", "/s", "ce_type", "ok")}, task.ReasonUndecodable, ""},
		{"binary, no type", kgo.Record{Headers: header("ce_specversion", "1.0", "ce_id", "typeless", "ce_source", "/hostile")}, task.ReasonInvalid, "typeless"},
		{"binary, no id", kgo.Record{Headers: header("ce_specversion", "1.0", "ce_source", "/s", "ce_type", "ok")}, task.ReasonInvalid, ""},
		{"invalid UTF-8 in the id", kgo.Record{Headers: event("\xff\xfe")}, task.ReasonInvalid, ""},
		{"an identity of 60 KB", kgo.Record{Headers: event(huge)}, task.ReasonInvalid, ""},
		{"an expiry of 60 KB", kgo.Record{Headers: event("expiry", "ce_expirytime", huge)}, task.ReasonInvalid, "expiry"},
		{"absurd notbefore", kgo.Record{Headers: event("someday", "ce_notbefore", "next tuesday")}, task.ReasonInvalid, "someday"},
		{"notbefore in the year 9999", kgo.Record{Headers: event("far", "ce_notbefore", "9999-12-31T23:59:59Z")}, task.ReasonInvalid, "far"},
		{"negative turn", kgo.Record{Headers: event("turn", "ce_ttturn", "-1")}, task.ReasonInvalid, "turn"},
		{"turn beyond all numbers", kgo.Record{Headers: event("turns", "ce_ttturn", strings.Repeat("9", 400))}, task.ReasonInvalid, "turns"},
		{"a stamp of someone's own", kgo.Record{Headers: event("forged", "ce_ttattempt", "x", "ce_ttreason", huge, "ce_ttorigin", "\xff", "ce_tterror", "e")}, task.ReasonInvalid, "forged"},
		{"headers without names", kgo.Record{Headers: header("", "", "", "x", "\xff", "\xff")}, task.ReasonUndecodable, ""},
		{"expired long ago", kgo.Record{Headers: event("old", "ce_expirytime", "0001-01-01T00:00:00Z")}, task.ReasonExpired, "old"},
		{"a type of 60 KB that nobody handles", kgo.Record{Headers: header("ce_specversion", "1.0", "ce_id", "huge", "ce_source", "/hostile", "ce_type", huge)}, task.ReasonUnhandled, "huge"},
	}
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		handle(t, mux, "ok", nothing)
		s.forward()
		cfg := s.config(mux)
		cfg.Queues[0].Unhandled = 10 * time.Minute
		n := s.start(cfg)
		for _, tt := range tests {
			s.raw(&tt.rec)
			s.send("ok", 1) // one behind each
		}
		s.await(2*len(tests) - 1) // all but the one that waits for its handler
		time.Sleep(10 * time.Minute)
		s.await(2 * len(tests))
		letters, byKey := make(map[string]*kgo.Record), make(map[string]*kgo.Record)
		for _, l := range s.letters() {
			stamp, err := record.ReadStamp(l)
			if err != nil {
				t.Errorf("a letter's stamp: %v", err)
			}
			letters[stamp.Origin], byKey[string(l.Key)] = l, l
		}
		if len(letters) != len(tests) {
			t.Errorf("%d letters, want %d", len(letters), len(tests))
		}
		for i, tt := range tests {
			origin := fmt.Sprintf("%s/0/%d", names.Pending("tasks"), 2*i)
			l := letters[origin]
			if tt.reason == task.ReasonUnhandled {
				l = byKey[string(deadletter.Key("/hostile", tt.id, 0))] // it was read again after its wait
			}
			if l == nil {
				t.Errorf("%s: it has no letter", tt.name)
				continue
			}
			if !bytes.Equal(l.Value, tt.rec.Value) {
				t.Errorf("%s: value %.100q, want %.100q", tt.name, l.Value, tt.rec.Value)
			}
			if got, want := unstamped(l.Headers), unstamped(tt.rec.Headers); !slices.Equal(got, want) {
				t.Errorf("%s: headers %.200q, want %.200q", tt.name, got, want)
			}
			stamp, _ := record.ReadStamp(l)
			if stamp.Reason != tt.reason {
				t.Errorf("%s: reason %q (%s), want %q", tt.name, stamp.Reason, stamp.Err, tt.reason)
			}
			if stamp.Err == "" || stamp.Node != "test" || stamp.Died.IsZero() {
				t.Errorf("%s: the stamp does not say all: %+v", tt.name, stamp)
			}
			want := deadletter.OriginKey(origin)
			if tt.id != "" {
				want = deadletter.Key("/hostile", tt.id, 0)
			}
			if !bytes.Equal(l.Key, want) {
				t.Errorf("%s: key %q, want %q", tt.name, l.Key, want)
			}
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed", lag)
		}
	})
}

// unstamped is headers as text, without those that a move writes.
func unstamped(hs []kgo.RecordHeader) (rest []string) {
	for _, h := range hs {
		if !strings.HasPrefix(h.Key, "ce_tt") {
			rest = append(rest, h.Key+"="+string(h.Value))
		}
	}
	return rest
}

// While the dead topic refuses a letter its offset is held and everything else goes on; it is written once.
func TestRefusedLetterIsTriedUntilTaken(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.MessageTooLarge, kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.TopicAuthorizationFailed, kerr.NotEnoughReplicas} {
		t.Run(refusal.Message, func(t *testing.T) {
			play(t, 1, func(t *testing.T, s *stage) {
				mux := consumer.NewMux()
				handle(t, mux, "fails", fails)
				handle(t, mux, "ok", nothing)
				refuse := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.Dead("tasks"), Err: refusal, Count: -1})
				n := s.start(s.config(mux))
				s.send("ok", 5)
				s.send("fails", 1)
				s.send("ok", 20)
				s.await(25)
				if err := refuse.Wait(s.context(), 4); err != nil {
					t.Fatalf("only %d tries: %v", refuse.Hits(), err)
				}
				time.Sleep(5 * time.Second)
				if got := s.committed(0); got != 5 {
					t.Errorf("committed %d while the letter of offset 5 is refused", got)
				}
				if n := len(s.ends()); n != 25 {
					t.Errorf("%d are settled, want all but the one that is refused", n)
				}
				refuse.Remove()
				if e := s.await(26)[25]; e.State != task.Dead {
					t.Errorf("it is %s", e.State)
				}
				if err := n.stop(); err != nil {
					t.Error(err)
				}
				if got := len(s.letters()); got != 1 {
					t.Errorf("%d letters, want 1", got)
				}
				if lag := s.lag(); lag != 0 {
					t.Errorf("%d are not committed", lag)
				}
			})
		})
	}
}

// A consumer that stops while its letter is refused leaves the task to the next one.
func TestStopWhileALetterIsRefused(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		runs := newTally()
		handle(t, mux, "fails", func(_ context.Context, t *task.Task) error { runs.run(t); return errors.New("no luck") })
		refuse := s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.Dead("tasks"), Err: kerr.MessageTooLarge, Count: -1})
		n := s.start(s.config(mux))
		s.send("fails", 3)
		if err := refuse.Wait(s.context(), 3); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the stop took %v", took)
		}
		if got := n.Stats()[0].Dropped; got != 3 {
			t.Errorf("%d dropped, want 3", got)
		}
		if len(s.ends()) != 0 || s.committed(0) > 0 {
			t.Errorf("%d settled and %d committed without a letter", len(s.ends()), s.committed(0))
		}
		refuse.Remove()
		next := s.start(s.config(mux))
		s.await(3)
		if err := next.stop(); err != nil {
			t.Error(err)
		}
		if len(s.letters()) != 3 || runs.of("fails-0") != 2 {
			t.Errorf("%d letters after %d runs, want 3 after 2", len(s.letters()), runs.of("fails-0"))
		}
	})
}

// A stop waits for letters under way, in whichever partition, so that their tasks are not run again.
func TestStopWaitsForLettersUnderWay(t *testing.T) {
	play(t, 8, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		handle(t, mux, "fails", fails)
		produced := make(chan struct{})
		s.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			if len(req.(*kmsg.ProduceRequest).Topics) > 0 && isDead(s, req.(*kmsg.ProduceRequest)) {
				s.cluster.DropControl() // the others wait behind the first
				close(produced)
				s.cluster.SleepControl(func() { time.Sleep(2 * time.Second) })
			}
			return nil, nil, false
		})
		n := s.start(s.config(mux))
		n.assigned(8)
		s.send("fails", 8)
		<-produced
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d are not committed although all %d letters are written", lag, len(s.letters()))
		}
	})
}

func isDead(s *stage, req *kmsg.ProduceRequest) bool {
	for _, rt := range req.Topics {
		if rt.Topic == names.Dead("tasks") {
			return true
		}
		if info := s.cluster.TopicIDInfo(rt.TopicID); info != nil && info.Topic == names.Dead("tasks") {
			return true
		}
	}
	return false
}

// A broker that never answers a letter does not keep the consumer from stopping.
func TestStopWithASilentBroker(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		handle(t, mux, "fails", fails)
		n := s.start(s.config(mux))
		n.assigned(1)
		silenced := make(chan struct{}, 1000)
		s.cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			s.cluster.KeepControl()
			if !isDead(s, req.(*kmsg.ProduceRequest)) {
				return nil, nil, false
			}
			silenced <- struct{}{}
			return nil, nil, true // and no response
		})
		s.send("fails", 1)
		<-silenced
		began := time.Now()
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("the stop took %v", took)
		}
		if lag := s.committed(0); lag > 0 {
			t.Error("committed without a letter")
		}
	})
}
