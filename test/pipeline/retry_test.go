package pipeline

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
)

// TestFailuresComeBackAndDelaysAreKept runs a whole node: tasks that fail twice succeed at the third attempt, tasks that
// fail for good are dead after their last, snoozed ones use no attempt, and delayed ones never start early.
func TestFailuresComeBackAndDelaysAreKept(t *testing.T) {
	onBoth(t, func(t *testing.T, brokers []string) {
		const n = 200
		name := strings.ToLower(testenv.Unique(t))
		cfg := config.Default()
		cfg.Kafka.Brokers, cfg.Kafka.Prefix = brokers, name
		cfg.Redis, cfg.Etcd, cfg.Node.HTTP = nil, nil, ""
		q := config.DefaultQueue()
		q.Partitions = 4
		q.Retry = config.Retry{MaxAttempts: 3, Base: 300 * time.Millisecond, Max: time.Second}
		cfg.Queues = map[string]config.Queue{name: q}

		var mu sync.Mutex
		attempts := make(map[string][]int)
		early := 0
		record := func(t *task.Task) {
			mu.Lock()
			defer mu.Unlock()
			attempts[t.ID] = append(attempts[t.ID], t.Attempt)
			if time.Now().Before(t.NotBefore) {
				early++
			}
		}
		mux := consumer.NewMux()
		for typ, answer := range map[string]func(*task.Task) error{
			"delayed": func(*task.Task) error { return nil },
			"flaky": func(t *task.Task) error {
				if t.Attempt < 3 {
					return fmt.Errorf("attempt %d had no luck", t.Attempt)
				}
				return nil
			},
			"hopeless": func(t *task.Task) error { return fmt.Errorf("attempt %d had no luck", t.Attempt) },
			"snoozing": func(t *task.Task) error {
				if t.Turn < 3 {
					return task.Snooze(200 * time.Millisecond)
				}
				return nil
			},
		} {
			if err := mux.Handle(typ, func(_ context.Context, t *task.Task) error { record(t); return answer(t) }); err != nil {
				t.Fatal(err)
			}
		}
		ends := make(chan consumer.Settled, 100*n)
		node, err := tasktier.New(cfg, mux, tasktier.WithSettled(func(s consumer.Settled) {
			if s.State.Terminal() {
				ends <- s
			}
		}))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		coordinated(t, brokers, names.Group(name, name), names.RetryGroup(name))
		ended := make(chan error, 1)
		go func() { ended <- node.Run(ctx) }()

		p, err := producer.New(producer.Config{Brokers: brokers, Queue: name, Prefix: name, Source: "/e2e"})
		if err != nil {
			t.Fatal(err)
		}
		for err = producer.ErrNoTopic; errors.Is(err, producer.ErrNoTopic) && ctx.Err() == nil; {
			err = p.Send(ctx, task.New("delayed", nil, task.ID("first"), task.In(time.Second))) // the node makes the topics
		}
		if err != nil {
			t.Fatal(err)
		}
		var tasks []*task.Task
		for i := range n {
			tasks = append(tasks,
				task.New("delayed", nil, task.ID(fmt.Sprint("delayed-", i)), task.In(time.Duration(rand.IntN(4000))*time.Millisecond)),
				task.New("flaky", nil, task.ID(fmt.Sprint("flaky-", i))),
				task.New("hopeless", nil, task.ID(fmt.Sprint("hopeless-", i))),
				task.New("snoozing", nil, task.ID(fmt.Sprint("snoozing-", i))))
		}
		if err := p.Send(ctx, tasks...); err != nil {
			t.Fatal(err)
		}
		if err := p.Close(ctx); err != nil {
			t.Fatal(err)
		}
		for i := range 4*n + 1 {
			select {
			case s := <-ends:
				wantState, wantReason := task.Succeeded, task.Reason("")
				if s.Task.Type == "hopeless" {
					wantState, wantReason = task.Dead, task.ReasonExhausted
				}
				if s.State != wantState || s.Reason != wantReason {
					t.Errorf("%s ends as %s %s, %v", s.Task.ID, s.State, s.Reason, s.Err)
				}
			case err := <-ended:
				t.Fatalf("the node ended after %d of %d tasks: %v", i, 4*n+1, err)
			case <-ctx.Done():
				mu.Lock()
				defer mu.Unlock()
				t.Fatalf("%d of %d tasks ended; the attempts were %v", i, 4*n+1, attempts)
			}
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := map[string]string{"delayed": "[1]", "flaky": "[1 2 3]", "hopeless": "[1 2 3]", "snoozing": "[1 1 1]"}
		for id, got := range attempts {
			typ, _, _ := strings.Cut(id, "-")
			if id != "first" && fmt.Sprint(got) != want[typ] {
				t.Errorf("%s had attempts %v, want %s", id, got, want[typ])
			}
		}
		if early > 0 {
			t.Errorf("%d started before their time", early)
		}
	})
}
