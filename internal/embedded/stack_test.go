package embedded_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/embedded"
)

func TestAllServersAnswer(t *testing.T) {
	begin := time.Now()
	_, addrs := start(t, embedded.Config{})
	t.Logf("started in %s", time.Since(begin).Round(time.Millisecond))
	c, ctx := connect(t, addrs), limit(t)

	c.createTopic(ctx, t, nil)
	c.produce(ctx, t, "hello")
	if got := c.records(ctx, t); len(got) != 1 || got[0] != "hello" {
		t.Errorf("kafka holds %q", got)
	}
	if _, err := c.etcd.Put(ctx, "key", "v"); err != nil {
		t.Errorf("etcd: %v", err)
	}
	if err := c.redis.Ping(ctx).Err(); err != nil {
		t.Errorf("redis: %v", err)
	}
}

func TestWithoutDataFolderNothingStays(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	stack, _ := start(t, embedded.Config{})
	must(t, stack.Close())
	must(t, stack.Close()) // again, for a deferred one
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestAddressesAreTakenAsGiven(t *testing.T) {
	want := addresses{kafka: freeAddr(t), etcd: freeAddr(t), redis: freeAddr(t)}
	config := embedded.Config{DataDir: t.TempDir(), Kafka: want.kafka, Etcd: want.etcd, Redis: want.redis}
	for range 2 { // the ports are free again at once
		stack, got := start(t, config)
		if got != want {
			t.Errorf("listens on %+v, want %+v", got, want)
		}
		must(t, connect(t, got).redis.Ping(limit(t)).Err())
		must(t, stack.Close())
	}
}

func TestTakenAddressIsNamed(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	addr := taken.Addr().String()
	for server, config := range map[string]embedded.Config{
		"kafka": {Kafka: addr},
		"etcd":  {Etcd: addr},
		"redis": {Redis: addr},
	} {
		t.Run(server, func(t *testing.T) {
			_, err := embedded.Start(limit(t), config)
			if !errors.Is(err, syscall.EADDRINUSE) {
				t.Fatalf("error %v, want address in use", err)
			}
			if want := "listen " + server + " " + addr + ": address already in use"; !strings.HasSuffix(err.Error(), want) {
				t.Errorf("error %q, want it to end with %q", err, want)
			}
		})
	}
}

func TestBadAddressIsNamed(t *testing.T) {
	for server, config := range map[string]embedded.Config{
		"kafka": {Kafka: "9092"},
		"etcd":  {Etcd: "127.0.0.1:port"},
		"redis": {Redis: "127.0.0.1:70000"},
	} {
		_, err := embedded.Start(limit(t), config)
		if err == nil || !strings.Contains(err.Error(), "read "+server+" address") {
			t.Errorf("%+v: error %v", config, err)
		}
	}
}

func TestKafkaWantsAnAddressForClients(t *testing.T) {
	_, err := embedded.Start(limit(t), embedded.Config{Kafka: ":9092"})
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:9092") {
		t.Errorf("error %v, want a proposal of an address", err)
	}
}

func TestFolderBelongsToOneProcess(t *testing.T) {
	dir := t.TempDir()
	_, kill := child(t, dir)
	_, err := embedded.Start(limit(t), embedded.Config{DataDir: dir})
	if !errors.Is(err, embedded.ErrFolderInUse) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "process ") {
		t.Fatalf("error %v, want the folder and the process that has it", err)
	}
	kill()
	start(t, embedded.Config{DataDir: dir})
}

func TestStartEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := embedded.Start(ctx, embedded.Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().String()
}
