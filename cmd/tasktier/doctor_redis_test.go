package main

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/testenv"
)

// The doctor command reports every eviction policy of Redis under which claims could be evicted. Pitfall 42 of
// docs/pitfalls.md.
func TestDoctorReportsEvictingRedis(t *testing.T) {
	server := testenv.StartRedis(t)
	client := redis.NewClient(&redis.Options{Addr: server.Addr(), MaxRetries: -1})
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	for policy, want := range map[string]diagnosis{
		"noeviction":   ok("redis eviction", "noeviction"),
		"allkeys-lru":  bad("redis eviction", "set maxmemory-policy noeviction", "the policy is allkeys-lru: claims would be forgotten, and tasks done again"),
		"volatile-ttl": bad("redis eviction", "set maxmemory-policy noeviction", "the policy is volatile-ttl: claims would be forgotten, and tasks done again"),
	} {
		if err := client.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(); err != nil {
			t.Fatal(err)
		}
		if got := evictionOf(t.Context(), client); got != want {
			t.Errorf("%s: got %+v, want %+v", policy, got, want)
		}
	}
}
