package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/tasktier/tasktier/internal/embedded"
)

// childVariable names the data folder for this binary started again as a
// process that a test can kill.
const childVariable = "EMBEDDED_TEST_DATA"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		log, err := zap.NewProduction() // to standard error
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		stack, err := embedded.Start(context.Background(), embedded.Config{DataDir: dir, Log: log})
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println(stack.KafkaAddrs()[0], stack.EtcdEndpoints()[0], stack.RedisAddr())
		select {}
	}
	goleak.VerifyTestMain(m)
}

// child runs a stack in another process. kill ends it as a crash would.
func child(t *testing.T, dir string) (addrs addresses, kill func()) {
	t.Helper()
	return childThatLogs(t, dir, os.Stderr)
}

// childThatLogs is child whose log goes to a file.
func childThatLogs(t *testing.T, dir string, log *os.File) (addrs addresses, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+dir)
	cmd.Stderr = log
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	kill = func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	must(t, err)
	fields := strings.Fields(line)
	if len(fields) != 3 {
		t.Fatalf("the child says %q", line)
	}
	return addresses{kafka: fields[0], etcd: fields[1], redis: fields[2]}, kill
}

type addresses struct{ kafka, etcd, redis string }

func start(t *testing.T, config embedded.Config) (*embedded.Stack, addresses) {
	t.Helper()
	stack, err := embedded.Start(limit(t), config)
	must(t, err)
	t.Cleanup(func() { must(t, stack.Close()) })
	return stack, addresses{kafka: stack.KafkaAddrs()[0], etcd: stack.EtcdEndpoints()[0], redis: stack.RedisAddr()}
}

func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// clients of one stack, closed before it stops.
type clients struct {
	kafka *kgo.Client
	admin *kadm.Client
	etcd  *clientv3.Client
	redis *redis.Client
}

func connect(t *testing.T, addrs addresses) *clients {
	t.Helper()
	c := &clients{redis: redis.NewClient(&redis.Options{Addr: addrs.redis})}
	var err error
	c.kafka, err = kgo.NewClient(kgo.SeedBrokers(addrs.kafka), kgo.DefaultProduceTopic("topic"))
	must(t, err)
	c.admin = kadm.NewClient(c.kafka)
	c.etcd, err = clientv3.New(clientv3.Config{Endpoints: []string{addrs.etcd}, Logger: zap.NewNop()})
	must(t, err)
	t.Cleanup(c.close)
	return c
}

func (c *clients) close() {
	c.kafka.Close()
	_ = c.etcd.Close() // again, when the test has closed already
	_ = c.redis.Close()
}

func (c *clients) createTopic(ctx context.Context, t *testing.T, configs map[string]*string) {
	t.Helper()
	_, err := c.admin.CreateTopic(ctx, 1, 1, configs, "topic")
	must(t, err)
}

func (c *clients) produce(ctx context.Context, t *testing.T, values ...string) {
	t.Helper()
	for _, value := range values {
		must(t, c.kafka.ProduceSync(ctx, kgo.StringRecord(value)).FirstErr())
	}
}

// records reads the topic from its start to its end.
func (c *clients) records(ctx context.Context, t *testing.T) []string {
	t.Helper()
	end := c.endOffset(ctx, t)
	c.kafka.AddConsumePartitions(map[string]map[int32]kgo.Offset{"topic": {0: kgo.NewOffset().AtStart()}})
	defer c.kafka.RemoveConsumePartitions(map[string][]int32{"topic": {0}})
	var values []string
	for next := int64(0); next < end; {
		fetches := c.kafka.PollFetches(ctx)
		must(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) {
			values = append(values, string(r.Value))
			next = r.Offset + 1
		})
	}
	return values
}

func (c *clients) endOffset(ctx context.Context, t *testing.T) int64 {
	t.Helper()
	ends, err := c.admin.ListEndOffsets(ctx, "topic")
	must(t, errors.Join(err, ends.Error()))
	end, _ := ends.Lookup("topic", 0)
	return end.Offset
}

func (c *clients) commit(ctx context.Context, t *testing.T, group string, offset int64) {
	t.Helper()
	must(t, c.admin.CommitAllOffsets(ctx, group, kadm.Offsets{"topic": {0: {Topic: "topic", At: offset, Metadata: "ranges"}}}))
}

func (c *clients) committed(ctx context.Context, t *testing.T, group string) kadm.Offset {
	t.Helper()
	offsets, err := c.admin.FetchOffsets(ctx, group)
	must(t, err)
	offset, _ := offsets.Lookup("topic", 0)
	return offset.Offset
}
