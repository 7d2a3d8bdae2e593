package deadletter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

var everything deadletter.Filter

// unstamped are headers but for those of tasktier.
func unstamped(headers []kgo.RecordHeader) (rest []string) {
	for _, h := range headers {
		if !strings.HasPrefix(h.Key, "ce_tt") {
			rest = append(rest, h.Key+"="+string(h.Value))
		}
	}
	return rest
}

func stamped(headers []kgo.RecordHeader) (stamps []string) {
	for _, h := range headers {
		if strings.HasPrefix(h.Key, "ce_tt") {
			stamps = append(stamps, h.Key+"="+string(h.Value))
		}
	}
	return stamps
}

// A task comes back from its letter as it was published, whatever it is made of, with the next generation.
func TestReplayBringsBackTheOriginal(t *testing.T) {
	limit := 1 << 20
	event := func(id string, value []byte, more ...kgo.RecordHeader) *kgo.Record {
		r := record.Encode(&task.Task{ID: id, Source: "/test", Type: "mail.send", Payload: value}, "")
		r.Headers = append(r.Headers, more...)
		return r
	}
	atLimit := event("limit", nil)
	atLimit.Value = bytes.Repeat([]byte{0xa7}, limit-record.Size(atLimit))
	tests := map[string]*kgo.Record{
		"no bytes":        event("empty", []byte{}),
		"null":            event("null", nil),
		"JSON":            event("json", []byte(`{"n":12345678901234567890.10}`)),
		"invalid UTF-8":   event("bytes", []byte("\xff\xfe\x00\xc3\x28")),
		"as large as can": atLimit,
		"a structured event": {
			Value: []byte(` {"data" : "x",  "type":"mail.send","id":"structured","source":"/test","specversion":"1.0","big":1e400}`),
		},
		"the plain form": {Value: []byte(`{"id":"plain","type":"mail.send","payload":[1, 2],"status":"new","retry":3}`)},
		"a key of bytes": {Key: []byte("\x00key\xff"), Value: []byte("v"), Headers: event("key", nil).Headers},
		"headers twice, and strange ones": event("headers", []byte("v"),
			kgo.RecordHeader{Key: "", Value: nil}, kgo.RecordHeader{Key: "x", Value: []byte("\xff")}, kgo.RecordHeader{Key: "x", Value: []byte("2")}),
	}
	onKafka(t, 3, func(t *testing.T, g *ground) {
		r := g.revive(redisInMemory(t), 3)
		r.takes(names.Pending(r.queue), limit)
		r.takes(names.Dead(r.queue), limit+topic.LetterRoom)
		client, err := kgo.NewClient(kgo.SeedBrokers(r.addrs...), kgo.ProducerBatchMaxBytes(2<<20))
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		w := deadletter.NewWriter(client, "node", zap.NewNop())
		originals := make(map[string]*kgo.Record)
		n := 0
		for name, original := range tests {
			var tk task.Task
			if err := record.Decode(original, &tk); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			tk.Generation, tk.Turn, tk.Attempt = n, 3, 7
			died := make(chan error, 1)
			w.Write(t.Context(), deadletter.Death{
				Queue: r.queue, Record: original, Task: &tk, Reason: task.ReasonExhausted, Err: errors.New("no luck"), Origin: "tasks.pending/0/1",
			}, func(err error) { died <- err })
			if err := <-died; err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			originals[tk.ID] = original
			n++
		}
		w.Close()
		result := r.replay(everything, deadletter.ReplayOptions{})
		if result.Matched != n || result.Replayed != n || result.Skipped+result.Failed != 0 {
			t.Errorf("%+v", result)
		}
		if left := r.list(everything); len(left) != 0 {
			t.Errorf("letters are left: %q", ids(left))
		}
		back := r.pending()
		if len(back) != n {
			t.Errorf("%d of %d tasks are back", len(back), n)
		}
		for _, got := range back {
			var tk task.Task
			if err := record.Decode(got, &tk); err != nil {
				t.Fatal(err)
			}
			want := originals[tk.ID]
			if !bytes.Equal(got.Value, want.Value) {
				t.Errorf("%s: its value is not what it was: %.100q, %.100q", tk.ID, got.Value, want.Value)
			}
			if !bytes.Equal(got.Key, want.Key) || (got.Key == nil) != (want.Key == nil) {
				t.Errorf("%s: key %q, was %q", tk.ID, got.Key, want.Key)
			}
			if !slices.Equal(unstamped(got.Headers), unstamped(want.Headers)) {
				t.Errorf("%s: headers %q, were %q", tk.ID, got.Headers, want.Headers)
			}
			if s := stamped(got.Headers); len(s) != 3 || tk.Generation < 1 || tk.Turn != 1 || tk.Attempt != 1 {
				t.Errorf("%s: it is stamped %q", tk.ID, s)
			}
		}
	})
}

