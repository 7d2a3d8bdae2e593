package embedded_test

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/tasktier/tasktier/internal/embedded"
)

func TestDataIsKeptAcrossRestarts(t *testing.T) {
	t.Parallel()
	config := embedded.Config{DataDir: filepath.Join(t.TempDir(), "made", "when", "missing")}
	ctx := limit(t)

	stack, addrs := start(t, config)
	c := connect(t, addrs)
	compact := "compact"
	c.createTopic(ctx, t, map[string]*string{"cleanup.policy": &compact})
	c.produce(ctx, t, "a", "b", "c")
	c.commit(ctx, t, "group", 2)
	_, err := c.etcd.Put(ctx, "key", "v")
	must(t, err)
	must(t, c.redis.Set(ctx, "claim", "done", time.Hour).Err())
	c.close()
	must(t, stack.Close())

	begin := time.Now()
	_, addrs = start(t, config)
	t.Logf("started again in %s", time.Since(begin).Round(time.Millisecond))
	c = connect(t, addrs)
	c.produce(ctx, t, "d")
	if got := c.records(ctx, t); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("records %q", got)
	}
	if got := c.committed(ctx, t, "group"); got.At != 2 || got.Metadata != "ranges" {
		t.Errorf("committed %d with metadata %q", got.At, got.Metadata)
	}
	if got := topicConfig(t, c, "cleanup.policy"); got != compact {
		t.Errorf("cleanup.policy is %q", got)
	}
	if got, err := c.etcd.Get(ctx, "key"); err != nil || len(got.Kvs) != 1 {
		t.Errorf("etcd holds %v (%v)", got, err)
	}
	if got, err := c.redis.Get(ctx, "claim").Result(); err != nil || got != "done" {
		t.Errorf("redis holds %q (%v)", got, err)
	}
}

func TestCrashLosesNothingAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx := limit(t)
	var acknowledged []string
	for life := range 3 {
		addrs, kill := child(t, dir)
		c := connect(t, addrs)
		if life == 0 {
			c.createTopic(ctx, t, nil)
		}
		// Records are under way at the moment of the kill.
		sent := make(chan string, 1000)
		var underWay sync.WaitGroup
		for i := range 1000 {
			value := strconv.Itoa(life) + "-" + strconv.Itoa(i)
			underWay.Add(1)
			c.kafka.Produce(ctx, kgo.StringRecord(value), func(_ *kgo.Record, err error) {
				defer underWay.Done()
				if err == nil {
					sent <- value
				}
			})
			if i%50 == 0 {
				acknowledged = append(acknowledged, <-sent)
			}
		}
		c.commit(ctx, t, "group", int64(life+1))
		_, err := c.etcd.Put(ctx, "life", strconv.Itoa(life))
		must(t, err)
		kill()
		c.close() // gives up what is still under way
		underWay.Wait()
		close(sent)
		for value := range sent {
			acknowledged = append(acknowledged, value)
		}
	}

	_, addrs := start(t, embedded.Config{DataDir: dir})
	c := connect(t, addrs)
	kept := c.records(ctx, t)
	slices.Sort(kept)
	for _, value := range acknowledged {
		if _, found := slices.BinarySearch(kept, value); !found {
			t.Errorf("record %s was acknowledged and is lost", value)
		}
	}
	t.Logf("%d acknowledged, %d kept", len(acknowledged), len(kept))
	if got := c.committed(ctx, t, "group"); got.At != 3 {
		t.Errorf("committed %d, want 3", got.At)
	}
	if got, err := c.etcd.Get(ctx, "life"); err != nil || len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "2" {
		t.Errorf("etcd holds %v (%v)", got, err)
	}
}

