package claim

import (
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/testenv"
)

// patience is how long a test waits for what must come, on a busy machine.
const patience = 30 * time.Second

func single(t testing.TB, addr string) redis.UniversalClient {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: -1, ContextTimeoutEnabled: true, DialerRetries: 1})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func cluster(t testing.TB, addrs []string) redis.UniversalClient {
	t.Helper()
	client := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addrs, MaxRetries: -1, MaxRedirects: 3, ContextTimeoutEnabled: true, DialerRetries: 1,
	})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// servers are what claims must work on alike: a server, a cluster, and what 'tasktier dev' embeds.
var servers = []struct {
	name   string
	client func(testing.TB) redis.UniversalClient
}{
	{"miniredis", func(t testing.TB) redis.UniversalClient { return single(t, miniredis.RunT(t).Addr()) }},
	{"redis", func(t testing.TB) redis.UniversalClient { return single(t, testenv.Redis(t)) }},
	{"cluster", func(t testing.TB) redis.UniversalClient { return cluster(t, testenv.RedisCluster(t)) }},
}

// onEach runs a test on each kind of server at once, under key names of its own.
func onEach(t *testing.T, test func(t *testing.T, s *Store)) {
	t.Helper()
	for _, server := range servers {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			test(t, NewStore(server.client(t), testenv.Unique(t)))
		})
	}
}

// onMiniredis is for what does not depend on the kind of server.
func onMiniredis(t testing.TB) *Store {
	t.Helper()
	return NewStore(single(t, miniredis.RunT(t).Addr()), testenv.Unique(t))
}

func (h *Hold) identity() Identity { return Identity{h.Task.Queue, h.Task.Source, h.Task.ID} }

// put writes a claim's text as it is; "" removes it.
func put(t testing.TB, s *Store, h *Hold, text string) {
	t.Helper()
	name := h.identity().Key().text(s.prefix)
	var err error
	if text == "" {
		err = s.client.Del(t.Context(), name).Err()
	} else {
		err = s.client.Set(t.Context(), name, text, time.Hour).Err()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stored reads a claim's text, "" for none, and the claim, whose State then is 0.
func stored(t testing.TB, s *Store, h *Hold) (string, Claim) {
	t.Helper()
	text, err := s.get(t.Context(), h.identity().Key())
	if err != nil {
		t.Fatal(err)
	}
	if text == "" {
		return "", Claim{}
	}
	c, err := Parse(text)
	if err != nil {
		t.Fatalf("claim of %s: %q: %v", h.Task.ID, text, err)
	}
	return text, c
}