// numbers are the ids of records, in their order, with "#" and the generation.
func numbers(t *testing.T, records []*kgo.Record) []string {
	t.Helper()
	all := make([]string, len(records))
	for i, r := range records {
		var tk task.Task
		if err := record.Decode(r, &tk); err != nil {
			t.Fatal(err)
		}
		all[i] = fmt.Sprintf("%s#%d", tk.ID, tk.Generation)
	}
	return all
}

// What the claims say decides what becomes of a letter of generation 1.
func TestReplayAsksTheClaims(t *testing.T) {
	const send, only, skip = "sent", "only the letter goes", "skipped"
	tests := []struct {
		id         string
		state      claim.State
		generation int
		want       string
		reason     deadletter.SkipReason
	}{
		{"none", 0, 0, send, ""},
		{"dead", claim.Dead, 1, send, ""},
		{"dying", claim.Dying, 1, send, ""},
		{"pending", claim.Pending, 1, skip, deadletter.SkipAtWork},
		{"running", claim.Running, 1, skip, deadletter.SkipAtWork},
		{"retrying", claim.Retrying, 1, skip, deadletter.SkipAtWork},
		{"succeeded", claim.Succeeded, 1, skip, deadletter.SkipSucceeded},
		{"canceled", claim.Canceled, 1, skip, deadletter.SkipCanceled},
		{"canceled for good", claim.Canceled, claim.AllGenerations, skip, deadletter.SkipCanceled},
		{"replayed, running", claim.Running, 2, only, ""},
		{"replayed, succeeded", claim.Succeeded, 2, only, ""},
		{"replayed, dead", claim.Dead, 2, only, ""},
		{"replayed twice", claim.Retrying, 3, only, ""},
		{"earlier, running", claim.Running, 0, skip, deadletter.SkipAtWork},
	}
	withClaims(t, func(t *testing.T, r *revival) {
		skipped := make(map[deadletter.SkipReason]int)
		var left, back []string
		finished := 0
		for i, tt := range tests {
			r.bury(death{id: tt.id, generation: 1, died: epoch.Add(time.Duration(i) * time.Second)})
			if tt.state != 0 {
				r.claimed(tt.id, tt.state, tt.generation)
			}
			switch tt.want {
			case send:
				back = append(back, tt.id+"#2")
			case only:
				finished++
			case skip:
				skipped[tt.reason]++
				left = append(left, tt.id+"#1")
			}
		}
		r.bury(death{id: "foreign", generation: 1, died: epoch.Add(time.Hour)})
		if err := r.redis.Set(t.Context(), r.key("foreign"), "9?", 0).Err(); err != nil {
			t.Fatal(err)
		}
		skipped[deadletter.SkipForeign]++
		left = append(left, "foreign#1")

		want := deadletter.ReplayResult{
			Matched: len(tests) + 1, Replayed: len(back) + finished, Finished: finished, Skipped: len(left), SkippedFor: skipped,
		}
		dry := r.replay(everything, deadletter.ReplayOptions{DryRun: true})
		if !dry.DryRun || len(r.pending()) != 0 || len(r.list(everything)) != len(tests)+1 {
			t.Errorf("a dry run has changed something: %+v", dry)
		}
		dry.DryRun = false
		same(t, dry, want)
		why := make(map[string]bool)
		same(t, r.replay(everything, deadletter.ReplayOptions{Left: func(l *deadletter.Letter, err error) { why[l.ID()+": "+err.Error()] = true }}), want)
		if got := ids(r.list(everything)); !slices.Equal(got, left) {
			t.Errorf("letters are left of %q, want %q", got, left)
		}
		got := numbers(t, r.pending())
		slices.Sort(got)
		slices.Sort(back)
		if !slices.Equal(got, back) {
			t.Errorf("sent were %q, want %q", got, back)
		}
		if len(why) != len(left) || !why["succeeded: its task has succeeded since"] {
			t.Errorf("it is said of those left: %v", why)
		}
	})
}