// kfake numbers a partition that is empty on disk from zero again. Then a
// consumer that had committed 3 would not see the next three records.
func TestOffsetsGoOnAfterDeletingAllRecords(t *testing.T) {
	t.Parallel()
	for _, crash := range []bool{false, true} {
		for name, cut := range map[string]int64{"the end": 3, "minus one": -1} {
			if crash == (cut == 3) && testing.Short() {
				continue // ./check long has every pair
			}
			dir, ctx := t.TempDir(), limit(t)
			addrs, end := child(t, dir)
			if !crash {
				end()
				stack, own := start(t, embedded.Config{DataDir: dir})
				addrs, end = own, func() { must(t, stack.Close()) }
			}
			c := connect(t, addrs)
			c.createTopic(ctx, t, nil)
			c.produce(ctx, t, "a", "b", "c")
			cuts, err := c.admin.DeleteRecords(ctx, kadm.Offsets{"topic": {0: {Topic: "topic", At: cut}}})
			must(t, err)
			must(t, cuts.Error())
			c.close()
			end()

			_, addrs = start(t, embedded.Config{DataDir: dir})
			c = connect(t, addrs)
			if got := c.endOffset(ctx, t); got != 3 {
				t.Errorf("crash %t, cut at %s: the partition ends at %d, want 3", crash, name, got)
			}
			if got := c.records(ctx, t); len(got) == 0 || got[len(got)-1] != "c" || (!crash && len(got) != 1) {
				t.Errorf("crash %t, cut at %s: records %q, want the last", crash, name, got)
			}
		}
	}
}

func TestRedisContentOfEachTypeIsKept(t *testing.T) {
	config, ctx := embedded.Config{DataDir: t.TempDir()}, limit(t)
	stack, addrs := start(t, config)
	c := connect(t, addrs).redis
	binary := "not \xff UTF-8\x00"
	must(t, c.Set(ctx, "string", binary, 0).Err())
	must(t, c.Set(ctx, "empty", "", 0).Err())
	must(t, c.Set(ctx, "short", "v", 50*time.Millisecond).Err())
	must(t, c.HSet(ctx, "hash", "f", binary, "g", "2").Err())
	must(t, c.RPush(ctx, "list", "b", "a", "b").Err())
	must(t, c.SAdd(ctx, "set", "x", "y").Err())
	must(t, c.ZAdd(ctx, "zset", redis.Z{Score: 1.5, Member: "one"}, redis.Z{Score: -2, Member: "two"}).Err())
	must(t, c.Expire(ctx, "zset", time.Hour).Err())
	other := redis.NewClient(&redis.Options{Addr: addrs.redis, DB: 3})
	must(t, other.Set(ctx, "string", "of database 3", 0).Err())
	must(t, other.Close())
	must(t, c.Close())
	must(t, stack.Close())
	time.Sleep(60 * time.Millisecond) // while nothing runs, the short one's time passes

	_, addrs = start(t, config)
	c = connect(t, addrs).redis
	check := func(what string, got, want any, err error) {
		t.Helper()
		if err != nil || got != want {
			t.Errorf("%s: %v (%v), want %v", what, got, err, want)
		}
	}
	text, err := c.Get(ctx, "string").Result()
	check("string", text, binary, err)
	n, err := c.Exists(ctx, "empty").Result()
	check("empty string", n, int64(1), err)
	n, err = c.Exists(ctx, "short").Result()
	check("expired string", n, int64(0), err)
	text, err = c.HGet(ctx, "hash", "f").Result()
	check("hash", text, binary, err)
	n, err = c.HLen(ctx, "hash").Result()
	check("hash fields", n, int64(2), err)
	list, err := c.LRange(ctx, "list", 0, -1).Result()
	check("list", strings.Join(list, " "), "b a b", err)
	n, err = c.SCard(ctx, "set").Result()
	check("set", n, int64(2), err)
	score, err := c.ZScore(ctx, "zset", "one").Result()
	check("sorted set", score, 1.5, err)
	ttl, err := c.TTL(ctx, "zset").Result()
	check("time to live", ttl > 59*time.Minute && ttl <= time.Hour, true, err)
	ttl, err = c.TTL(ctx, "list").Result()
	check("no time to live", ttl, time.Duration(-1), err)
	other = redis.NewClient(&redis.Options{Addr: addrs.redis, DB: 3})
	defer other.Close()
	text, err = other.Get(ctx, "string").Result()
	check("other database", text, "of database 3", err)
}

