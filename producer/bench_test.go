package producer_test

import (
	"context"
	"sync"
	"testing"

	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kfake"
)

var body = []byte(`{"to":"ada@example.org","subject":"Welcome","template":"welcome-2","locale":"en","user":4711,"x":true}`)

// BenchmarkSend reports per task; the broker, in the same process, stores nothing, but its allocations are counted too.
func BenchmarkSend(b *testing.B) {
	const batch = 1000
	p := open(b, producer.Config{Brokers: cluster(b, kfake.BlackholeProduce()).ListenAddrs()})
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

// BenchmarkSendOne is the latency of a single task.
func BenchmarkSendOne(b *testing.B) {
	p := open(b, producer.Config{Brokers: cluster(b, kfake.BlackholeProduce()).ListenAddrs()})
	tk := task.New("email.welcome", body)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.SendOne(context.Background(), tk); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSendAsync(b *testing.B) {
	p := open(b, producer.Config{Brokers: cluster(b, kfake.BlackholeProduce()).ListenAddrs()})
	tk := task.New("email.welcome", body)
	b.ReportAllocs()
	var wg sync.WaitGroup
	for b.Loop() {
		wg.Add(1)
		p.SendAsync(context.Background(), tk, func(_ producer.Receipt, err error) {
			if err != nil {
				b.Error(err)
			}
			wg.Done()
		})
	}
	wg.Wait()
}
