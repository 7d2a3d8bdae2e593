package bench

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/twmb/franz-go/pkg/kgo"
)

var (
	//go:embed testdata/begin.lua
	beginLua string
	//go:embed testdata/finish.lua
	finishLua string

	beginScript, finishScript = redis.NewScript(beginLua), redis.NewScript(finishLua)
)

const (
	claimBatch  = 500 // tasks a call
	claimCalls  = 4   // calls in flight
	claimTTL    = time.Hour
	claimHeld   = "r:bench:1"
	claimIsDone = "s:bench:1"
)

// bareClaims is the bare loop with a claim per task in Redis: a script takes the claims of a batch, the tasks run, a
// second script says that they are done. It knows no failure and no take-over: who dies leaves claims behind that nobody
// resolves.
type bareClaims struct {
	bare
	redis *redis.Client
}

func openBareClaims(b *testing.B, _ *servers) system {
	s := bareClaims{bare: newBare(b), redis: redis.NewClient(&redis.Options{Addr: testenv.Redis(b)})}
	b.Cleanup(func() {
		if err := s.redis.Close(); err != nil {
			b.Error(err)
		}
	})
	return s
}

// batch are records of one poll. done gets one error, or nil.
type batch struct {
	records []*kgo.Record
	done    chan error
}

func (s bareClaims) run(ctx context.Context, handle func(mail)) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var all sync.WaitGroup
	work, order := make(chan batch), make(chan batch, 2*claimCalls)
	for range claimCalls {
		all.Go(func() {
			for t := range work {
				// What was polled is brought to its end.
				t.done <- s.do(context.WithoutCancel(ctx), t.records, handle)
			}
		})
	}
	all.Go(func() { // marks in the order of the polls, so that no mark passes a record at work
		for t := range order {
			if err := <-t.done; err != nil {
				fail(err)
				continue
			}
			s.consumer.MarkCommitRecords(t.records...)
		}
	})
	err := s.poll(ctx, claimBatch*claimCalls, func(records []*kgo.Record) error {
		for chunk := range slices.Chunk(records, claimBatch) {
			t := batch{records: chunk, done: make(chan error, 1)}
			order <- t
			work <- t
		}
		return nil
	})
	close(work)
	close(order)
	all.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

func (s bareClaims) do(ctx context.Context, records []*kgo.Record, handle func(mail)) error {
	keys := make([]string, len(records))
	for i, r := range records {
		keys[i] = claimKey(r)
	}
	taken, err := beginScript.Run(ctx, s.redis, keys, claimHeld, claimTTL.Milliseconds()).Int64Slice()
	if err != nil {
		return fmt.Errorf("begin %d tasks: %w", len(records), err)
	}
	for i := len(taken) - 1; i >= 0; i-- { // backwards, so that the indexes stay true
		at := int(taken[i]) - 1 // Lua counts from one
		keys, records = slices.Delete(keys, at, at+1), slices.Concat(records[:at], records[at+1:])
	}
	for _, r := range records {
		if err := decode(r, handle); err != nil {
			return err
		}
	}
	if len(records) == 0 {
		return nil
	}
	lost, err := finishScript.Run(ctx, s.redis, keys, claimHeld, claimIsDone, claimTTL.Milliseconds()).Int64Slice()
	if err == nil && len(lost) > 0 {
		err = fmt.Errorf("%d claims were lost", len(lost))
	}
	if err != nil {
		return fmt.Errorf("finish %d tasks: %w", len(records), err)
	}
	return nil
}

// claimKey is a task's claim. All tasks here are of one source and have an id that is unique by itself.
func claimKey(r *kgo.Record) string {
	for _, h := range r.Headers {
		if h.Key == "ce_id" {
			return "claim:" + string(h.Value)
		}
	}
	return "" // which Redis would take; the benchmark counts and fails
}