func same(t *testing.T, got, want deadletter.ReplayResult) {
	t.Helper()
	g, err1 := json.Marshal(got)
	w, err2 := json.Marshal(want)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g, w) {
		t.Errorf("result %s, want %s", g, w)
	}
}

// Without claims every letter is sent, and replaying twice sends nothing twice.
func TestReplayWithoutClaims(t *testing.T) {
	without(t, func(t *testing.T, r *revival) {
		const n = 1500
		r.bury(many(n)...)
		if result := r.replay(everything, deadletter.ReplayOptions{}); result.Replayed != n || result.Matched != n {
			t.Errorf("%+v", result)
		}
		same(t, r.replay(everything, deadletter.ReplayOptions{}), deadletter.ReplayResult{})
		if back := len(r.pending()); back != n {
			t.Errorf("%d tasks are back", back)
		}
	})
}

func TestReplayIsInTheOrderOfDeaths(t *testing.T) {
	on(t, 4, func(t *testing.T, g *ground) {
		r := g.revive("", 1) // whose order can be seen
		r.bury(many(2500)...)
		r.replay(everything, deadletter.ReplayOptions{})
		for i, got := range numbers(t, r.pending()) {
			if want := fmt.Sprintf("%d#1", i); got != want {
				t.Fatalf("at %d: %s", i, got)
			}
		}
	})
}

func TestReplaySelects(t *testing.T) {
	without(t, func(t *testing.T, r *revival) {
		r.bury(many(10)...)
		result := r.replay(deadletter.Filter{Since: epoch.Add(2 * time.Millisecond), Limit: 3}, deadletter.ReplayOptions{})
		if result.Matched != 3 || result.Replayed != 3 {
			t.Errorf("%+v", result)
		}
		if got := ids(r.list(everything)); !slices.Equal(got, []string{"0", "1", "5", "6", "7", "8", "9"}) {
			t.Errorf("left are %q", got)
		}
	})
}

// A task that was replayed and died again, before its first letter was taken away, has a letter that stays.
func TestReplayLeavesTheLetterOfALaterDeath(t *testing.T) {
	withClaims(t, func(t *testing.T, r *revival) {
		r.bury(death{id: "1"}, death{id: "1", generation: 1, died: epoch.Add(time.Hour)})
		r.claimed("1", claim.Dead, 1)
		result := r.replay(deadletter.Filter{Until: epoch.Add(time.Minute)}, deadletter.ReplayOptions{})
		same(t, result, deadletter.ReplayResult{Matched: 1, Replayed: 1, Finished: 1})
		if got := ids(r.list(everything)); !slices.Equal(got, []string{"1#1"}) {
			t.Errorf("left are %q", got)
		}
	})
}

// A replay that was killed between the acknowledgement and the tombstone, and called again, sends the same generation again
// until that was begun, and then only takes the letter away.
func TestReplayFinishesWhatAnotherBegan(t *testing.T) {
	withClaims(t, func(t *testing.T, r *revival) {
		r.claimed("1", claim.Dead, 0)
		for range 2 {
			r.bury(death{id: "1"})
			same(t, r.replay(everything, deadletter.ReplayOptions{}), deadletter.ReplayResult{Matched: 1, Replayed: 1})
		}
		r.bury(death{id: "1"})
		r.claimed("1", claim.Running, 1)
		same(t, r.replay(everything, deadletter.ReplayOptions{}), deadletter.ReplayResult{Matched: 1, Replayed: 1, Finished: 1})
		if got := numbers(t, r.pending()); !slices.Equal(got, []string{"1#1", "1#1"}) {
			t.Errorf("sent were %q", got)
		}
		if left := r.list(everything); len(left) != 0 {
			t.Errorf("left are %q", ids(left))
		}
	})
}

