package bench

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/limit"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	root "github.com/tasktier/tasktier"
)

// locked is a type with a limit of one, whose only slot somebody else has.
const locked = "report.locked"

// BenchmarkLocked handles b.N tasks of a free type, alone and with 10,000 tasks of a locked one in front of them in the same
// queue, which never get their slot. It is to make no difference.
func BenchmarkLocked(b *testing.B) {
	for _, waiting := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("locked=%d", waiting), func(b *testing.B) {
			if trial(b) {
				return
			}
			emptyRedis(b)
			sys := openLocked(b, waiting)
			sys.fill(b, b.N)
			took, _ := process(b, sys, b.N)
			reportRate(b, b.N, took)
		})
	}
}

// BenchmarkLockedLatency is BenchmarkLatency of a free type, alone and with 10,000 tasks of a locked one in the same queue.
func BenchmarkLockedLatency(b *testing.B) {
	atMost := setting(b, "BENCH_LIGHT", 400)
	for _, waiting := range []int{0, 10_000} {
		b.Run(fmt.Sprintf("locked=%d", waiting), func(b *testing.B) {
			if trial(b) {
				return
			}
			latencies := latency(b, openLocked(b, waiting), min(b.N, atMost))
			slices.Sort(latencies)
			b.ReportMetric(0, "ns/op")
			for unit, p := range map[string]float64{"ms-p50": 0.5, "ms-p99": 0.99, "ms-max": 1} {
				at := min(int(p*float64(len(latencies))), len(latencies)-1)
				b.ReportMetric(latencies[at].Seconds()*1000, unit)
			}
		})
	}
}

// openLocked is a node whose queue has so many tasks of the locked type.
func openLocked(b *testing.B, waiting int) node {
	b.Helper()
	s := openTasktierNode(b, nil).(node) //nolint:forcetypeassert // it is one
	s.cfg.Types = map[string]config.Type{locked: {Limit: 1}}
	s.also = func(mux *consumer.Mux) error {
		return mux.Handle(locked, func(context.Context, *task.Task) error {
			b.Error("a locked task runs, and somebody else has the slot")
			return nil
		})
	}
	holdSlot(b, *s.cfg.Etcd)
	cl := s.client(b)
	defer cl.Close()
	if err := topic.Ensure(b.Context(), kadm.NewClient(cl), root.Topics(s.cfg), true); err != nil {
		b.Fatal(err)
	}
	for i := range waiting {
		r := record.Encode(task.New(locked, newMail(i).encoded()), names.Pending(s.name))
		cl.Produce(b.Context(), r, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	return s
}

// holdSlot has a member of its own hold the locked type's slot until the benchmark ends.
func holdSlot(b *testing.B, etcd config.Etcd) {
	b.Helper()
	client, err := root.EtcdClient(etcd)
	if err != nil {
		b.Fatal(err)
	}
	members, err := coord.New(coord.Config{Client: client, Prefix: etcd.Prefix})
	if err != nil {
		b.Fatal(err)
	}
	holder, err := limit.New(limit.Config{Client: client, Prefix: etcd.Prefix, Members: members, Fair: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	ctx, leave := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = members.Run(ctx) }) // neither was run before
	running.Go(func() { _ = holder.Run(ctx) })
	b.Cleanup(func() {
		leave()
		running.Wait()
		client.Close()
	})
	free := make(chan struct{}, 1)
	holder.Notify(func(string) {
		select {
		case free <- struct{}{}:
		default:
		}
	})
	holder.Set(map[string]limit.Limit{locked: {N: 1}})
	holder.Want(locked, 1)
	for {
		if _, ok := holder.Take(locked); ok {
			return
		}
		select {
		case <-free:
		case <-b.Context().Done():
			b.Fatal("the slot was not to be had")
		}
	}
}
