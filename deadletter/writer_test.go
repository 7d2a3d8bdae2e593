package deadletter_test

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// play runs a test with a cluster in memory, on a clock that moves when nothing else does.
func play(t *testing.T, test func(t *testing.T, cluster *kfake.Cluster, dial func(...kgo.Opt) *kgo.Client)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		net := new(bubble.Network)
		cluster, err := kfake.NewCluster(kfake.Ports(9092), kfake.ListenFn(net.Listen), kfake.SeedTopics(1, names.Dead("tasks")))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		test(t, cluster, func(opts ...kgo.Opt) *kgo.Client {
			cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(net.DialContext)}, opts...)...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(cl.Close)
			return cl
		})
	})
}

func letter(headers ...kgo.RecordHeader) deadletter.Death {
	return deadletter.Death{
		Queue:  "tasks",
		Record: &kgo.Record{Topic: "tasks.pending", Key: []byte("old"), Value: []byte("value"), Headers: headers},
		Task:   &task.Task{ID: "1", Source: "/s", Generation: 2, Turn: 3, Attempt: 4},
		Reason: task.ReasonExhausted,
		Err:    errors.New("no luck"),
		Origin: "tasks.pending/0/7",
	}
}

func TestLetter(t *testing.T) {
	long := strings.Repeat("é\xff", record.MaxError)
	tests := []struct {
		name  string
		spoil func(*deadletter.Death)
		key   string
		want  record.Stamp
	}{
		{"a task", func(*deadletter.Death) {}, "2:/s1#2", record.Stamp{Generation: 2, Turn: 3, Attempt: 4, Err: "no luck", FirstErr: "no luck"}},
		{"no task", func(l *deadletter.Death) { l.Task = nil }, "tasks.pending/0/7", record.Stamp{Err: "no luck", FirstErr: "no luck"}},
		{"no id", func(l *deadletter.Death) { l.Task.ID = "" }, "tasks.pending/0/7", record.Stamp{Err: "no luck", FirstErr: "no luck"}},
		{"no source", func(l *deadletter.Death) { l.Task.Source = "" }, "tasks.pending/0/7", record.Stamp{Err: "no luck", FirstErr: "no luck"}},
		{"an earlier error", func(l *deadletter.Death) {
			l.Record.Headers = []kgo.RecordHeader{{Key: "ce_ttfirsterror", Value: []byte("first")}, {Key: "ce_tterror", Value: []byte("second")}}
		}, "2:/s1#2", record.Stamp{Generation: 2, Turn: 3, Attempt: 4, Err: "no luck", FirstErr: "first"}},
		{"an error that is long and no text", func(l *deadletter.Death) { l.Err = errors.New(long) }, "2:/s1#2", record.Stamp{Generation: 2, Turn: 3, Attempt: 4}},
	}
	play(t, func(t *testing.T, _ *kfake.Cluster, dial func(...kgo.Opt) *kgo.Client) {
		client := dial()
		reader := dial(kgo.ConsumeTopics(names.Dead("tasks")))
		w := deadletter.NewWriter(client, "node", zap.NewNop())
		for _, tt := range tests {
			l := letter()
			tt.spoil(&l)
			done := make(chan error, 1)
			w.Write(t.Context(), l, func(err error) { done <- err })
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			got := reader.PollFetches(t.Context()).Records()[0]
			if string(got.Key) != tt.key || string(got.Value) != "value" {
				t.Errorf("%s: key %q, value %q", tt.name, got.Key, got.Value)
			}
			stamp, err := record.ReadStamp(got)
			if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if len(stamp.Err) > record.MaxError || !utf8.ValidString(stamp.Err) || stamp.Err == "" {
				t.Errorf("%s: an error of %d bytes", tt.name, len(stamp.Err))
			}
			if tt.want.Err == "" {
				stamp.Err, stamp.FirstErr = "", ""
			}
			tt.want.Reason, tt.want.Origin, tt.want.Node, tt.want.Died, tt.want.Key = task.ReasonExhausted, l.Origin, "node", stamp.Died, []byte("old")
			if !reflect.DeepEqual(stamp, tt.want) {
				t.Errorf("%s: %+v, want %+v", tt.name, stamp, tt.want)
			}
		}
		w.Close()
	})
}

// A refused letter is tried until it is taken, and done is called once.
func TestWriteUntilTaken(t *testing.T) {
	play(t, func(t *testing.T, cluster *kfake.Cluster, dial func(...kgo.Opt) *kgo.Client) {
		refuse := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.MessageTooLarge, Count: 5})
		w := deadletter.NewWriter(dial(), "node", zap.NewNop())
		done := make(chan error, 10)
		w.Write(t.Context(), letter(), func(err error) { done <- err })
		if err := <-done; err != nil {
			t.Error(err)
		}
		w.Close()
		if refuse.Hits() != 5 || len(done) != 0 {
			t.Errorf("%d refusals, and done was called %d times more", refuse.Hits(), len(done))
		}
		if hw := cluster.PartitionInfo(names.Dead("tasks"), 0).HighWatermark; hw != 1 {
			t.Errorf("%d letters", hw)
		}
	})
}

// Its context ends the tries, in whatever they are, and Close waits for that; so does the end of its client.
func TestWriteEnds(t *testing.T) {
	for name, end := range map[string]func(context.CancelFunc, *kgo.Client){
		"context": func(cancel context.CancelFunc, _ *kgo.Client) { cancel() },
		"client":  func(_ context.CancelFunc, cl *kgo.Client) { cl.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(t *testing.T, cluster *kfake.Cluster, dial func(...kgo.Opt) *kgo.Client) {
				refuse := cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.MessageTooLarge, Count: -1})
				client := dial()
				w := deadletter.NewWriter(client, "node", zap.NewNop())
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 30)
				for range 3 {
					w.Write(ctx, letter(), func(err error) { done <- err })
					time.Sleep(time.Second)
				}
				if err := refuse.Wait(ctx, 10); err != nil {
					t.Fatal(err)
				}
				end(cancel, client)
				w.Close()
				if len(done) != 3 {
					t.Errorf("done was called %d times for 3 letters", len(done))
				}
				for range len(done) {
					if err := <-done; err == nil {
						t.Error("a letter that was refused is told to be written")
					}
				}
			})
		})
	}
}
