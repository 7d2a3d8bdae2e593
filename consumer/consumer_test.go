package consumer_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/task"
)

func TestTasksAreExecutedAndCommitted(t *testing.T) {
	play(t, 4, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		handle(t, mux, "ok", func(context.Context, *task.Task) error { return nil })
		n := s.start(s.config(mux))
		s.send("ok", 400)
		for _, e := range s.await(400) {
			if e.State != task.Succeeded {
				t.Errorf("%s: %s, %v", e.Task.ID, e.State, e.Err)
			}
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d records are not committed after a clean stop", lag)
		}
	})
}

func TestFailuresBecomeLetters(t *testing.T) {
	var nilError *mute
	tests := []struct {
		typ    string
		h      consumer.Handler
		reason task.Reason
	}{
		{"fails", func(context.Context, *task.Task) error { return errors.New("no luck") }, task.ReasonExhausted},
		{"permanent", func(context.Context, *task.Task) error { return task.Permanent(errors.New("never")) }, task.ReasonFailed},
		{"panics", func(context.Context, *task.Task) error { panic("ouch") }, task.ReasonExhausted},
		{"panics-nil", func(context.Context, *task.Task) error { panic(nil) }, task.ReasonExhausted},
		{"panics-permanently", func(context.Context, *task.Task) error { panic(task.Permanent(errors.New("never"))) }, task.ReasonFailed},
		{"exits", func(context.Context, *task.Task) error { runtime.Goexit(); return nil }, task.ReasonExhausted},
		{"typed-nil", func(context.Context, *task.Task) error { return nilError }, task.ReasonExhausted},
	}
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		want := make(map[string]task.Reason)
		for _, tt := range tests {
			handle(t, mux, tt.typ, tt.h)
			want[tt.typ] = tt.reason
		}
		cfg := s.config(mux)
		cfg.Concurrency = 2
		n := s.start(cfg)
		for _, tt := range tests {
			s.send(tt.typ, 5)
		}
		for _, e := range s.await(5 * len(tests)) {
			if e.State != task.Dead || e.Reason != want[e.Task.Type] {
				t.Errorf("%s: %s %s, want dead %s", e.Task.ID, e.State, e.Reason, want[e.Task.Type])
			}
		}
		if got := len(s.letters()); got != 5*len(tests) {
			t.Errorf("%d letters, want %d", got, 5*len(tests))
		}
		if err := n.stop(); err != nil {
			t.Fatal(err)
		}
		if lag := s.lag(); lag != 0 {
			t.Errorf("%d records are not committed", lag)
		}
	})
}

// mute is an error that is not nil and can't say what it is: a nil pointer in an interface.
type mute struct{ text string }

func (e *mute) Error() string { return e.text }

// Settled is told once of every delivery that ended, whatever its end.
func TestSettledOnceEach(t *testing.T) {
	const each = 100
	play(t, 3, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		handle(t, mux, "ok", nothing)
		handle(t, mux, "fails", fails)
		runs := newTally()
		handle(t, mux, "snoozes", func(_ context.Context, tk *task.Task) error {
			if runs.run(tk) < 3 {
				return task.Snooze(time.Millisecond)
			}
			return nil
		})
		s.forward()
		n := s.start(s.config(mux))
		for _, typ := range []string{"ok", "fails", "snoozes"} {
			s.send(typ, each)
		}
		s.await(3 * each)
		if err := n.stop(); err != nil {
			t.Error(err)
		}
		count := make(map[string]int)
		for _, e := range s.ends() {
			if e.Task.Queue != "tasks" {
				t.Errorf("%s is told of queue %q", e.Task.ID, e.Task.Queue)
			}
			if count[e.Task.ID]++; count[e.Task.ID] > 1 {
				t.Errorf("%s is told %d times", e.Task.ID, count[e.Task.ID])
			}
		}
		if len(count) != 3*each {
			t.Errorf("told of %d, want %d", len(count), 3*each)
		}
		if st := n.Stats()[0]; st.Succeeded != 2*each || st.Dead != each || st.Polled != 5*each || st.Started != 5*each {
			t.Errorf("%+v", st)
		}
	})
}

// Two queues with a backlog share the slots by weight.
func TestWeights(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		runs := newTally()
		job := func(_ context.Context, tk *task.Task) error {
			runs.run(tk)
			time.Sleep(10 * time.Millisecond)
			return nil
		}
		handle(t, mux, "heavy", job)
		handle(t, mux, "light", job)
		cfg := s.config(mux)
		cfg.Concurrency = 8
		cfg.Queues = []consumer.Queue{{Name: "tasks", Weight: 3}, {Name: "other", Weight: 1}}
		s.send("heavy", 400)
		s.sendTo("other", "light", 400)
		n := s.start(cfg)
		s.await(800)
		ends := runs.order()
		heavy := 0
		for _, id := range ends[40:360] { // while both have work
			if strings.HasPrefix(id, "heavy") {
				heavy++
			}
		}
		if heavy < 230 || heavy > 250 {
			t.Errorf("%d of 320 starts are of the queue with three quarters of the weight", heavy)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	}, "other")
}

// Promise 6: stuck tasks delay no others, of their own queue while slots are left nor of another at all.
func TestStuckTasksDelayNoOther(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux, g, _ := holdOne(t)
		cfg := s.config(mux)
		cfg.Concurrency = 4
		cfg.Queues = append(cfg.Queues, consumer.Queue{Name: "other"})
		n := s.start(cfg)
		s.send("stuck", 2)
		s.send("ok", 50)
		s.await(50)
		s.send("stuck", 10) // takes all slots that the queue can get
		s.sendTo("other", "ok", 50)
		s.await(100)
		close(g.open)
		s.await(112)
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	}, "other")
}
