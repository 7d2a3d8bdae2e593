package producer_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// done is called once for each task, good or bad, and never two at a time.
func TestSendAsync(t *testing.T) {
	c := cluster(t)
	p := open(t, producer.Config{Brokers: c.ListenAddrs()})
	const n = 1000
	var inside atomic.Int32
	calls := make([]int, n) // written by done alone: the race detector checks that calls follow each other
	sent, failed := 0, 0
	for i := range n {
		tk := task.New("t", nil)
		if i%10 == 0 {
			tk.Type = ""
		}
		p.SendAsync(within(t, patience), tk, func(r producer.Receipt, err error) {
			if inside.Add(1) != 1 {
				t.Error("done is called by two at a time")
			}
			calls[i]++
			switch {
			case err == nil && r.ID == tk.ID && r.Topic == "tasks.pending":
				sent++
			case errors.Is(err, task.ErrInvalid) && r == producer.Receipt{}:
				failed++
			default:
				t.Errorf("task %d: %+v, %v", i, r, err)
			}
			inside.Add(-1)
		})
	}
	p.SendAsync(within(t, patience), task.New("t", nil), nil)
	if err := p.Close(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	for i, calls := range calls {
		if calls != 1 {
			t.Errorf("done of task %d was called %d times", i, calls)
		}
	}
	if sent != n*9/10 || failed != n/10 {
		t.Errorf("%d sent, %d failed", sent, failed)
	}
	read(t, c, "tasks.pending", n*9/10+1)
}

// A caller may hold a lock that its done takes: done is not called from within SendAsync, for a bad task neither.
func TestDoneIsNotCalledBySendAsync(t *testing.T) {
	p := open(t, producer.Config{Brokers: []string{"127.0.0.1:1"}})
	returned, called := make(chan struct{}), make(chan struct{})
	p.SendAsync(context.Background(), task.New("", nil), func(producer.Receipt, error) {
		select {
		case <-returned:
		case <-time.After(patience):
			t.Error("SendAsync waits for done")
		}
		close(called)
	})
	close(returned)
	<-called
}

// Close sends what still lingers.
func TestCloseFlushes(t *testing.T) {
	c := cluster(t)
	p := open(t, producer.Config{Brokers: c.ListenAddrs(), Linger: time.Minute})
	var sent atomic.Int32
	for range 10 {
		p.SendAsync(within(t, patience), task.New("t", nil), func(_ producer.Receipt, err error) {
			if err == nil {
				sent.Add(1)
			}
		})
	}
	if err := p.Close(within(t, patience)); err != nil {
		t.Fatal(err)
	}
	if sent.Load() != 10 {
		t.Errorf("%d of 10 sent", sent.Load())
	}
	read(t, c, "tasks.pending", 10)
}

// What can't be sent in time is given up, counted, and its senders are told.
func TestCloseGivesUp(t *testing.T) {
	g := newGate()
	p := open(t, producer.Config{Brokers: []string{"127.0.0.1:1"}, Options: []kgo.Opt{kgo.Dialer(g.dial)}})
	var told atomic.Int32
	for range 3 {
		p.SendAsync(context.Background(), task.New("t", nil), func(_ producer.Receipt, err error) {
			if errors.Is(err, producer.ErrUnacknowledged) && errors.Is(err, producer.ErrClosed) {
				told.Add(1)
			}
		})
	}
	<-g.tried
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Close(ctx); err == nil || !strings.Contains(err.Error(), "3 tasks given up") {
		t.Errorf("got %v", err)
	}
	if told.Load() != 3 {
		t.Errorf("%d of 3 senders were told", told.Load())
	}

	if err := p.Close(ctx); err != nil {
		t.Errorf("closed again: %v", err)
	}
	if err := p.Send(context.Background(), task.New("t", nil)); !errors.Is(err, producer.ErrClosed) || errors.Is(err, producer.ErrUnacknowledged) {
		t.Errorf("sent after: %v", err)
	}
	var late error
	p.SendAsync(context.Background(), task.New("t", nil), func(_ producer.Receipt, err error) { late = err })
	if !errors.Is(late, producer.ErrClosed) {
		t.Errorf("sent after, async: %v", late)
	}
}

// A full buffer holds its senders back, and lets go of them when their context ends or the producer is closed.
func TestBackpressure(t *testing.T) {
	g := newGate()
	p := open(t, producer.Config{Brokers: []string{"127.0.0.1:1"}, BufferBytes: 64 << 10, Options: []kgo.Opt{kgo.Dialer(g.dial)}})
	first := make(chan error, 1)
	p.SendAsync(context.Background(), task.New("t", make([]byte, 128<<10)), func(_ producer.Receipt, err error) { first <- err })
	<-g.tried
	err := p.Send(within(t, 50*time.Millisecond), task.New("t", nil))
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, producer.ErrUnacknowledged) || !strings.Contains(err.Error(), "not sent") {
		t.Errorf("got %v; the task has not left the caller", err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- p.Send(context.Background(), task.New("t", nil)) }()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = p.Close(ctx)
	if err := <-waiting; !errors.Is(err, producer.ErrClosed) {
		t.Errorf("the one that waited got %v", err)
	}
	if err := <-first; !errors.Is(err, producer.ErrClosed) {
		t.Errorf("the one that was under way got %v", err)
	}
}

func TestNewRefuses(t *testing.T) {
	brokers := []string{"127.0.0.1:1"}
	for name, cfg := range map[string]producer.Config{
		"no brokers":      {},
		"bad queue":       {Brokers: brokers, Queue: "a b"},
		"tiny limit":      {Brokers: brokers, MaxBytes: 1},
		"huge limit":      {Brokers: brokers, MaxBytes: 1 << 30},
		"negative buffer": {Brokers: brokers, BufferBytes: -1},
		"negative linger": {Brokers: brokers, Linger: -1},
		"client's word":   {Brokers: brokers, Options: []kgo.Opt{kgo.RequiredAcks(kgo.NoAck())}},
	} {
		if p, err := producer.New(cfg); err == nil {
			_ = p.Close(context.Background())
			t.Errorf("%s: no error", name)
		}
	}
}
