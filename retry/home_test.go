package retry

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap/zaptest"
)

// write hands a record on and waits until that is done.
func (s *stage) write(ctx context.Context, w Wait) error {
	done := make(chan error, 1)
	w.Queue = s.queue
	s.writer.Write(ctx, w, func(err error) { done <- err })
	return <-done
}

// ends are the offsets behind the last records of the queue's partitions.
func (s *stage) ends() (ends [4]int64) {
	s.t.Helper()
	listed, err := s.adm.ListEndOffsets(s.context(), names.Pending(s.queue))
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range ends {
		o, _ := listed.Lookup(names.Pending(s.queue), int32(i))
		ends[i] = o.Offset
	}
	return ends
}

// A task that is due at once goes to the partition that is its home, with a key or without, and is the same task there.
func TestHome(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		due := map[string]time.Time{"no due": {}, "a due that has passed": time.Now().Add(-time.Hour)}
		for name, at := range due {
			for _, key := range [][]byte{nil, []byte("key")} {
				for home := range int32(4) {
					before := s.ends()
					r := example(0)
					r.Key = key
					if err := s.write(s.context(), Wait{Record: r, Due: at, Generation: 2, Turn: 3, Attempt: 4, Home: home + 1}); err != nil {
						t.Fatal(err)
					}
					want := before
					want[home]++
					if got := s.ends(); got != want {
						t.Errorf("%s, key %q: written to %v instead of partition %d of %v", name, key, got, home, before)
					}
				}
			}
		}
		for _, r := range s.all(names.Pending(s.queue)) {
			stamp, err := record.ReadStamp(r)
			if want := (record.Stamp{Generation: 2, Turn: 3, Attempt: 4}); err != nil || !reflect.DeepEqual(stamp, want) {
				t.Errorf("its stamp is %+v, %v, want %+v", stamp, err, want)
			}
			var got task.Task
			if err := record.Decode(r, &got); err != nil || got.ID != "0" || len(got.Payload) != 900 {
				t.Errorf("it is %+v, %v", got, err)
			}
		}
	})
}

// Where the queue has no such partition any partition will do. One without a home has none, and neither has one that is not
// due: it waits in its slot and comes back as all others do.
func TestNoHome(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		for n, home := range []int32{0, 5, 1<<31 - 1, -1, -1 << 31} {
			if err := s.write(s.context(), Wait{Record: example(n), Turn: 1, Attempt: 1, Home: home}); err != nil {
				t.Fatalf("home %d: %v", home, err)
			}
			if got := s.size(names.Pending(s.queue)); got != int64(n+1) {
				t.Errorf("home %d: %d records are in the queue, want %d", home, got, n+1)
			}
		}
		if err := s.write(s.context(), Wait{Record: example(9), Due: time.Now().Add(time.Minute), Turn: 1, Attempt: 1, Home: 2}); err != nil {
			t.Fatal(err)
		}
		if got := s.size(names.RetryMinute(s.prefix)); got != 1 {
			t.Errorf("%d records wait in the tier, want the one that is not due", got)
		}
	})
}

// Records that go anywhere still go everywhere: a home that some have ties no other to its partition.
func TestSuccessorsSpread(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		for i := range 100 { // each a batch of its own
			if err := s.write(s.context(), Wait{Record: example(i), Turn: 1, Attempt: 1}); err != nil {
				t.Fatal(err)
			}
		}
		for p, n := range s.ends() {
			if n == 0 {
				t.Errorf("of 100 records without a key none went to partition %d: %v", p, s.ends())
			}
		}
	})
}

// What its queue goes on refusing waits in the tiers, home or not. What no topic takes is tried until its context ends.
func TestHomeIsRefused(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		refuse := s.cluster.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.Produce}, Topic: names.Pending(s.queue), Err: kerr.TopicAuthorizationFailed, Count: -1,
		})
		began := time.Now()
		if err := s.write(s.context(), Wait{Record: example(0), Turn: 1, Attempt: 1, Home: 3}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < putOffAfter || s.size(names.RetryMinute(s.prefix)) != 1 {
			t.Errorf("after %v %d records wait in the tier", took, s.size(names.RetryMinute(s.prefix)))
		}
		refuse.Remove()
		s.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1})
		ctx, cancel := context.WithTimeout(s.context(), time.Hour)
		defer cancel()
		if err := s.write(ctx, Wait{Record: example(1), Turn: 1, Attempt: 1, Home: 3}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// The end of its context ends a record with a home that the broker says nothing to, though it has a context of its own.
func TestHomeIsGivenUp(t *testing.T) {
	play(t, func(t *testing.T, s *stage) {
		s.cluster.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
			s.cluster.KeepControl()
			return nil, nil, true // and no answer
		})
		w := NewWriter(s.dial(append(OutOptions(s.kafka, s.prefix, 1<<20), kgo.RetryTimeout(time.Minute))...), s.prefix, zaptest.NewLogger(t))
		ctx, cancel := context.WithTimeout(s.context(), time.Second)
		defer cancel()
		done := make(chan error, 1)
		began := time.Now()
		w.Write(ctx, Wait{Queue: s.queue, Record: example(0), Turn: 1, Attempt: 1, Home: 1}, func(err error) { done <- err })
		if err := <-done; err == nil {
			t.Error("it was written to a silent broker")
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("it was given up after %v", took)
		}
		w.Close()
	})
}