// As long as the queue does not acknowledge a task its letter stays.
func TestNoTombstoneBeforeTheAcknowledgement(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.TopicAuthorizationFailed, kerr.NotLeaderForPartition} {
		t.Run(refusal.Message, func(t *testing.T) {
			inBubble(t, 2, func(t *testing.T, cluster *kfake.Cluster, g *ground) {
				r := g.revive("", 2)
				r.bury(many(100)...)
				fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.Pending(r.queue), Err: refusal, Count: -1})
				result, err := r.store.Replay(t.Context(), r.queue, everything, deadletter.ReplayOptions{Patience: 500 * time.Millisecond})
				away := (*deadletter.AwayError)(nil)
				if err == nil || refusal.Retriable != errors.As(err, &away) || errors.Is(err, context.Canceled) {
					t.Errorf("error %v", err)
				}
				if result.Replayed != 0 || result.Failed != 100 || result.Matched != 100 {
					t.Errorf("%+v", result)
				}
				if left := r.list(everything); len(left) != 100 {
					t.Errorf("%d letters are left", len(left))
				}
				fault.Remove()
				if result := r.replay(everything, deadletter.ReplayOptions{}); result.Replayed != 100 {
					t.Errorf("%+v", result)
				}
			})
		})
	}
}

// A tombstone that is refused is no loss: the letter is there, and replaying again finishes it.
func TestReplayWhoseTombstonesAreRefused(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := newGround(t, cluster.ListenAddrs(), 2, nil).revive(miniredis.RunT(t).Addr(), 2)
	r.bury(death{id: "1"})
	fault := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: names.Dead(r.queue), Err: kerr.TopicAuthorizationFailed, Count: -1})
	result, err := r.store.Replay(t.Context(), r.queue, everything, deadletter.ReplayOptions{})
	if !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), "its task is back in the queue") {
		t.Errorf("error %v", err)
	}
	same(t, result, deadletter.ReplayResult{Matched: 1, Failed: 1})
	fault.Remove()
	r.claimed("1", claim.Succeeded, 1) // the task has run meanwhile
	same(t, r.replay(everything, deadletter.ReplayOptions{}), deadletter.ReplayResult{Matched: 1, Replayed: 1, Finished: 1})
	if n := len(r.pending()); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
}

func TestReplayWithoutATopic(t *testing.T) {
	onKafka(t, 1, func(t *testing.T, g *ground) {
		g.bury(death{id: "1"})
		result, err := g.store.Replay(t.Context(), g.queue, everything, deadletter.ReplayOptions{Patience: 5 * time.Second})
		if !errors.Is(err, deadletter.ErrNoTopic) || !strings.Contains(err.Error(), "tasktier topic apply --queue "+g.queue) {
			t.Errorf("error %v", err)
		}
		same(t, result, deadletter.ReplayResult{Matched: 1, Failed: 1})
		if left := g.list(everything); len(left) != 1 {
			t.Error("its letter is gone")
		}
		_, err = g.store.Replay(t.Context(), "nosuchqueue", everything, deadletter.ReplayOptions{})
		if !errors.Is(err, deadletter.ErrNoTopic) {
			t.Errorf("error %v", err)
		}
	})
}

