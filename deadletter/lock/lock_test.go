package lock_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter/lock"
	"github.com/tasktier/tasktier/internal/testenv"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patience bounds what must come.
const patience = 30 * time.Second

func dial(t *testing.T, endpoints ...string) *clientv3.Client {
	t.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// A room is an installation's keys, and a client that sees them.
type room struct {
	t      *testing.T
	client *clientv3.Client
	prefix string
}

func open(t *testing.T) room {
	t.Helper()
	return room{t, dial(t, testenv.Etcd(t)...), "/" + testenv.Unique(t)}
}

func ann() lock.Holder {
	return lock.Holder{Host: "ann", PID: 1, Since: time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)}
}

func bob() lock.Holder { return lock.Holder{Host: "bob", PID: 2, Since: time.Now()} }

// take takes the lock of queue tasks.
func (r room) take(me lock.Holder, force bool) (*lock.Lock, error) {
	r.t.Helper()
	l, err := lock.Take(r.t.Context(), r.client, r.prefix, "tasks", me, force)
	if err == nil {
		r.t.Cleanup(func() { _ = l.Release(context.WithoutCancel(r.t.Context())) })
	}
	return l, err
}

func (r room) mustTake(me lock.Holder, force bool) *lock.Lock {
	r.t.Helper()
	l, err := r.take(me, force)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

func (r room) release(l *lock.Lock) {
	r.t.Helper()
	if err := l.Release(r.t.Context()); err != nil {
		r.t.Error(err)
	}
}

// value is what stands in the key, "" if there is none.
func (r room) value() string {
	r.t.Helper()
	answer, err := r.client.Get(r.t.Context(), lock.Key(r.prefix, "tasks"))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, kv := range answer.Kvs {
		return string(kv.Value)
	}
	return ""
}

// lost waits until the lock is, and returns why.
func (r room) lost(l *lock.Lock) error {
	r.t.Helper()
	select {
	case <-l.Context().Done():
	case <-time.After(patience):
		r.t.Fatal("the lock is not lost")
	}
	return context.Cause(l.Context())
}

func TestASecondOperatorIsToldWhoTheFirstIs(t *testing.T) {
	r := open(t)
	first := r.mustTake(ann(), false)
	_, err := r.take(bob(), false)
	held := (*lock.HeldError)(nil)
	if !errors.As(err, &held) || held.By != ann() {
		t.Fatalf("error %v", err)
	}
	if want := "the dead letters of queue tasks are being replayed by process 1 on ann, since 2027-01-02T03:04:05Z"; held.Error() != want {
		t.Errorf("it is told %q, want %q", held, want)
	}
	if first.Context().Err() != nil {
		t.Errorf("the first has lost the lock: %v", context.Cause(first.Context()))
	}
	r.release(first)
	r.release(first) // is harmless
	if cause := r.lost(first); !errors.Is(cause, lock.ErrReleased) {
		t.Errorf("its context ended by %v", cause)
	}
	r.mustTake(bob(), false)
}

func TestQueuesAreLockedApart(t *testing.T) {
	r := open(t)
	r.mustTake(ann(), false)
	other, err := lock.Take(t.Context(), r.client, r.prefix, "mail", bob(), false)
	if err != nil {
		t.Fatal(err)
	}
	r.release(other)
}

// Of many that request the lock over one etcd client at once, exactly one acquires it. Pitfall 35 of docs/pitfalls.md.
func TestOneOfManyAcquiresTheLock(t *testing.T) {
	r := open(t)
	var (
		taking sync.WaitGroup
		mu     sync.Mutex
		have   int
	)
	for range 10 {
		taking.Go(func() {
			if _, err := r.take(bob(), false); err == nil {
				mu.Lock()
				have++
				mu.Unlock()
			}
		})
	}
	taking.Wait()
	if have != 1 {
		t.Errorf("%d have the lock", have)
	}
}

// Releasing a lock that was taken over leaves it with its new owner. Pitfall 36 of docs/pitfalls.md.
func TestReleaseOfALostLockKeepsItsNewOwner(t *testing.T) {
	r := open(t)
	first := r.mustTake(ann(), false)
	second := r.mustTake(bob(), true)
	if cause := r.lost(first); !errors.Is(cause, lock.ErrTaken) || !strings.Contains(cause.Error(), "process 2 on bob") {
		t.Errorf("the first lost it by %v", cause)
	}
	r.release(first)
	if !strings.Contains(r.value(), "bob") {
		t.Errorf("the key has %q", r.value())
	}
	if second.Context().Err() != nil {
		t.Errorf("the second lost it too: %v", context.Cause(second.Context()))
	}
}

func TestForceTakesWhatNobodyHas(t *testing.T) {
	r := open(t)
	l := r.mustTake(ann(), true)
	r.release(l)
	if v := r.value(); v != "" {
		t.Errorf("the key has %q", v)
	}
}

// A holder that etcd does not know any more is none, whatever it believes; nor is one whose key somebody has deleted.
func TestLoss(t *testing.T) {
	for name, lose := range map[string]func(r room) error{
		"its lease is gone": func(r room) error {
			answer, err := r.client.Get(t.Context(), lock.Key(r.prefix, "tasks"))
			if err != nil {
				return err
			}
			_, err = r.client.Revoke(t.Context(), clientv3.LeaseID(answer.Kvs[0].Lease))
			return err
		},
		"its key is deleted": func(r room) error {
			_, err := r.client.Delete(t.Context(), lock.Key(r.prefix, "tasks"))
			return err
		},
		"its key is what nobody can read": func(r room) error {
			_, err := r.client.Put(t.Context(), lock.Key(r.prefix, "tasks"), "?")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t)
			l := r.mustTake(ann(), false)
			if err := lose(r); err != nil {
				t.Fatal(err)
			}
			if cause := r.lost(l); !errors.Is(cause, lock.ErrTaken) && !errors.Is(cause, lock.ErrExpired) {
				t.Errorf("it was lost by %v", cause)
			}
			r.release(l)
		})
	}
}

// The owner of a lock notices that it was taken over even if its watch has to resume at a revision that was compacted.
// Pitfall 38 of docs/pitfalls.md.
func TestTakeoverIsNoticedAcrossCompaction(t *testing.T) {
	server := testenv.StartEtcd(t)
	r := room{t, dial(t, server.Endpoints()...), "/compacted"}
	l := r.mustTake(ann(), false)
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	if l.Context().Err() != nil {
		t.Fatal("a moment without etcd ended the lock")
	}
	other := dial(t, server.Endpoints()...)
	if _, err := other.Put(t.Context(), lock.Key(r.prefix, "tasks"), `{"host":"bob"}`); err != nil {
		t.Fatal(err)
	}
	answer, err := other.Put(t.Context(), "/compacted/else", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Compact(t.Context(), answer.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	if cause := r.lost(l); !errors.Is(cause, lock.ErrTaken) {
		t.Errorf("it was lost by %v", cause)
	}
}

func TestEtcdThatIsAway(t *testing.T) {
	client := dial(t, "127.0.0.1:1")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err := lock.Take(ctx, client, "/x", "tasks", ann(), true); err == nil || !strings.HasPrefix(err.Error(), "ask etcd ") {
		t.Errorf("error %v", err)
	}
}
