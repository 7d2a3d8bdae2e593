package claim

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/testenv"
)

// losses is a hook that lets calls of scripts through and loses the replies.
type losses struct {
	left      atomic.Int32 // how many are still to be lost
	meanwhile atomic.Pointer[func()]
	other     atomic.Bool // every other reply only, so that each call is lost once
	odd       atomic.Bool
}

var errReplyLost = errors.New("the connection broke")

// lose makes the next n replies get lost. meanwhile, which may be nil, happens when the first of these calls was applied.
func (l *losses) lose(n int32, meanwhile func()) {
	l.meanwhile.Store(nil)
	if meanwhile != nil {
		l.meanwhile.Store(&meanwhile)
	}
	l.odd.Store(false)
	l.left.Store(n)
}

func (l *losses) lost(cmd redis.Cmder, err error) bool {
	if name := cmd.Name(); name != "evalsha" && name != "eval" {
		return false
	}
	if redis.HasErrorPrefix(err, "NOSCRIPT") || l.left.Load() <= 0 {
		return false
	}
	if l.other.Load() {
		odd := l.odd.Load()
		if l.odd.Store(!odd); odd {
			return false
		}
	}
	l.left.Add(-1)
	if do := l.meanwhile.Swap(nil); do != nil {
		(*do)()
	}
	return true
}

func (l *losses) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l *losses) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if l.lost(cmd, err) {
			cmd.SetErr(errReplyLost)
			return errReplyLost
		}
		return err
	}
}

func (l *losses) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if l.lost(cmds[0], cmds[0].Err()) {
			for _, cmd := range cmds {
				cmd.SetErr(errReplyLost)
			}
			return errReplyLost
		}
		return err
	}
}

// onEachLossy is onEach with replies to lose.
func onEachLossy(t *testing.T, test func(t *testing.T, s *Store, l *losses)) {
	onEach(t, func(t *testing.T, s *Store) {
		l := &losses{}
		s.client.AddHook(l)
		test(t, s, l)
	})
}

const manyLost = 2

// A call that was applied and whose reply was lost is sent again, recognizes what it wrote, and is counted once.
// Pitfall 43 of docs/pitfalls.md.
func TestCallsWithLostRepliesAreCountedOnce(t *testing.T) {
	t.Parallel()
	t.Run("begin", func(t *testing.T) {
		onEachLossy(t, func(t *testing.T, s *Store, l *losses) {
			node := start(t, s, &registry{}, me)
			for _, c := range table {
				if c.gone || c.limit != 0 {
					continue // below
				}
				h := hold(c.name, g, n, tries)
				if c.found.State != 0 {
					put(t, s, h, c.found.String())
				}
				before, clock := node.Stats(), time.Now().UnixMicro()
				l.lose(1, nil)
				calls := s.Calls()
				if v := node.begin(h); v != c.verdict {
					t.Errorf("%s: %s, want %s", c.name, v, c.verdict)
					continue
				}
				l.lose(0, nil)
				_, got := stored(t, s, h)
				c.expects(t, got, clock)
				if h.Won() && h.Fence() != got.Fence {
					t.Errorf("%s: fence %d, of the claim %d", c.name, h.Fence(), got.Fence)
				}
				if calls = s.Calls() - calls; c.found.State == 0 && calls > 2 && !s.cluster { // there it may be one more: to bring the script
					t.Errorf("%s: %d calls: the script does not know what it wrote", c.name, calls)
				}
				after := node.Stats()
				if sum := after.Run + after.Done + after.Stale + after.Held - before.Run - before.Done - before.Stale - before.Held; sum > 1 {
					t.Errorf("%s: counted %d times", c.name, sum)
				}
			}
		})
	})
	t.Run("takeover", func(t *testing.T) {
		onEachLossy(t, func(t *testing.T, s *Store, l *losses) {
			l.other.Store(true)
			var registry registry
			registry.leave(other)
			node := start(t, s, &registry, me)
			h := hold("steal", g, n, tries)
			put(t, s, h, at(Running, g, n).String())
			l.lose(2, nil) // of the begin, and of the takeover
			if v := node.begin(h); v != Run || h.Crashes() != 1 {
				t.Errorf("%s with %d crashes, want run with 1", v, h.Crashes())
			}
			h = hold("poison", g, n, tries)
			put(t, s, h, at(Running, g, n).crashed(2).with(Alone).String())
			l.lose(2, nil)
			if v := node.begin(h); v != Bury || h.Crashes() != 3 {
				t.Errorf("%s with %d crashes, want bury with 3", v, h.Crashes())
			}
			if l.left.Load() != 0 {
				t.Error("not all replies were lost")
			}
			if st := node.Stats(); st.Stolen != 2 || st.Poison != 1 {
				t.Errorf("%+v", st)
			}
		})
	})
	t.Run("finish", func(t *testing.T) {
		onEachLossy(t, func(t *testing.T, s *Store, l *losses) {
			node := start(t, s, &registry{}, me)
			want := map[string]int64{}
			for _, say := range says {
				h := node.won(hold(say.name, g, n, tries))
				next := say.next(h.claim())
				l.lose(manyLost, nil)
				if r := node.answer(func(done func(Result)) { say.say(node.Book, h, done) }); r != Written {
					t.Errorf("%s: %s, want written", say.name, r)
				}
				_, got := stored(t, s, h)
				if next.At = got.At; got != next {
					t.Errorf("%s: the claim became %q, want %q", say.name, got, next)
				}
				switch next.State {
				case Pending:
					if next.Turn > n {
						want["snoozed"]++
					}
				case Running, Dying:
				default:
					want[string(next.TaskState(time.Now()))]++
				}
			}
			counted(t, s, want)
		})
	})
	t.Run("details", func(t *testing.T) {
		onEachLossy(t, func(t *testing.T, s *Store, l *losses) {
			node := start(t, s, &registry{}, me)
			h := node.won(hold("details", 0, 1, 1))
			l.lose(manyLost, func() { // somebody has seen them, and wrote what came next
				d, err := s.Details(t.Context(), h.identity())
				if err != nil || d == nil || d.Error != "first" {
					t.Errorf("details %+v, %v", d, err)
				}
				if err := s.client.Set(t.Context(), h.name+detailsSuffix, `{"error":"later"}`, time.Hour).Err(); err != nil {
					t.Error(err)
				}
			})
			mustWrite(t, node.finish(h, Outcome{State: Retrying, Due: time.Now(), Details: &Details{Error: "first"}}))
			if d, err := s.Details(t.Context(), h.identity()); err != nil || d.Error != "later" {
				t.Errorf("details %+v, %v: written twice", d, err)
			}
		})
	})
}