func TestCrashLeavesRedisEmptyRatherThanOld(t *testing.T) {
	t.Parallel()
	config, ctx := embedded.Config{DataDir: t.TempDir()}, limit(t)
	stack, addrs := start(t, config)
	c := connect(t, addrs)
	must(t, c.redis.Set(ctx, "claim", "running", 0).Err())
	c.close()
	must(t, stack.Close())

	addrs, kill := child(t, config.DataDir)
	c = connect(t, addrs)
	must(t, c.redis.Set(ctx, "claim", "done", 0).Err())
	c.close()
	kill()

	_, addrs = start(t, config)
	if n, err := connect(t, addrs).redis.Exists(ctx, "claim").Result(); err != nil || n != 0 {
		t.Errorf("%d keys (%v), want none", n, err)
	}
}

func TestDamagedRedisSnapshotIsNamed(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "foreign": "REDIS0011"} {
		dir := t.TempDir()
		file := filepath.Join(dir, "redis.snapshot")
		must(t, os.WriteFile(file, []byte(content), 0o644))
		_, err := embedded.Start(limit(t), embedded.Config{DataDir: dir})
		if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "remove it") {
			t.Errorf("%s: error %v, want the file and the remedy", name, err)
		}
	}
}

func TestFailedStartKeepsRedisContent(t *testing.T) {
	t.Parallel()
	config, ctx := embedded.Config{DataDir: t.TempDir()}, limit(t)
	stack, addrs := start(t, config)
	c := connect(t, addrs)
	must(t, c.redis.Set(ctx, "claim", "done", 0).Err())
	c.close()
	must(t, stack.Close())

	bad := config
	bad.Kafka = "nonsense"
	if _, err := embedded.Start(ctx, bad); err == nil {
		t.Fatal("started on a nonsense address")
	}
	_, addrs = start(t, config)
	if got, err := connect(t, addrs).redis.Get(ctx, "claim").Result(); err != nil || got != "done" {
		t.Errorf("redis holds %q (%v)", got, err)
	}
}

func TestRedisKeysExpireInRealTime(t *testing.T) {
	_, addrs := start(t, embedded.Config{})
	c, ctx := connect(t, addrs).redis, limit(t)
	begin := time.Now()
	must(t, c.Set(ctx, "short", "v", 200*time.Millisecond).Err())
	must(t, c.Set(ctx, "long", "v", time.Hour).Err())
	for {
		n, err := c.Exists(ctx, "short").Result()
		must(t, err)
		if n == 0 {
			break
		}
		if time.Since(begin) > 10*time.Second {
			t.Fatal("a key of 200 ms is still there after 10 s")
		}
		time.Sleep(5 * time.Millisecond) // between polls
	}
	if lived := time.Since(begin); lived < 150*time.Millisecond {
		t.Errorf("a key of 200 ms lived %s", lived)
	}
	if n, err := c.Exists(ctx, "long").Result(); err != nil || n != 1 {
		t.Errorf("%d of the long key (%v)", n, err)
	}
}

func TestCloseDoesNotWaitForOpenWatches(t *testing.T) {
	stack, addrs := start(t, embedded.Config{})
	c, ctx := connect(t, addrs), limit(t)
	watch := c.etcd.Watch(ctx, "key")
	_, err := c.etcd.Put(ctx, "key", "v")
	must(t, err)
	<-watch // it is open
	begin := time.Now()
	must(t, stack.Close())
	if took := time.Since(begin); took > 3*time.Second {
		t.Errorf("close took %s", took)
	}
}

func topicConfig(t *testing.T, c *clients, key string) string {
	t.Helper()
	configs, err := c.admin.DescribeTopicConfigs(limit(t), "topic")
	must(t, err)
	for _, config := range configs[0].Configs {
		if config.Key == key {
			return config.MaybeValue()
		}
	}
	return ""
}
