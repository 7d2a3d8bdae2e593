package deadletter_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A revival is a ground with the queue that letters come back to, and maybe the claims of its tasks.
type revival struct {
	*ground
	redis  redis.UniversalClient // nil: no claims
	prefix string
}

// revive makes the queue, and a store that knows claims if redisAddr is not "".
func (g *ground) revive(redisAddr string, partitions int32) *revival {
	g.t.Helper()
	testenv.CreateTopics(g.t, g.client, partitions, nil, names.Pending(g.queue))
	r := &revival{ground: g, prefix: testenv.Unique(g.t)}
	cfg := deadletter.Config{Kafka: g.kafka}
	if redisAddr != "" {
		r.redis = redis.NewClient(&redis.Options{Addr: redisAddr, MaxRetries: -1, ContextTimeoutEnabled: true, DialerRetries: 1})
		g.t.Cleanup(func() { _ = r.redis.Close() })
		cfg.Claims = claim.NewStore(r.redis, r.prefix)
	}
	store, err := deadletter.Open(cfg)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(store.Close)
	g.store = store
	return r
}

// redisInMemory starts one, and says where it is.
func redisInMemory(t *testing.T) string {
	t.Helper()
	return miniredis.RunT(t).Addr()
}

// withClaims runs a test on each of the brokers, with claims on a Redis in memory.
func withClaims(t *testing.T, test func(t *testing.T, r *revival)) {
	on(t, 3, func(t *testing.T, g *ground) { test(t, g.revive(redisInMemory(t), 3)) })
}

// without is withClaims where there are none.
func without(t *testing.T, test func(t *testing.T, r *revival)) {
	on(t, 3, func(t *testing.T, g *ground) { test(t, g.revive("", 3)) })
}

// takes sets what a topic takes at most.
func (r *revival) takes(topic string, bytes int) {
	r.t.Helper()
	answers, err := kadm.NewClient(r.client).AlterTopicConfigs(r.t.Context(), []kadm.AlterConfig{
		{Name: "max.message.bytes", Value: kadm.StringPtr(strconv.Itoa(bytes))},
	}, topic)
	if err == nil {
		_, err = answers.On(topic, func(a *kadm.AlterConfigsResponse) error { return a.Err })
	}
	if err != nil {
		r.t.Fatal(err)
	}
}

// key is the claim's name in Redis.
func (r *revival) key(id string) string {
	k := claim.Identity{Queue: r.queue, Source: "/test", ID: id}.Key()
	return fmt.Sprintf("%s:{%x}:%s", r.prefix, k[0]%16, base64.RawURLEncoding.EncodeToString(k[:]))
}

// claimed writes what the claim of a task says.
func (r *revival) claimed(id string, state claim.State, generation int) {
	r.t.Helper()
	c := claim.Claim{State: state, Generation: generation, Turn: 1, Attempt: 1, Owner: "somebody", Fence: 1, Type: "mail.send"}
	if err := r.redis.Set(context.WithoutCancel(r.t.Context()), r.key(id), c.String(), time.Hour).Err(); err != nil {
		r.t.Error(err)
	}
}

// replay replays and wants no error.
func (r *revival) replay(f deadletter.Filter, o deadletter.ReplayOptions) deadletter.ReplayResult {
	r.t.Helper()
	result, err := r.store.Replay(r.t.Context(), r.queue, f, o)
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// pending returns what is in the queue, in the order of partitions and offsets.
func (r *revival) pending() []*kgo.Record {
	r.t.Helper()
	ends, err := kadm.NewClient(r.client).ListEndOffsets(r.t.Context(), names.Pending(r.queue))
	if err != nil {
		r.t.Fatal(err)
	}
	from, left := make(map[int32]kgo.Offset), int64(0)
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition] = kgo.NewOffset().AtStart()
			left += o.Offset
		}
	})
	if left == 0 {
		return nil
	}
	reader, err := kgo.NewClient(append(slices.Clone(r.kafka), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{names.Pending(r.queue): from}))...)
	if err != nil {
		r.t.Fatal(err)
	}
	defer reader.Close()
	var records []*kgo.Record
	for int64(len(records)) < left {
		fetches := reader.PollFetches(r.t.Context())
		if err := fetches.Err(); err != nil {
			r.t.Fatal(err)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}