func counted(t *testing.T, s *Store, want map[string]int64) {
	t.Helper()
	list, err := s.Counts(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, c := range list {
		got[c.Outcome] += c.Tasks
	}
	for outcome, n := range want {
		if got[outcome] != n {
			t.Errorf("%d are counted as %s, want %d", got[outcome], outcome, n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("counted %v, want %v", got, want)
	}
}

// What others do between a call that was applied and its repetition is seen.
func TestBetweenLostReplyAndRetry(t *testing.T) {
	t.Parallel()
	onEachLossy(t, func(t *testing.T, s *Store, l *losses) {
		var registry registry
		a := start(t, s, &registry, me)
		b := start(t, NewStore(s.client, s.prefix), &registry, other)

		t.Run("canceled", func(t *testing.T) {
			h := hold("canceled", 0, 1, 1)
			l.lose(1, func() {
				if c, err := s.Cancel(t.Context(), h.identity(), Window{}); err != nil || !c.Asked {
					t.Error(c, err)
				}
			})
			if v := a.begin(h); v != Done {
				t.Errorf("%s, want done", v)
			}
			if _, c := stored(t, s, h); c.State != Canceled {
				t.Errorf("the claim is %q", c)
			}
		})
		t.Run("flushed", func(t *testing.T) {
			h := hold("flushed", 0, 1, 1)
			l.lose(1, func() { put(t, s, h, "") })
			if v := a.begin(h); v != Run {
				t.Errorf("%s, want run", v)
			}
			l.lose(1, func() { put(t, s, h, "") })
			if r := a.finish(h, Outcome{State: Succeeded}); r != Written {
				t.Errorf("%s, want written", r)
			}
			if _, c := stored(t, s, h); c.State != Succeeded {
				t.Errorf("the claim is %q", c)
			}
		})
		t.Run("the next turn began elsewhere", func(t *testing.T) {
			h, next := a.won(hold("next", 0, 1, 1)), hold("next", 0, 2, 2)
			l.lose(1, func() { b.won(next) })
			// It was written; but nobody can know, and the next verdict says so.
			if r := a.finish(h, Outcome{State: Retrying, Due: time.Now()}); r != Lost {
				t.Errorf("%s, want lost", r)
			}
			if v := a.begin(h); v != Stale {
				t.Errorf("%s, want stale", v)
			}
			mustWrite(t, b.finish(next, Outcome{State: Succeeded}))
		})
		t.Run("released, and begun elsewhere", func(t *testing.T) {
			h, theirs := a.won(hold("released", 0, 1, 1)), hold("released", 0, 1, 1)
			l.lose(1, func() { b.won(theirs) })
			if r := a.release(h); r != Lost {
				t.Errorf("%s, want lost", r)
			}
			mustWrite(t, b.finish(theirs, Outcome{State: Succeeded}))
		})
		t.Run("taken over", func(t *testing.T) { // the last: now a's session is over
			h, theirs := hold("taken", 0, 1, 1), hold("taken", 0, 1, 1)
			l.lose(1, func() {
				registry.leave(me)
				b.won(theirs)
			})
			if v := a.begin(h); v != Held {
				t.Errorf("%s, want held", v)
			}
			if theirs.Crashes() != 1 {
				t.Errorf("%d crashes", theirs.Crashes())
			}
			mustWrite(t, b.finish(theirs, Outcome{State: Succeeded}))
		})
	})
}

// A wire stands between a client and its server, and can swallow the replies to scripts.
type wire struct {
	addr      string // for clients
	silent    bool   // when it swallows a reply it leaves the connection open
	left      atomic.Int32
	swallowed atomic.Int32

	mu   sync.Mutex
	open []net.Conn
	all  sync.WaitGroup
}

func newWire(t *testing.T, server string, silent bool) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{addr: listener.Addr().String(), silent: silent}
	w.all.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			w.connect(client, upstream)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		w.mu.Lock()
		for _, c := range w.open {
			_ = c.Close()
		}
		w.mu.Unlock()
		w.all.Wait()
	})
	return w
}

