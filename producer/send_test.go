package producer_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestSend(t *testing.T) {
	c := cluster(t)
	p := open(t, producer.Config{Brokers: c.ListenAddrs(), Source: "/shop"})
	var tasks []*task.Task
	want := map[string]*task.Task{}
	for i := range 100 {
		tk := task.New("mail.send", fmt.Appendf(nil, `{"n":%d}`, i), task.In(-time.Hour), task.ExpiresIn(time.Hour), task.WithHeader("x-tenant", "7"))
		tasks, want[tk.ID] = append(tasks, tk), tk
	}
	if err := p.Send(within(t, patience), tasks...); err != nil {
		t.Fatal(err)
	}
	for _, r := range read(t, c, "tasks.pending", len(tasks)) {
		var got task.Task
		if err := record.Decode(r, &got); err != nil {
			t.Fatal(err)
		}
		w := want[got.ID]
		if w == nil {
			t.Fatalf("task %q was not sent, or came twice", got.ID)
		}
		delete(want, got.ID)
		if got.Source != "/shop" || got.Type != w.Type || string(got.Payload) != string(w.Payload) || !got.Expires.Equal(w.Expires) || got.Header("x-tenant") != "7" {
			t.Errorf("got %+v, sent %+v", got, *w)
		}
		if w.Source != "" || w.Queue != "" {
			t.Errorf("the caller's task was changed: %+v", *w)
		}
	}
}

func TestSendNothing(t *testing.T) {
	p := open(t, producer.Config{Brokers: []string{"127.0.0.1:1"}})
	if err := p.Send(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestSendOneSaysWhere(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	p := open(t, producer.Config{Brokers: c.ListenAddrs()})
	got, err := p.SendOne(within(t, patience), task.New("t", nil, task.Queue("mail"), task.ID("7"), task.Key("k")))
	if err != nil {
		t.Fatal(err)
	}
	r := read(t, c, "mail.pending", 1)[0]
	want := producer.Receipt{ID: "7", Source: "/tasktier", Queue: "mail", Topic: "mail.pending", Partition: r.Partition, Offset: r.Offset}
	if got != want || string(r.Key) != "k" {
		t.Errorf("got %+v, want %+v; key %q", got, want, r.Key)
	}
}

// Tasks that can't be sent are named; the others are sent all the same.
func TestSendNamesWhatFailed(t *testing.T) {
	c := cluster(t)
	p := open(t, producer.Config{Brokers: c.ListenAddrs(), MaxBytes: 2000})
	tasks := []*task.Task{
		task.New("good", nil),
		task.New("", nil),
		nil,
		task.New("large", make([]byte, 2000)),
		task.New("queue", nil, task.Queue("no/queue")),
		task.New("expired before it starts", nil, task.In(time.Hour), task.ExpiresIn(time.Minute)),
		task.New("far", nil, task.At(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))),
		task.New("good", nil),
	}
	err := p.Send(within(t, patience), tasks...)
	var se *producer.SendError
	if !errors.As(err, &se) || se.Total != len(tasks) {
		t.Fatalf("got %v, want a SendError", err)
	}
	want := []error{nil, task.ErrInvalid, task.ErrInvalid, producer.ErrTooLarge, task.ErrInvalid, task.ErrInvalid, task.ErrInvalid, nil}
	for _, f := range se.Failures {
		if f.Task != tasks[f.Index] || want[f.Index] == nil || !errors.Is(f.Err, want[f.Index]) {
			t.Errorf("task %d failed with %v, want %v", f.Index, f.Err, want[f.Index])
		}
	}
	if len(se.Failures) != 6 || !errors.Is(err, producer.ErrTooLarge) || !strings.Contains(err.Error(), "6 of 8") {
		t.Errorf("got %v", err)
	}
	read(t, c, "tasks.pending", 2)
}

// What passes the check of sizes is taken by client and broker, to the byte.
func TestSizeLimit(t *testing.T) {
	c := cluster(t)
	for _, limit := range []int{1024, producer.DefaultMaxBytes} {
		p := open(t, producer.Config{Brokers: c.ListenAddrs(), MaxBytes: limit})
		tk := task.New("t", nil, task.Source("/s"), task.ID("1"), task.WithHeader("a", ""), task.WithHeader("b", "c"))
		tk.Payload = make([]byte, limit-record.Size(record.Encode(tk, "")))
		if err := p.Send(within(t, patience), tk); err != nil {
			t.Errorf("limit %d: %v", limit, err)
		}
		tk.Payload = append(tk.Payload, 0)
		if err := p.Send(within(t, patience), tk); !errors.Is(err, producer.ErrTooLarge) {
			t.Errorf("limit %d and a byte: %v", limit, err)
		}
	}
}

// produceFault answers the next produce requests with code, without writing.
func produceFault(c *kfake.Cluster, code int16, times int) {
	for range times {
		c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
			produce := req.(*kmsg.ProduceRequest)
			resp := produce.ResponseKind().(*kmsg.ProduceResponse)
			for _, rt := range produce.Topics {
				topic := kmsg.NewProduceResponseTopic()
				topic.Topic, topic.TopicID = rt.Topic, rt.TopicID
				for _, rp := range rt.Partitions {
					part := kmsg.NewProduceResponseTopicPartition()
					part.Partition, part.ErrorCode = rp.Partition, code
					topic.Partitions = append(topic.Partitions, part)
				}
				resp.Topics = append(resp.Topics, topic)
			}
			return resp, nil, true
		})
	}
}

