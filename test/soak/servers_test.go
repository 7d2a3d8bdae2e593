package soak

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/claim"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func itoa(n int) string { return strconv.Itoa(n) }

// servers are those of the soak, seen from outside.
type servers struct {
	t     *testing.T
	redis *redis.Client
	etcd  *clientv3.Client
}

func watch(t *testing.T, redisAddr string, endpoints []string) *servers {
	t.Helper()
	etcd, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	must(t, err)
	s := &servers{t: t, redis: redis.NewClient(&redis.Options{Addr: redisAddr}), etcd: etcd}
	t.Cleanup(func() {
		must(t, s.redis.Close())
		must(t, s.etcd.Close())
	})
	return s
}

// kept is how many keys Redis has. Of the claims old are those of tasks that ended, started or were due forgotten ago.
type kept struct{ claims, old, details, counters, others float64 }

// keys counts them.
func (s *servers) keys(ctx context.Context) (n kept) {
	s.t.Helper()
	var claims []string
	all := s.redis.Scan(ctx, 0, "*", 1000).Iterator()
	for all.Next(ctx) {
		switch key := all.Val(); {
		case strings.Contains(key, "}:n:"):
			n.counters++
		case strings.HasSuffix(key, ":d"):
			n.details++
		case strings.Contains(key, "}:"):
			claims = append(claims, key)
		default:
			n.others++
		}
	}
	must(s.t, all.Err())
	n.claims = float64(len(claims))
	limit := time.Now().Add(-forgotten)
	for part := range slices.Chunk(claims, 1000) {
		texts, err := s.redis.MGet(ctx, part...).Result()
		must(s.t, err)
		for _, text := range texts {
			if text, ok := text.(string); ok { // else it has just gone
				c, err := claim.Parse(text)
				must(s.t, err)
				if c.Time().Before(limit) {
					n.old++
				}
			}
		}
	}
	return n
}

// indexed is how many tasks an index holds at most.
const indexed = 10_000

// data is how many bytes the data in Redis takes, but for the indexes, which have bounds of their own.
func (s *servers) data(ctx context.Context) float64 {
	s.t.Helper()
	indexes := 0.0
	for _, state := range []string{"retrying", "scheduled", "dead"} {
		key := "tasktier:index:" + queue + ":" + state
		members, err := s.redis.ZCard(ctx, key).Result()
		must(s.t, err)
		if members > indexed {
			s.t.Errorf("%d tasks are in the index of those that are %s, at most %d may be", members, state, indexed)
		}
		if members > 0 {
			bytes, err := s.redis.MemoryUsage(ctx, key, 100).Result()
			must(s.t, err)
			indexes += float64(bytes)
		}
	}
	info, err := s.redis.Info(ctx, "memory").Result()
	must(s.t, err)
	for line := range strings.Lines(info) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "used_memory_dataset:"); ok {
			bytes, err := strconv.ParseFloat(n, 64)
			must(s.t, err)
			return bytes - indexes
		}
	}
	s.t.Fatal(fmt.Errorf("redis does not say how large its data is: %q", info))
	return 0
}

// registry is how many keys etcd has, and how many bytes of its database are in use.
func (s *servers) registry(ctx context.Context) (keys, bytes float64) {
	s.t.Helper()
	all, err := s.etcd.Get(ctx, "", clientv3.WithPrefix(), clientv3.WithCountOnly())
	must(s.t, err)
	status, err := s.etcd.Status(ctx, s.etcd.Endpoints()[0])
	must(s.t, err)
	return float64(all.Count), float64(status.DbSizeInUse)
}
