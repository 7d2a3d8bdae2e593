package pipeline

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/deadletter/lock"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// asReplayer makes the test binary an operator who replays: its value is the queue.
	asReplayer = "TASKTIER_TEST_REPLAYER"
	// replayRate is how many letters a second it replays, so that there is time to kill it.
	replayRate = 1500
)

// beReplayer replays all letters of a queue. It prints a line when it begins, one when letters are gone, and then the result.
func beReplayer(queue string) error {
	cfg, err := config.Load("", os.Environ())
	if err != nil {
		return err
	}
	ctx := context.Background()
	redis, err := tasktier.RedisClient(*cfg.Redis)
	if err != nil {
		return err
	}
	defer redis.Close()
	etcd, err := tasktier.EtcdClient(*cfg.Etcd)
	if err != nil {
		return err
	}
	defer etcd.Close()
	// The operator before was killed, and has the lock for a while yet.
	l, err := lock.Take(ctx, etcd, cfg.Etcd.Prefix, queue, lock.Holder{PID: os.Getpid(), Since: time.Now()}, true)
	if err != nil {
		return err
	}
	defer l.Release(ctx) //nolint:errcheck // it runs out
	opts, err := cfg.Kafka.Options()
	if err != nil {
		return err
	}
	store, err := deadletter.Open(deadletter.Config{Kafka: opts, Claims: claim.NewStore(redis, cfg.Kafka.Prefix)})
	if err != nil {
		return err
	}
	defer store.Close()
	var begins, moves sync.Once
	result, err := store.Replay(l.Context(), queue, deadletter.Filter{}, deadletter.ReplayOptions{
		Rate: replayRate, Progress: func(p deadletter.ReplayResult) {
			begins.Do(func() { fmt.Println("begins") })
			if p.Replayed > 0 {
				moves.Do(func() { fmt.Println("moves") })
			}
		},
	})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}

// A replayer is an operator in a process of its own.
type replayer struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines *bufio.Scanner
}

