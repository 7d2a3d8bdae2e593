package claim

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/nap"
)

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// storeAt is a store on a server, under key names of its own or those of another store.
func storeAt(t testing.TB, addr, prefix string) *Store {
	t.Helper()
	return NewStore(single(t, addr), prefix)
}

// named is the identity of hold(id, …).
func named(id string) Identity { return Identity{Queue: "q", Source: "s", ID: id} }

// showClaim makes Redis show a claim, and beside it details if there are any.
func showClaim(t testing.TB, s *Store, id Identity, c Claim, details ...Details) {
	t.Helper()
	h := hold(id.ID, 0, 1, 1)
	h.Task.Queue, h.Task.Source = id.Queue, id.Source
	put(t, s, h, c.String())
	for _, d := range details {
		if err := s.client.Set(t.Context(), id.Key().text(s.prefix)+detailsSuffix, d.render(h.Task), time.Hour).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// kept is how long Redis keeps a claim from now.
func kept(t testing.TB, s *Store, id Identity) time.Duration {
	t.Helper()
	d, err := s.client.PTTL(t.Context(), id.Key().text(s.prefix)).Result()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// about says whether d is want, but for the time that a test takes.
func about(d, want time.Duration) bool { return d <= want && d > want-patience }

// eventually waits for what happens in its own time.
func eventually(t testing.TB, what string, happened func() bool) {
	t.Helper()
	ctx := within(t, patience)
	for !happened() {
		if !nap.For(ctx, 2*time.Millisecond) {
			t.Fatalf("%s: it did not happen", what)
		}
	}
}

// A fault replaces a call of a script: next makes it.
type fault func(next func() error) error

// faults is a hook on a client: each goes to one of its next calls.
type faults chan fault

// inject returns those that are still to come.
func inject(s *Store, next ...fault) faults {
	f := make(faults, len(next))
	for _, call := range next {
		f <- call
	}
	s.client.AddHook(f)
	return f
}

func (f faults) DialHook(next redis.DialHook) redis.DialHook { return next }

func (f faults) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// A failed is a hook that sends a token when a pipeline was not answered.
type failed chan struct{}

func (f failed) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (f failed) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (f failed) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		// What Redis answers is no failure: greetings that an older one does not know, keys that are not there.
		if answer := redis.Error(nil); err != nil && !errors.As(err, &answer) {
			select {
			case f <- struct{}{}:
			default:
			}
		}
		return err
	}
}

func (f faults) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if name := cmd.Name(); name != "evalsha" && name != "eval" {
			return next(ctx, cmd)
		}
		select {
		case call := <-f:
			err := call(func() error { return next(ctx, cmd) })
			if err != nil {
				cmd.SetErr(err)
			}
			return err
		default:
			return next(ctx, cmd)
		}
	}
}

var errBroken = errors.New("the connection broke")

// replyLost lets a call be applied and loses its reply.
func replyLost(next func() error) error {
	if err := next(); err != nil {
		return err
	}
	return errBroken
}
