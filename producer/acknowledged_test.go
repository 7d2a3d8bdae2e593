package producer_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// acknowledgements gathers what the hook was told, by the task's id.
type acknowledgements struct {
	mu    sync.Mutex
	tasks map[string][]task.Task
	where map[string]producer.Receipt
}

func newAcknowledgements() *acknowledgements {
	return &acknowledgements{tasks: map[string][]task.Task{}, where: map[string]producer.Receipt{}}
}

func (a *acknowledgements) hook(r producer.Receipt, t *task.Task) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tasks[t.ID] = append(a.tasks[t.ID], *t)
	a.where[t.ID] = r
}

func (a *acknowledgements) of(id string) []task.Task {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tasks[id]
}

// The hook is told of each task that was acknowledged, once and before its sender; of no other.
func TestAcknowledged(t *testing.T) {
	c, told := cluster(t), newAcknowledgements()
	p := open(t, producer.Config{Brokers: c.ListenAddrs(), Source: "/shop", Acknowledged: told.hook})
	due := time.Now().Add(time.Hour)
	plain := task.New("plain", []byte("payload"), task.ID("plain"))
	tasks := []*task.Task{
		plain,
		task.New("own", nil, task.ID("own"), task.Source("/own"), task.Queue("mail")),
		task.New("delayed", nil, task.ID("delayed"), task.At(due)),
		task.New("", nil, task.ID("invalid")),
	}
	if err := p.Send(within(t, patience), tasks...); err == nil {
		t.Fatal("the invalid one was sent")
	}
	for _, want := range []struct{ id, source, queue, topic string }{
		{"plain", "/shop", "tasks", "tasks.pending"},
		{"own", "/own", "mail", "mail.pending"},
		{"delayed", "/shop", "tasks", "tasktier.retry.minute"},
	} {
		got := told.of(want.id)
		if len(got) != 1 {
			t.Fatalf("%s: told %d times when Send returned", want.id, len(got))
		}
		if g := got[0]; g.Source != want.source || g.Queue != want.queue || g.Type != want.id || g.Turn != 1 {
			t.Errorf("%s: told of %+v", want.id, g)
		}
		if r := told.where[want.id]; r.Topic != want.topic || r.ID != want.id || r.Source != want.source || r.Queue != want.queue {
			t.Errorf("%s: receipt %+v", want.id, r)
		}
	}
	if got := told.of("delayed")[0]; !got.NotBefore.Equal(due) {
		t.Errorf("told that it waits until %v, want %v", got.NotBefore, due)
	}
	if told.of("invalid") != nil {
		t.Error("told of a task that was not sent")
	}
	if plain.Source != "" || plain.Queue != "" {
		t.Errorf("the caller's task was changed: %+v", *plain)
	}

	one, err := p.SendOne(within(t, patience), task.New("t", nil, task.ID("one")))
	if err != nil || told.where["one"] != one {
		t.Errorf("SendOne returned %+v (%v), told was %+v", one, err, told.where["one"])
	}
	done := make(chan int, 1)
	p.SendAsync(within(t, patience), task.New("t", nil, task.ID("async")), func(producer.Receipt, error) { done <- len(told.of("async")) })
	if n := <-done; n != 1 {
		t.Errorf("told %d times when done was called", n)
	}
}

// A sender that leaves is told that nothing is known. When the acknowledgement comes after all, the hook hears of it.
func TestAcknowledgedAfterItsSenderLeft(t *testing.T) {
	c, told := cluster(t), newAcknowledgements()
	p := open(t, producer.Config{Brokers: c.ListenAddrs(), Acknowledged: told.hook})
	reached, release := make(chan struct{}), make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.DropControl()
		close(reached)
		<-release
		return nil, nil, false
	})
	ctx, cancel := context.WithCancel(within(t, patience))
	go func() { <-reached; cancel() }()
	if err := p.Send(ctx, task.New("t", nil, task.ID("late"))); err == nil {
		t.Fatal("acknowledged")
	}
	if told.of("late") != nil {
		t.Error("told before the acknowledgement")
	}
	close(release)
	if err := p.Close(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if n := len(told.of("late")); n != 1 {
		t.Errorf("told %d times", n)
	}
}

// A task that is given up was not acknowledged.
func TestAcknowledgedIsNotToldOfFailures(t *testing.T) {
	told := newAcknowledgements()
	g := newGate()
	p := open(t, producer.Config{Brokers: []string{"127.0.0.1:1"}, Acknowledged: told.hook, Options: []kgo.Opt{kgo.Dialer(g.dial)}})
	failed := make(chan error, 1)
	p.SendAsync(context.Background(), task.New("t", nil, task.ID("lost")), func(_ producer.Receipt, err error) { failed <- err })
	<-g.tried
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Close(ctx)
	if err := <-failed; err == nil || told.of("lost") != nil {
		t.Errorf("got %v, told of %v", err, told.of("lost"))
	}
}

// BenchmarkSendAcknowledged is BenchmarkSend with a hook, to see what it costs.
func BenchmarkSendAcknowledged(b *testing.B) {
	const batch = 1000
	p := open(b, producer.Config{Brokers: cluster(b, kfake.BlackholeProduce()).ListenAddrs(), Acknowledged: func(producer.Receipt, *task.Task) {}})
	tasks := make([]*task.Task, batch)
	for i := range tasks {
		tasks[i] = task.New("email.welcome", body, task.ContentType("application/json"))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for left := b.N; left > 0; left -= batch {
		if err := p.Send(context.Background(), tasks[:min(batch, left)]...); err != nil {
			b.Fatal(err)
		}
	}
}
