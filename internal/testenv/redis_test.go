package testenv_test

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tasktier/tasktier/internal/testenv"
)

func TestSharedRedisAnswers(t *testing.T) {
	client := redisClient(t, testenv.Redis(t))
	must(t, client.Set(limit(t), testenv.Unique(t), "v", 0).Err())
}

func TestRedisKeepsItsKeys(t *testing.T) {
	server := testenv.StartRedis(t)
	client, ctx := redisClient(t, server.Addr()), limit(t)
	for _, end := range []func() error{server.Kill, server.Stop} {
		must(t, client.Incr(ctx, "lives").Err())
		must(t, end())
		must(t, server.Start())
	}
	if got, err := client.Get(ctx, "lives").Int(); err != nil || got != 2 {
		t.Errorf("after two restarts the key holds %d (%v), want 2", got, err)
	}
}

func TestRedisForgetsNoKeyForRoom(t *testing.T) {
	client, ctx := redisClient(t, testenv.Redis(t)), limit(t)
	got, err := client.ConfigGet(ctx, "maxmemory-policy").Result()
	must(t, err)
	if got["maxmemory-policy"] != "noeviction" {
		t.Errorf("maxmemory-policy is %q", got["maxmemory-policy"])
	}
}

func TestRedisSettings(t *testing.T) {
	server := testenv.StartRedis(t, "--appendonly", "no")
	client, ctx := redisClient(t, server.Addr()), limit(t)
	must(t, client.Set(ctx, "k", "v", 0).Err())
	must(t, server.Kill())
	must(t, server.Start())
	if n, err := client.Exists(ctx, "k").Result(); err != nil || n != 0 {
		t.Errorf("without its log the server kept %d keys (%v)", n, err)
	}
}

func redisClient(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr})
	t.Cleanup(func() { must(t, client.Close()) })
	return client
}