// What the queue does not take is told, and keeps nothing else from coming back.
func TestReplayOfWhatIsTooLarge(t *testing.T) {
	onKafka(t, 1, func(t *testing.T, g *ground) {
		r := g.revive("", 1)
		r.takes(names.Pending(r.queue), 1000)
		noise := make([]byte, 5000) // that no compression makes smaller
		_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
		r.bury(death{id: "large", payload: string(noise)})
		var why error
		result := r.replay(everything, deadletter.ReplayOptions{Left: func(_ *deadletter.Letter, err error) { why = err }})
		same(t, result, deadletter.ReplayResult{Matched: 1, Failed: 1})
		if why == nil || !strings.Contains(why.Error(), "raise its max.message.bytes") {
			t.Errorf("it is said: %v", why)
		}
		r.bury(death{id: "small"})
		result = r.replay(deadletter.Filter{IDs: []string{"small"}}, deadletter.ReplayOptions{})
		same(t, result, deadletter.ReplayResult{Matched: 1, Replayed: 1})
		if got := ids(r.list(everything)); !slices.Equal(got, []string{"large"}) {
			t.Errorf("left are %q", got)
		}
	})
}

// What can't be decoded stays unless it is asked for; then it comes back without a trace of its death.
func TestReplayOfWhatCantBeDecoded(t *testing.T) {
	withClaims(t, func(t *testing.T, r *revival) {
		raw := &kgo.Record{Key: []byte("k"), Value: []byte("\x00rubbish"), Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}}}
		r.bury(
			death{raw: raw, key: "k", origin: "tasks.pending/0/7", reason: task.ReasonUndecodable, err: "is no CloudEvent"},
			death{id: "good", died: epoch.Add(time.Second)},
			death{id: "bad", headers: []kgo.RecordHeader{{Key: "ce_notbefore", Value: []byte("soon")}}, reason: task.ReasonInvalid, died: epoch.Add(time.Minute)},
		)
		skipped := map[deadletter.SkipReason]int{deadletter.SkipUndecodable: 2}
		var why error
		result := r.replay(everything, deadletter.ReplayOptions{Left: func(_ *deadletter.Letter, err error) { why = errors.Join(why, err) }})
		same(t, result, deadletter.ReplayResult{Matched: 3, Replayed: 1, Skipped: 2, SkippedFor: skipped})
		if why == nil || !strings.Contains(why.Error(), "it has no ce_ headers") {
			t.Errorf("it is said: %v", why)
		}
		same(t, r.replay(everything, deadletter.ReplayOptions{Undecodable: true}), deadletter.ReplayResult{Matched: 2, Replayed: 2})
		if left := r.list(everything); len(left) != 0 {
			t.Errorf("left are %q", ids(left))
		}
		for _, got := range r.pending() {
			switch {
			case bytes.Equal(got.Value, raw.Value):
				if string(got.Key) != "k" || len(got.Headers) != 1 || got.Headers[0].Key != "h" {
					t.Errorf("key %q, headers %v", got.Key, got.Headers)
				}
			case slices.Contains(stamped(got.Headers), "ce_ttgeneration=1"):
			default:
				t.Errorf("headers %v", got.Headers)
			}
		}
	})
}

// A replay that is ended sends nothing more, and what it says it did is what was done.
func TestReplayThatIsEnded(t *testing.T) {
	withClaims(t, func(t *testing.T, r *revival) {
		const n = 2000
		r.bury(many(n)...)
		enough := errors.New("enough")
		ctx, end := context.WithCancelCause(t.Context())
		result, err := r.store.Replay(ctx, r.queue, everything, deadletter.ReplayOptions{Rate: 1000, Progress: func(p deadletter.ReplayResult) {
			if p.Replayed > 100 {
				end(enough)
			}
		}})
		if !errors.Is(err, enough) {
			t.Errorf("error %v", err)
		}
		left, back := len(r.list(everything)), len(r.pending())
		if result.Matched != n || result.Failed != 0 || result.Replayed != back || left != n-back || back == n || back == 0 {
			t.Errorf("%+v; %d are back, and %d letters left", result, back, left)
		}
		if result := r.replay(everything, deadletter.ReplayOptions{}); result.Replayed != left {
			t.Errorf("%+v", result)
		}
	})
}

