package consumer_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
)

func nothing(context.Context, *task.Task) error { return nil }

func TestMuxRefuses(t *testing.T) {
	mux := consumer.NewMux()
	handle(t, mux, "taken", nothing)
	tests := []struct {
		name string
		typ  string
		h    consumer.Handler
	}{
		{"a second handler", "taken", nothing},
		{"an empty type", "", nothing},
		{"no handler", "free", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := mux.Handle(tt.typ, tt.h); err == nil {
				t.Error("took it")
			}
		})
	}
	mail := task.Define[string]("mail")
	if err := consumer.Handle(mux, mail, nil); err == nil {
		t.Error("took a typed handler that is nil")
	}
	if err := consumer.Handle(mux, mail, func(context.Context, string) error { return nil }); err != nil {
		t.Error(err)
	}
	if err := consumer.Handle(mux, mail, func(context.Context, string) error { return nil }); err == nil {
		t.Error("took a second typed handler")
	}
	if got, want := mux.Types(), []string{"mail", "taken"}; !slices.Equal(got, want) {
		t.Errorf("types %q, want %q", got, want)
	}
	if !mux.Remove("taken") || mux.Remove("taken") {
		t.Error("Remove must say whether there was a handler")
	}
	handle(t, mux, "taken", nothing)
}

func TestZeroMux(t *testing.T) {
	var mux consumer.Mux
	if mux.Remove("any") || len(mux.Types()) != 0 {
		t.Error("a zero Mux has handlers")
	}
	if err := mux.Handle("any", nothing); err != nil {
		t.Error(err)
	}
}

func TestTypedHandler(t *testing.T) {
	type mail struct{ To string }
	typ := task.Define[mail]("mail")
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		var got []mail
		err := consumer.Handle(mux, typ, func(ctx context.Context, m mail) error {
			if task.From(ctx) == nil || task.From(ctx).Type != "mail" {
				t.Error("the context does not know its task")
			}
			got = append(got, m)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		cfg := s.config(mux)
		cfg.Concurrency = 1
		n := s.start(cfg)
		good := typ.New(mail{To: "ada"}, task.ID("good"), task.Source("/test"))
		bad := task.New("mail", []byte(`{"To":`), task.ID("bad"), task.Source("/test"))
		s.raw(record.Encode(good, ""), record.Encode(bad, ""))
		ends := s.await(2)
		if len(got) != 1 || got[0].To != "ada" {
			t.Errorf("the handler got %v", got)
		}
		i := slices.IndexFunc(ends, func(e consumer.Settled) bool { return e.Task.ID == "bad" })
		if e := ends[i]; e.State != task.Dead || e.Reason != task.ReasonFailed || e.Err == nil {
			t.Errorf("a payload that can't be decoded: %s %s %v, want dead, failed", e.State, e.Reason, e.Err)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestMiddlewareOrder(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		var calls []string
		around := func(name string) consumer.Middleware {
			return func(next consumer.Handler) consumer.Handler {
				return func(ctx context.Context, t *task.Task) error {
					calls = append(calls, name+" in")
					defer func() { calls = append(calls, name+" out") }()
					return next(ctx, t)
				}
			}
		}
		mux := consumer.NewMux()
		mux.Use(around("first"))
		handle(t, mux, "ok", func(context.Context, *task.Task) error {
			calls = append(calls, "handler")
			return nil
		})
		mux.Use(around("second"), around("third"))
		n := s.start(s.config(mux))
		s.send("ok", 1)
		s.await(1)
		want := []string{"first in", "second in", "third in", "handler", "third out", "second out", "first out"}
		if !slices.Equal(calls, want) {
			t.Errorf("calls %q, want %q", calls, want)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Middleware can turn an outcome into another, and see that of a handler that panics when it recovers.
func TestMiddlewareDecides(t *testing.T) {
	play(t, 1, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		mux.Use(func(next consumer.Handler) consumer.Handler {
			return func(ctx context.Context, t *task.Task) error {
				if err := next(ctx, t); err != nil {
					return task.Permanent(err)
				}
				return nil
			}
		})
		handle(t, mux, "fails", func(context.Context, *task.Task) error { return errors.New("no luck") })
		n := s.start(s.config(mux))
		s.send("fails", 1)
		if e := s.await(1)[0]; e.Reason != task.ReasonFailed {
			t.Errorf("reason %q, want the middleware's", e.Reason)
		}
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}

// Handlers come and go while tasks flow; no task is lost or dead for it.
func TestHandlersChangeWhileTasksFlow(t *testing.T) {
	const each = 300
	play(t, 3, func(t *testing.T, s *stage) {
		mux := consumer.NewMux()
		runs := newTally()
		h := func(_ context.Context, t *task.Task) error { runs.run(t); return nil }
		handle(t, mux, "stays", h)
		s.forward()
		n := s.start(s.config(mux))
		n.assigned(3)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 5 {
				if err := mux.Handle("comes", h); err != nil {
					t.Error(err)
				}
				time.Sleep(700 * time.Millisecond)
				mux.Remove("comes")
				time.Sleep(700 * time.Millisecond)
			}
			if err := mux.Handle("comes", h); err != nil {
				t.Error(err)
			}
		})
		for i := range each {
			for j, typ := range []string{"stays", "comes"} {
				tk := task.New(typ, nil, task.ID(typ+"-"+strconv.Itoa(i)), task.Source("/test"))
				r := record.Encode(tk, names.Pending("tasks"))
				r.Partition = int32((i + j) % 3)
				s.client.Produce(context.Background(), r, nil)
			}
			time.Sleep(10 * time.Millisecond)
		}
		for _, e := range s.await(2 * each) {
			if e.State != task.Succeeded {
				t.Errorf("%s is %s: %s %v", e.Task.ID, e.State, e.Reason, e.Err)
			}
		}
		wg.Wait()
		runs.once(t, "stays", each)
		runs.once(t, "comes", each)
		if err := n.stop(); err != nil {
			t.Error(err)
		}
	})
}