func TestBrokerRefuses(t *testing.T) {
	for _, c := range []struct {
		code *kerr.Error
		want error
		says string
	}{
		{kerr.MessageTooLarge, producer.ErrTooLarge, "max.message.bytes"},
		{kerr.TopicAuthorizationFailed, kerr.TopicAuthorizationFailed, "grant WRITE"},
		{kerr.PolicyViolation, kerr.PolicyViolation, "tasks.pending"},
	} {
		t.Run(c.code.Message, func(t *testing.T) {
			cl := cluster(t)
			p := open(t, producer.Config{Brokers: cl.ListenAddrs()})
			produceFault(cl, c.code.Code, 1)
			err := p.Send(within(t, patience), task.New("t", nil))
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %v that says %q", err, c.want, c.says)
			}
		})
	}
}

// Faults that pass are waited out, and the task is there once.
func TestBrokerRecovers(t *testing.T) {
	for _, code := range []*kerr.Error{kerr.NotLeaderForPartition, kerr.NotEnoughReplicas, kerr.RequestTimedOut} {
		t.Run(code.Message, func(t *testing.T) {
			t.Parallel()
			c := cluster(t)
			p := open(t, producer.Config{Brokers: c.ListenAddrs()})
			produceFault(c, code.Code, 2)
			if err := p.Send(within(t, patience), task.New("t", nil)); err != nil {
				t.Fatal(err)
			}
			read(t, c, "tasks.pending", 1)
		})
	}
}

// The broker wrote the task, the reply was lost, the client sends again: it is there once.
func TestLostReplyDoesNotDouble(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	var net lossy
	p := open(t, producer.Config{Brokers: c.ListenAddrs(), Options: []kgo.Opt{kgo.Dialer(net.dial)}})
	if err := p.Send(within(t, patience), task.New("t", nil)); err != nil {
		t.Fatal(err)
	}
	if !net.lost.Load() {
		t.Fatal("no reply was lost")
	}
	read(t, c, "tasks.pending", 1)
}

func TestMissingTopic(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	p := open(t, producer.Config{Brokers: c.ListenAddrs(), Queue: "nowhere"})
	err := p.Send(within(t, patience), task.New("t", nil))
	if !errors.Is(err, producer.ErrNoTopic) || !strings.Contains(err.Error(), "nowhere.pending") || !strings.Contains(err.Error(), "tasktier topic apply") {
		t.Errorf("got %v", err)
	}
}

// A broker that is not there is named, with what the network said.
func TestUnreachable(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	p := open(t, producer.Config{Brokers: []string{addr}})
	err = p.Send(within(t, 300*time.Millisecond), task.New("t", nil), task.New("t", nil))
	for _, want := range []error{producer.ErrUnacknowledged, producer.ErrUnreachable, context.DeadlineExceeded} {
		if !errors.Is(err, want) {
			t.Errorf("got %v, which is not %v", err, want)
		}
	}
	if !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), "2 of 2") {
		t.Errorf("got %v", err)
	}
}

// A broker that hangs with a task in flight does not hold Send: its fate is unknown, and may be to be written.
func TestHangingBroker(t *testing.T) {
	c := cluster(t)
	p := open(t, producer.Config{Brokers: c.ListenAddrs()})
	reached, release := make(chan struct{}), make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.DropControl()
		close(reached)
		<-release
		return nil, nil, false
	})
	ctx, cancel := context.WithCancelCause(within(t, patience))
	go func() { <-reached; cancel(errors.New("the caller left")) }()
	err := p.Send(ctx, task.New("t", nil))
	if !errors.Is(err, producer.ErrUnacknowledged) || errors.Is(err, producer.ErrUnreachable) || !strings.Contains(err.Error(), "the caller left") {
		t.Errorf("got %v", err)
	}
	close(release)
	if err := p.Close(within(t, patience)); err != nil {
		t.Error(err)
	}
	read(t, c, "tasks.pending", 1)
}

func TestContextEndedBefore(t *testing.T) {
	c := cluster(t)
	p := open(t, producer.Config{Brokers: c.ListenAddrs()})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.Send(ctx, task.New("t", nil)); !errors.Is(err, context.Canceled) || errors.Is(err, producer.ErrUnacknowledged) {
		t.Errorf("got %v; nothing was sent, so nothing is unknown", err)
	}
	if err := p.Close(within(t, patience)); err != nil || stored(c, "tasks.pending") != 0 {
		t.Errorf("%d tasks were written (%v)", stored(c, "tasks.pending"), err)
	}
}