func TestReplayAtARate(t *testing.T) {
	without(t, func(t *testing.T, r *revival) {
		r.bury(many(100)...)
		began := time.Now()
		if result := r.replay(everything, deadletter.ReplayOptions{Rate: 100}); result.Replayed != 100 {
			t.Errorf("%+v", result)
		}
		if took := time.Since(began); took < 900*time.Millisecond {
			t.Errorf("100 letters at 100 a second took %v", took)
		}
	})
}

// Two operators at once: nothing is lost, no letter is left, and whatever is sent twice is of the same generation.
func TestTwoReplaysAtOnce(t *testing.T) {
	withClaims(t, func(t *testing.T, r *revival) {
		const n = 1500
		r.bury(many(n)...)
		var both sync.WaitGroup
		for range 2 {
			both.Go(func() {
				if _, err := r.store.Replay(t.Context(), r.queue, everything, deadletter.ReplayOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		if left := r.list(everything); len(left) != 0 {
			t.Errorf("%d letters are left", len(left))
		}
		back := make(map[string]int)
		for _, id := range numbers(t, r.pending()) {
			back[id]++
		}
		for i := range n {
			if c := back[strconv.Itoa(i)+"#1"]; c < 1 || c > 2 {
				t.Fatalf("%d was sent %d times", i, c)
			}
		}
		if len(back) != n {
			t.Errorf("%d different tasks are back", len(back))
		}
	})
}

func TestReplayWhileRedisIsAway(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	server := miniredis.RunT(t)
	r := newGround(t, cluster.ListenAddrs(), 1, nil).revive(server.Addr(), 1)
	r.bury(many(10)...)
	server.SetError("LOADING for a while")
	result, err := r.store.Replay(t.Context(), r.queue, everything, deadletter.ReplayOptions{Patience: 200 * time.Millisecond})
	away := (*deadletter.AwayError)(nil)
	if !errors.As(err, &away) || away.Server != "redis" {
		t.Errorf("error %v", err)
	}
	same(t, result, deadletter.ReplayResult{Matched: 10})
	if left := r.list(everything); len(left) != 10 {
		t.Errorf("%d letters are left", len(left))
	}
	timer := time.AfterFunc(300*time.Millisecond, func() { server.SetError("") })
	defer timer.Stop()
	same(t, r.replay(everything, deadletter.ReplayOptions{}), deadletter.ReplayResult{Matched: 10, Replayed: 10})
}

// The broker goes away in the middle: the replay ends in time and says so, and every task is in its letter or back.
func TestReplayWhoseBrokerGoesAway(t *testing.T) {
	t.Run("kfake", func(t *testing.T) {
		inBubble(t, 3, func(t *testing.T, cluster *kfake.Cluster, g *ground) {
			var away atomic.Bool
			cluster.Control(func(kmsg.Request) (kmsg.Response, error, bool) {
				cluster.KeepControl()
				return nil, errors.New("away"), away.Load() // the connection is closed
			})
			replayWhoseBrokerGoesAway(t, g, func() error { away.Store(true); return nil }, func() error { away.Store(false); return nil })
		})
	})
	t.Run("kafka", func(t *testing.T) {
		if testing.Short() {
			t.Skip("a broker of its own is started twice: ./check long runs it")
		}
		kafka := testenv.StartKafka(t)
		replayWhoseBrokerGoesAway(t, newGround(t, kafka.Addrs(), 3, nil), kafka.Kill, kafka.Start)
	})
}

func replayWhoseBrokerGoesAway(t *testing.T, g *ground, leave, comeBack func() error) {
	t.Helper()
	r := g.revive("", 3)
	const n = 3000
	r.bury(many(n)...)
	var once sync.Once
	began := time.Now()
	result, err := r.store.Replay(t.Context(), r.queue, everything, deadletter.ReplayOptions{Rate: 2000, Patience: 2 * time.Second, Progress: func(p deadletter.ReplayResult) {
		if p.Replayed > 500 {
			once.Do(func() {
				if err := leave(); err != nil {
					t.Error(err)
				}
			})
		}
	}})
	away := (*deadletter.AwayError)(nil)
	if !errors.As(err, &away) || away.Server != "kafka" {
		t.Errorf("error %v", err)
	}
	t.Logf("after %v: %v; %+v", time.Since(began).Round(time.Millisecond), err, result)
	if took := time.Since(began); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	if err := comeBack(); err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, l := range r.list(everything) {
		there[l.ID()+"#1"] = true
	}
	for _, id := range numbers(t, r.pending()) {
		there[id] = true
	}
	if len(there) != n {
		t.Errorf("of %d tasks %d are left", n, len(there))
	}
	if result := r.replay(everything, deadletter.ReplayOptions{}); result.Failed > 0 || result.Replayed != result.Matched {
		t.Errorf("%+v", result)
	}
	if left := r.list(everything); len(left) != 0 {
		t.Errorf("%d letters are left", len(left))
	}
}

// Kafka has compacted what was replaced and taken away: what is replayed before and after is each letter once.
func TestReplayAcrossCompaction(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	for name, kafka := range map[string]struct {
		addrs func(testing.TB) []string
		clean func()
	}{
		"kfake": {func(testing.TB) []string { return cluster.ListenAddrs() }, cluster.Compact},
		"kafka": {testenv.Kafka, func() {}},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "kafka" && testing.Short() {
				t.Skip("its cleaner takes its time: ./check long runs it, and TestListIsTheSameAcrossCompaction waits for it too")
			}
			r := newGround(t, kafka.addrs(t), 2, map[string]string{
				"segment.ms": "100", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.001", "max.compaction.lag.ms": "100",
				"min.compaction.lag.ms": "0", "delete.retention.ms": "0", "file.delete.delay.ms": "0",
			}).revive("", 1)
			r.bury(many(300)...)
			r.bury(many(300)...) // each is replaced once
			if result := r.replay(deadletter.Filter{Limit: 100}, deadletter.ReplayOptions{}); result.Replayed != 100 {
				t.Errorf("before: %+v", result)
			}
			t.Logf("of 700 records %d are left", r.compacted(kafka.clean, 250))
			if result := r.replay(everything, deadletter.ReplayOptions{}); result.Replayed != 200 || result.Matched != 200 {
				t.Errorf("after: %+v", result)
			}
			for i, got := range numbers(t, r.pending()) {
				if want := fmt.Sprintf("%d#1", i); got != want {
					t.Fatalf("at %d: %s", i, got)
				}
			}
			t.Logf("and then %d", r.compacted(kafka.clean, 10))
			same(t, r.replay(everything, deadletter.ReplayOptions{}), deadletter.ReplayResult{})
		})
	}
}

func TestReplayOptions(t *testing.T) {
	store, err := deadletter.Open(deadletter.Config{Kafka: []kgo.Opt{kgo.SeedBrokers("127.0.0.1:1")}})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for name, tt := range map[string]struct {
		queue string
		o     deadletter.ReplayOptions
	}{
		"a queue that can't be":    {"tasks.dead", deadletter.ReplayOptions{}},
		"a negative rate":          {"tasks", deadletter.ReplayOptions{Rate: -1}},
		"a negative canary":        {"tasks", deadletter.ReplayOptions{Canary: deadletter.Canary{Letters: -1}}},
		"a canary beyond all":      {"tasks", deadletter.ReplayOptions{Canary: deadletter.Canary{Letters: 1, StopAt: 101}}},
		"a canary without claims":  {"tasks", deadletter.ReplayOptions{Canary: deadletter.Canary{Letters: 1}}},
		"a canary of the past":     {"tasks", deadletter.ReplayOptions{Canary: deadletter.Canary{Letters: 1, Timeout: -1}}},
		"a canary that never dies": {"tasks", deadletter.ReplayOptions{Canary: deadletter.Canary{Letters: 1, StopAt: -1}}},
	} {
		if _, err := store.Replay(t.Context(), tt.queue, everything, tt.o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	_, err = store.Replay(t.Context(), "tasks", everything, deadletter.ReplayOptions{Canary: deadletter.Canary{Letters: 1}})
	if !errors.Is(err, deadletter.ErrNoClaims) {
		t.Errorf("error %v", err)
	}
}
