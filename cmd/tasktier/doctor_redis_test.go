package main

import (
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/testenv"
)

// A Redis that makes room by forgetting claims is found, whatever it evicts by.
func TestPitfall42EvictionIsFound(t *testing.T) {
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
