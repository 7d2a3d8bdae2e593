package limit_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/coord/limit"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

// BenchmarkHandOver has two members take turns with a lock: from the end of the task of one to the slot of the other, through etcd.
func BenchmarkHandOver(b *testing.B) {
	endpoints, prefix := testenv.Etcd(b), "/"+testenv.Unique(b)
	var sides [2]*limit.Limiter
	var told [2]chan struct{}
	for i := range sides {
		client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
		must(b, err)
		b.Cleanup(func() { must(b, client.Close()) })
		members, err := coord.New(coord.Config{Client: client, Prefix: prefix})
		must(b, err)
		present, leave := context.WithCancel(context.WithoutCancel(b.Context()))
		session := make(chan error)
		go func() { session <- members.Run(present) }()
		sides[i], err = limit.New(limit.Config{Client: client, Prefix: prefix, Members: members, Fair: 1})
		must(b, err)
		ctx, cancel := context.WithCancel(present)
		ran := make(chan error)
		go func() { ran <- sides[i].Run(ctx) }()
		b.Cleanup(func() {
			cancel()
			must(b, <-ran)
			leave()
			must(b, <-session)
		})
		told[i] = make(chan struct{}, 1)
		sides[i].Notify(func(string) {
			select {
			case told[i] <- struct{}{}:
			default:
			}
		})
		sides[i].Set(map[string]limit.Limit{typ: {N: 1}})
	}
	takes := func(i int) *lease.Slot {
		for {
			if slot, ok := sides[i].Take(typ); ok {
				return slot
			}
			<-told[i]
		}
	}
	sides[0].Want(typ, 1)
	slot := takes(0)
	sides[1].Want(typ, 1)
	var took []time.Duration
	for i := 0; b.Loop(); i = 1 - i {
		for !sides[1-i].Stats()[typ].Waiting {
			time.Sleep(100 * time.Microsecond) // its ticket is on its way: that is not what is measured
		}
		released := time.Now()
		for sides[i].Release(slot); ; { // as soon as this side has heard of the ticket, the slot goes
			again, ok := sides[i].Take(typ)
			if !ok {
				break
			}
			released = time.Now()
			sides[i].Release(again)
		}
		slot = takes(1 - i)
		took = append(took, time.Since(released))
	}
	slices.Sort(took)
	at := func(percent int) float64 { return float64(took[len(took)*percent/100].Microseconds()) / 1000 }
	b.ReportMetric(at(50), "p50-ms")
	b.ReportMetric(at(99), "p99-ms")
}