// replay starts one and returns when it begins.
func (f *fleet) replay() *replayer {
	f.t.Helper()
	r := &replayer{t: f.t, cmd: exec.Command(os.Args[0])}
	r.cmd.Env = append(os.Environ(), asReplayer+"="+f.queue, "TASKTIER_CONFIG="+f.config())
	log, err := os.OpenFile(filepath.Join(f.dir, "replayer.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(f.t, err)
	defer log.Close()
	r.cmd.Stderr = log
	out, err := r.cmd.StdoutPipe()
	must(f.t, err)
	r.lines = bufio.NewScanner(out)
	must(f.t, r.cmd.Start())
	f.t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	if !r.lines.Scan() {
		f.t.Fatalf("the replayer does not begin: %v", r.cmd.Wait())
	}
	return r
}

// kill sends SIGKILL, and says whether that was before the end.
func (r *replayer) kill() bool {
	r.t.Helper()
	_ = r.cmd.Process.Kill() // it may have ended
	for r.lines.Scan() {     // what it has said before
	}
	_ = r.cmd.Wait()
	status, ok := r.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled()
}

// moves returns when letters are gone.
func (r *replayer) moves() {
	r.t.Helper()
	if !r.lines.Scan() {
		r.t.Fatalf("the replayer does not move: %v", r.cmd.Wait())
	}
}

// end waits until the replayer has done it all.
func (r *replayer) end() (result deadletter.ReplayResult) {
	r.t.Helper()
	for r.lines.Scan() {
		if r.lines.Text() != "moves" {
			must(r.t, json.Unmarshal(r.lines.Bytes(), &result))
		}
	}
	must(r.t, r.cmd.Wait())
	return result
}

// graves counts the letters by generation.
func (f *fleet) graves() map[int]int {
	f.t.Helper()
	store, err := deadletter.Open(deadletter.Config{Kafka: []kgo.Opt{kgo.SeedBrokers(f.brokers...)}})
	must(f.t, err)
	defer store.Close()
	count := make(map[int]int)
	for l, err := range store.List(f.t.Context(), f.queue, deadletter.Filter{}) {
		must(f.t, err)
		count[l.Generation]++
	}
	return count
}

// bury publishes n tasks "0", "1", … of a type that dies at once, and waits until they have.
func (f *fleet) bury(n int, typ task.Type[workload]) {
	f.t.Helper()
	tasks := make([]*task.Task, n)
	for i := range tasks {
		tasks[i] = typ.New(workload{1}, task.ID(fmt.Sprint(i)))
	}
	f.send(tasks...)
	f.until("all tasks are dead", func() bool { return f.graves()[0] == n })
}

// replayedOnce fails the test unless each task died once, and then was done once.
func (f *fleet) replayedOnce(n int) {
	f.t.Helper()
	f.await(n)
	f.all(n)
	f.succeeded(n)
	wrong := 0
	for id, runs := range f.runs() {
		if len(runs) == 2 && runs[0].how == gaveUp && runs[1].how == ended {
			continue
		}
		if wrong++; wrong < 5 {
			f.t.Errorf("task %s: %s", id, story(runs))
		}
	}
	if wrong > 0 {
		f.t.Errorf("%d tasks were not done once", wrong)
	}
	if letters := f.graves(); len(letters) > 0 {
		f.t.Errorf("letters are left, by generation: %v", letters)
	}
}

// TestKilledReplayIsFinished: a replay that is killed at random moments and run again brings every task back, has each done
// once, and leaves no letter.
func TestKilledReplayIsFinished(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	for name, build := range map[string]func(t *testing.T) *fleet{"embedded": embeddedClaims, "kafka": claimed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := build(t)
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			random := rand.New(rand.NewPCG(seed, 0))
			const n, kills = 3000, 8
			nodes := []*process{f.start(), f.start()}
			f.bury(n, mended)
			killed := 0
			for i := range kills {
				r := f.replay()
				if i%4 > 0 {
					r.moves()
				}
				<-time.After(time.Duration(random.IntN(200_000)) * time.Microsecond)
				if r.kill() {
					killed++
				}
			}
			between := f.graves()[0]
			result := f.replay().end()
			t.Logf("%d of %d were killed before their end; then %d letters were left, and that was done: %+v", killed, kills, between, result)
			if killed < kills/2 || between == n || between == 0 {
				t.Error("too few were killed in the middle: this shows little")
			}
			if result.Replayed != between || result.Skipped+result.Failed > 0 {
				t.Errorf("the last one: %+v", result)
			}
			f.replayedOnce(n)
			for _, p := range nodes {
				p.stop()
			}
		})
	}
}

// embeddedClaims is a fleet with claims on the embedded stack.
func embeddedClaims(t *testing.T) *fleet {
	t.Helper()
	stack := embed(t)
	f := newFleet(t, stack.KafkaAddrs())
	f.redis, f.etcd = []string{stack.RedisAddr()}, stack.EtcdEndpoints()
	return f
}

// TestTasksThatDieAgainKeepTheirNewLetters: they die while the replay of others is still going on.
func TestTasksThatDieAgainKeepTheirNewLetters(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	f := claimed(t)
	const n = 1000
	node := f.start()
	f.bury(n, doomed)
	if result := f.replay().end(); result.Replayed != n {
		t.Errorf("%+v", result)
	}
	f.until("all have died again", func() bool { return f.graves()[1] == n })
	if letters := f.graves(); len(letters) != 1 {
		t.Errorf("letters by generation: %v", letters)
	}
	node.stop()
}

// TestReplayAcrossAFlush: when Redis has forgotten all in the middle of it, nothing is lost.
func TestReplayAcrossAFlush(t *testing.T) {
	onlyInFull(t)
	t.Parallel()
	f := claimed(t)
	server := testenv.StartRedis(t)
	f.redis = []string{server.Addr()}
	const n = 1500
	node := f.start()
	f.bury(n, mended)
	r := f.replay()
	f.await(n / 10)
	r.kill()
	client := redis.NewClient(&redis.Options{Addr: server.Addr()})
	defer client.Close()
	must(t, client.FlushAll(t.Context()).Err())
	result := f.replay().end()
	t.Logf("after the flush: %+v", result)
	if result.Failed > 0 {
		t.Errorf("%+v", result)
	}
	f.await(n)
	f.all(n)
	if letters := f.graves(); len(letters) > 0 {
		t.Errorf("letters are left, by generation: %v", letters)
	}
	node.stop()
}