// The client fails a whole batch for the context of its first record. Here that must hit nobody else, and what was
// withdrawn must not be written later.
func TestOneCallersCancelIsNoOthers(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	g := newGate()
	p := open(t, producer.Config{Brokers: c.ListenAddrs(), Options: []kgo.Opt{kgo.Dialer(g.dial)}})
	ctx, cancel := context.WithCancel(within(t, patience))
	first, other := make(chan error, 1), make(chan error, 1)
	p.SendAsync(ctx, task.New("t", nil, task.ID("withdrawn")), func(_ producer.Receipt, err error) { first <- err })
	p.SendAsync(within(t, patience), task.New("t", nil, task.ID("kept")), func(_ producer.Receipt, err error) { other <- err })
	<-g.tried
	cancel()
	if err := <-first; !errors.Is(err, producer.ErrUnacknowledged) {
		t.Errorf("the caller that left got %v", err)
	}
	g.open.Store(true)
	if err := <-other; err != nil {
		t.Errorf("the caller that stayed got %v", err)
	}
	var got task.Task
	if err := record.Decode(read(t, c, "tasks.pending", 1)[0], &got); err != nil || got.ID != "kept" {
		t.Errorf("got task %q (%v)", got.ID, err)
	}
}

// Tasks without a key share batches. Random keys, or a random partition for each record, would make a batch of every
// task. Pitfall 34 of docs/pitfalls.md.
func TestUnkeyedTasksShareBatches(t *testing.T) {
	t.Parallel()
	c := cluster(t, kfake.SeedTopics(24, "tasks.pending"))
	p := open(t, producer.Config{Brokers: c.ListenAddrs()})
	var batches atomic.Int32
	c.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		for _, topic := range req.(*kmsg.ProduceRequest).Topics {
			batches.Add(int32(len(topic.Partitions)))
		}
		return nil, nil, false
	})
	var tasks []*task.Task
	for range 5000 {
		tasks = append(tasks, task.New("t", []byte(`{"n":1}`)))
	}
	if err := p.Send(within(t, patience), tasks...); err != nil {
		t.Fatal(err)
	}
	if n := batches.Load(); n > 500 {
		t.Errorf("5000 tasks took %d batches", n)
	}
}

func TestTrace(t *testing.T) {
	const hooked, own = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa-bbbbbbbbbbbbbbbb-01"
	type key struct{}
	c := cluster(t)
	p := open(t, producer.Config{Brokers: c.ListenAddrs(), Trace: func(ctx context.Context) (string, string) {
		parent, _ := ctx.Value(key{}).(string)
		return parent, "a=b"
	}})
	ctx := context.WithValue(within(t, patience), key{}, hooked)
	if err := p.Send(ctx, task.New("hooked", nil), task.New("own", nil, task.Trace(own, ""))); err != nil {
		t.Fatal(err)
	}
	for _, r := range read(t, c, "tasks.pending", 2) {
		var got task.Task
		if err := record.Decode(r, &got); err != nil {
			t.Fatal(err)
		}
		if want := map[string]string{"hooked": hooked + " a=b", "own": own + " "}[got.Type]; got.TraceParent+" "+got.TraceState != want {
			t.Errorf("%s: got %q, %q", got.Type, got.TraceParent, got.TraceState)
		}
	}
}

// A delayed task goes straight to the retry tier where it waits, with the queue and the millisecond to return at.
func TestSendDelayed(t *testing.T) {
	c := cluster(t)
	p := open(t, producer.Config{Brokers: c.ListenAddrs()})
	for _, tt := range []struct {
		in    time.Duration
		topic string
	}{{time.Hour, "tasktier.retry.minute"}, {24 * time.Hour, "tasktier.retry.hour"}} {
		tk := task.New("t", []byte("payload"), task.In(tt.in), task.Queue("mail"))
		got, err := p.SendOne(within(t, patience), tk)
		if err != nil {
			t.Fatal(err)
		}
		r := read(t, c, tt.topic, 1)[0]
		stamp, err := record.ReadStamp(r)
		if err != nil {
			t.Fatal(err)
		}
		if late := stamp.Due.Sub(tk.NotBefore); stamp.Queue != "mail" || late < 0 || late >= time.Millisecond || stamp.Turn != 1 || stamp.Attempt != 1 {
			t.Errorf("stamp %+v, want mail at %v", stamp, tk.NotBefore)
		}
		if place := tier.Route(stamp.Due, time.Now()); got.Topic != tt.topic || got.Partition != r.Partition || r.Partition != place.Partition {
			t.Errorf("it is in %s/%d, want %s/%d", got.Topic, r.Partition, tt.topic, place.Partition)
		}
	}
}
