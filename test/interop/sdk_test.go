package interop

import (
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/task"
)

// TestPublishedBySDKs: every case, from every SDK, in every mode, is executed exactly once, as it was sent. Under -short the
// only SDK is that of Go.
func TestPublishedBySDKs(t *testing.T) {
	publishers, cases := installPublishers(t), readCases(t)
	s := newStage(t, 3)
	runs := 0
	for _, p := range publishers {
		runs += len(p.modes)
	}
	for _, e := range cases {
		s.handle(e.Type)
	}
	await := s.consume(20)
	if err := s.publishAll(publishers); err != nil {
		t.Fatal(err)
	}
	await(runs * len(cases))
	s.finished()

	ran := map[string][]*task.Task{}
	for _, got := range s.ran {
		ran[got.ID] = append(ran[got.ID], got)
	}
	used := map[string]bool{}
	for _, p := range publishers {
		for _, mode := range p.modes {
			for _, e := range cases {
				name := p.name + "/" + mode + "/" + strings.TrimPrefix(e.Type, "interop.")
				q, ok := quirks[name]
				used[name] = ok
				t.Run(name, func(t *testing.T) {
					tasks := ran[idPrefix(p, mode)+e.ID]
					if len(tasks) != 1 {
						t.Fatalf("ran %d times", len(tasks))
					}
					e.check(t, mode, idPrefix(p, mode), q, tasks[0])
				})
			}
		}
	}
	for name := range quirks {
		if !used[name] && !testing.Short() {
			t.Errorf("the quirk of %s is of no publisher, mode and case", name)
		}
	}
	s.letters(0)
}

func idPrefix(p publisher, mode string) string { return p.name + "-" + mode + "-" }

// publishAll runs all publishers, two at a time: each is a process of its own language.
func (s *stage) publishAll(publishers []publisher) error {
	var (
		all   sync.WaitGroup
		mu    sync.Mutex
		errs  []error
		slots = make(chan struct{}, 2)
	)
	for _, p := range publishers {
		for _, mode := range p.modes {
			all.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				if err := p.publish(strings.Join(s.brokers, ","), names.Pending(s.queue), mode, idPrefix(p, mode)); err != nil {
					mu.Lock()
					defer mu.Unlock()
					errs = append(errs, err)
				}
			})
		}
	}
	all.Wait()
	return errors.Join(errs...)
}

// check compares a task with the case it was made from.
func (e event) check(t *testing.T, mode, prefix string, q quirk, got *task.Task) {
	t.Helper()
	want := e.expected(mode, prefix)
	if q.time != "" {
		at, err := time.Parse(time.RFC3339Nano, q.time)
		if err != nil {
			t.Fatal(err)
		}
		want.Time = at
	}
	for _, f := range []struct {
		name      string
		got, want any
	}{
		{"id", got.ID, want.ID}, {"source", got.Source, want.Source}, {"type", got.Type, want.Type},
		{"content type", got.ContentType, want.ContentType}, {"key", got.Key, want.Key}, {"time", got.Time, want.Time},
		{"not before", got.NotBefore, want.NotBefore}, {"expires", got.Expires, want.Expires},
		{"max attempts", got.MaxAttempts, want.MaxAttempts}, {"timeout", got.Timeout, want.Timeout},
		{"traceparent", got.TraceParent, want.TraceParent}, {"tracestate", got.TraceState, want.TraceState},
		{"generation", got.Generation, want.Generation}, {"turn", got.Turn, want.Turn}, {"attempt", got.Attempt, want.Attempt},
	} {
		if f.got != f.want {
			t.Errorf("%s is %v, want %v (%s)", f.name, f.got, f.want, q.why)
		}
	}

	headers := map[string]string{}
	for _, h := range got.Headers {
		headers[h.Key] = h.Value
	}
	wantHeaders := e.headers(mode)
	maps.Copy(wantHeaders, q.headers)
	if !maps.Equal(headers, wantHeaders) || len(got.Headers) != len(headers) {
		t.Errorf("headers are %v, want %v", got.Headers, wantHeaders)
	}

	if q.payload == "" {
		e.checkPayload(t, mode, got.Payload)
	} else if string(got.Payload) != q.payload {
		t.Errorf("payload is %q, want %q (%s)", got.Payload, q.payload, q.why)
	}
}