func (w *wire) connect(client, server net.Conn) {
	w.mu.Lock()
	w.open = append(w.open, client, server)
	w.mu.Unlock()
	var deaf atomic.Bool
	w.all.Go(func() {
		pass(client, server, func(request []byte) bool {
			if bytes.Contains(request, []byte("\r\nevalsha\r\n")) && w.left.Add(-1) >= 0 {
				w.swallowed.Add(1)
				deaf.Store(true)
			}
			return true
		})
	})
	w.all.Go(func() {
		pass(server, client, func([]byte) bool {
			if !deaf.Load() {
				return true
			}
			if !w.silent {
				_ = client.Close()
			}
			return false
		})
	})
}

// pass hands bytes on while they may, until the connection ends.
func pass(from, to net.Conn, may func([]byte) bool) {
	defer to.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if may(buffer[:n]) {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
	}
}

// Over TCP, a call is applied once even if its connection breaks or hangs while the reply is under way. Pitfall 43 of
// docs/pitfalls.md.
func TestBrokenConnectionsApplyCallsOnce(t *testing.T) {
	t.Parallel()
	for name, addr := range map[string]func(*testing.T) string{
		"miniredis": func(t *testing.T) string { return miniredis.RunT(t).Addr() },
		"redis":     func(t *testing.T) string { return testenv.Redis(t) },
	} {
		for _, silent := range []bool{false, true} {
			t.Run(name+map[bool]string{false: " breaks", true: " hangs"}[silent], func(t *testing.T) {
				server := addr(t)
				w := newWire(t, server, silent)
				client := redis.NewClient(&redis.Options{
					Addr: w.addr, MaxRetries: -1, DialerRetries: 1, ReadTimeout: 50 * time.Millisecond, ContextTimeoutEnabled: true,
				})
				t.Cleanup(func() { _ = client.Close() })
				s := NewStore(client, testenv.Unique(t))
				direct := NewStore(single(t, server), s.prefix)
				var registry registry
				registry.leave(other)
				node := start(t, s, &registry, me)
				node.won(hold("first", 0, 1, 1)) // now the server has the scripts
				mustWrite(t, node.finish(node.won(hold("second", 0, 1, 1)), Outcome{State: Succeeded}))

				fresh, stolen := hold("fresh", 0, 1, 1), hold("stolen", g, n, tries)
				put(t, direct, stolen, at(Running, g, n).String())
				w.left.Store(2)
				node.won(fresh)
				w.left.Store(2)
				node.won(stolen)
				if stolen.Crashes() != 1 {
					t.Errorf("%d crashes, want 1", stolen.Crashes())
				}
				for _, h := range []*Hold{fresh, stolen} {
					w.left.Store(2)
					mustWrite(t, node.finish(h, Outcome{State: Succeeded}))
					if _, c := stored(t, direct, h); c.State != Succeeded || c.Fence != h.Fence() {
						t.Errorf("the claim is %q", c)
					}
				}
				counted(t, direct, map[string]int64{"succeeded": 3})
				if n := w.swallowed.Load(); n != 8 {
					t.Errorf("%d replies were lost, want 8", n)
				}
			})
		}
	}
}
