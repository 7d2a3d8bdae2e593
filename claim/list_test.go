package claim

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
	"pgregory.net/rapid"
)

// listening waits until so many nodes hear what is said to all.
func listening(t testing.TB, s *Store, nodes int64) {
	t.Helper()
	eventually(t, "the nodes listen", func() bool {
		var heard int64
		count := func(client redis.UniversalClient) {
			subs, err := client.PubSubNumSub(t.Context(), s.controlChannel()).Result()
			if err != nil {
				t.Error(err)
			}
			heard += subs[s.controlChannel()]
		}
		if s.cluster {
			for _, addr := range testenv.RedisCluster(t) {
				client := redis.NewClient(&redis.Options{Addr: addr})
				count(client)
				_ = client.Close()
			}
		} else {
			count(s.client)
		}
		return heard == nodes
	})
}

// indexed makes Redis show a claim and mark it.
func indexed(t testing.TB, s *Store, id string, c Claim) {
	t.Helper()
	showClaim(t, s, named(id), c)
	if err := s.mark(t.Context(), []mark{{named(id), c.TaskState(time.Now()), c.At}}); err != nil {
		t.Fatal(err)
	}
}

func idsOf(entries []Entry) []string {
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.ID
	}
	return ids
}

// marked are the members of an index, by score.
func marked(t testing.TB, s *Store, state task.State) []string {
	t.Helper()
	members, err := s.client.ZRange(t.Context(), s.indexKey("q", state), 0, -1).Result()
	if err != nil {
		t.Fatal(err)
	}
	return members
}

func TestListIndexes(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store) {
		now := time.Now()
		at := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
		indexed(t, s, "retry-2", Claim{State: Retrying, Turn: 2, Attempt: 2, At: at(2 * time.Minute), Type: "a"})
		indexed(t, s, "retry-1", Claim{State: Retrying, Turn: 3, Attempt: 2, At: at(time.Minute), Type: "b"})
		indexed(t, s, "later", Claim{State: Pending, Turn: 1, Attempt: 1, Flags: Delayed, At: at(time.Hour), Type: "a"})
		indexed(t, s, "dead-1", Claim{State: Dead, Turn: 1, Attempt: 1, At: at(-time.Hour), Type: "a"})
		indexed(t, s, "dead-2", Claim{State: Dead, Turn: 1, Attempt: 1, At: at(-time.Minute), Type: "b"})
		other := Identity{Queue: "other", Source: "s", ID: "elsewhere"}
		if err := s.mark(t.Context(), []mark{{other, task.Dead, at(0)}}); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			name string
			f    Filter
			want []string
		}{
			{"all", Filter{}, []string{"retry-1", "retry-2", "later", "dead-2", "dead-1"}},
			{"retrying", Filter{State: task.Retrying}, []string{"retry-1", "retry-2"}},
			{"scheduled", Filter{State: task.Scheduled}, []string{"later"}},
			{"dead", Filter{State: task.Dead}, []string{"dead-2", "dead-1"}},
			{"running", Filter{State: task.Running}, nil},
			{"succeeded", Filter{State: task.Succeeded}, nil},
			{"a type", Filter{Type: "a"}, []string{"retry-2", "later", "dead-1"}},
			{"since", Filter{Since: now.Add(-time.Minute - time.Second)}, []string{"retry-1", "retry-2", "later", "dead-2"}},
			{"limit", Filter{Limit: 2}, []string{"retry-1", "retry-2"}},
			{"limit and type", Filter{State: task.Dead, Type: "a", Limit: 1}, []string{"dead-1"}},
		} {
			tt.f.Queue = "q"
			got, err := s.List(within(t, patience), tt.f)
			if err != nil || !slices.Equal(idsOf(got.Entries), tt.want) || got.Silent != 0 || got.Full != nil {
				t.Errorf("%s: got %v, %+v (%v), want %v", tt.name, idsOf(got.Entries), got, err, tt.want)
			}
		}
		got, err := s.List(within(t, patience), Filter{Queue: "q", State: task.Retrying, Limit: 1})
		want := Entry{Queue: "q", Source: "s", ID: "retry-1", Type: "b", State: task.Retrying, Turn: 3, Attempt: 2, At: time.UnixMilli(at(time.Minute))}
		if err != nil || len(got.Entries) != 1 || got.Entries[0] != want {
			t.Errorf("got %+v (%v), want %+v", got.Entries, err, want)
		}
	})
}

// Pending tasks are in Kafka: to say that there are none would be wrong.
func TestListRefusesWhatItCanNotKnow(t *testing.T) {
	for _, state := range []task.State{task.Pending, "asleep"} {
		if _, err := onMiniredis(t).List(within(t, patience), Filter{Queue: "q", State: state}); !errors.Is(err, ErrNotListed) {
			t.Errorf("%s: %v", state, err)
		}
	}
}

// An index is a hint. What the claims don't confirm is not listed, and removed.
func TestListMendsItsIndexes(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		due := time.Now().Add(time.Hour).UnixMilli()
		retrying := Claim{State: Retrying, Turn: 2, Attempt: 2, At: due}
		for id, claim := range map[string]string{
			"right":     retrying.String(),
			"new":       "2r of a later version",
			"running":   Claim{State: Running, Turn: 2, Attempt: 2, At: due}.String(),
			"succeeded": Claim{State: Succeeded, Turn: 2, Attempt: 2, At: due}.String(),
			"forgotten": "",
		} {
			indexed(t, s, id, retrying)
			put(t, s, hold(id, 0, 1, 1), claim)
		}
		if err := s.client.ZAdd(t.Context(), s.indexKey("q", task.Retrying), redis.Z{Score: 1, Member: "no member"}).Err(); err != nil {
			t.Fatal(err)
		}
		got, err := s.List(within(t, patience), Filter{Queue: "q", State: task.Retrying})
		if err != nil || !slices.Equal(idsOf(got.Entries), []string{"right"}) {
			t.Errorf("got %v (%v)", idsOf(got.Entries), err)
		}
		if got, want := marked(t, s, task.Retrying), []string{"1:snew", "1:sright"}; !slices.Equal(got, want) {
			t.Errorf("the index has %v, want %v", got, want)
		}
	})
}

// A task that fails again while a list looks at the claim of its last turn must not be removed.
func TestForgetLeavesWhatWasMarkedAnew(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		ctx, key := t.Context(), s.indexKey("q", task.Retrying)
		at := time.Now().UnixMilli()
		if err := s.mark(ctx, []mark{{named("again"), task.Retrying, at}, {named("gone"), task.Retrying, at}}); err != nil {
			t.Fatal(err)
		}
		seen, err := s.client.ZRangeWithScores(ctx, key, 0, -1).Result()
		if err != nil {
			t.Fatal(err)
		}
		if err := s.mark(ctx, []mark{{named("again"), task.Retrying, at + 1}}); err != nil {
			t.Fatal(err)
		}
		if err := s.forget(ctx, key, seen); err != nil {
			t.Fatal(err)
		}
		if got := marked(t, s, task.Retrying); !slices.Equal(got, []string{"1:sagain"}) {
			t.Errorf("the index has %v", got)
		}
	})
}

// An index that is full drops its earliest entries, and a list made from it says that there may be more tasks. Pitfall
// 48 of docs/pitfalls.md.
func TestListOfAFullIndexIsMarkedIncomplete(t *testing.T) {
	t.Parallel()
	s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
	now := time.Now().UnixMilli()
	var marks []mark
	for i := range indexLimit + 5 {
		marks = append(marks, mark{named(fmt.Sprint(i)), task.Dead, now - int64(i)})
	}
	if err := s.mark(t.Context(), marks); err != nil {
		t.Fatal(err)
	}
	members := marked(t, s, task.Dead)
	if len(members) != indexLimit || members[0] != fmt.Sprintf("1:s%d", indexLimit-1) {
		t.Errorf("%d members from %s on", len(members), members[0])
	}
	got, err := s.List(within(t, patience), Filter{Queue: "q"})
	if err != nil || !slices.Equal(got.Full, []task.State{task.Dead}) {
		t.Errorf("full are %v (%v)", got.Full, err)
	}
	// None of them had a claim.
	if left := marked(t, s, task.Dead); len(left) != 0 {
		t.Errorf("%d stale members are left", len(left))
	}
}

// A page of stale members does not end the search.
func TestListLooksPastStaleMembers(t *testing.T) {
	s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
	var marks []mark
	for i := range maxBatch + 10 {
		marks = append(marks, mark{named(fmt.Sprint(i)), task.Retrying, int64(i)})
	}
	if err := s.mark(t.Context(), marks); err != nil {
		t.Fatal(err)
	}
	indexed(t, s, "last", Claim{State: Retrying, Turn: 2, Attempt: 2, At: time.Now().UnixMilli()})
	got, err := s.List(within(t, patience), Filter{Queue: "q", State: task.Retrying, Limit: 5})
	if err != nil || !slices.Equal(idsOf(got.Entries), []string{"last"}) {
		t.Errorf("got %v (%v)", idsOf(got.Entries), err)
	}
}

// The nodes say what runs and what has ended; those that fail and die are in the indexes, which tasks that succeed at once
// never touch.
// It is not parallel, as nodes have a second to answer.
func TestListAsksTheNodes(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		r := &registry{}
		one, two := start(t, s, r, "one"), start(t, s, r, "two")
		listening(t, s, 2)
		succeeds, runs, dies, fails, released := hold("succeeds", 0, 1, 1), hold("runs", 0, 1, 1), hold("dies", 0, 1, 1), hold("fails", 0, 1, 1), hold("released", 0, 1, 1)
		one.won(succeeds)
		two.won(runs)
		two.won(dies)
		one.won(fails)
		one.won(released)
		one.finish(succeeds, Outcome{State: Succeeded})
		if keys, err := s.client.Exists(t.Context(), s.indexKey("q", task.Retrying), s.indexKey("q", task.Dead)).Result(); !s.cluster && (err != nil || keys != 0) {
			t.Errorf("%d indexes (%v)", keys, err)
		}
		two.finish(dies, Outcome{State: Dying})
		two.finish(dies, Outcome{State: Dead})
		one.finish(fails, Outcome{State: Retrying, Due: time.Now().Add(time.Minute)})
		one.release(released)
		eventually(t, "the marks are written", func() bool {
			return len(marked(t, s, task.Retrying)) == 1 && len(marked(t, s, task.Dead)) == 1
		})

		fastest := patience
		list := func(f Filter) []string {
			t.Helper()
			f.Queue = "q"
			began := time.Now()
			got, err := s.List(within(t, patience), f)
			if f.State == task.Running {
				fastest = min(fastest, time.Since(began))
			}
			if err != nil || got.Silent != 0 {
				t.Fatalf("%+v (%v)", got, err)
			}
			return idsOf(got.Entries)
		}
		for _, tt := range []struct {
			f    Filter
			want []string
		}{
			{Filter{}, []string{"runs", "fails", "dies", "succeeds"}},
			{Filter{State: task.Running}, []string{"runs"}},
			{Filter{State: task.Succeeded}, []string{"succeeds"}},
			{Filter{State: task.Dead}, []string{"dies"}},
			{Filter{State: task.Canceled}, []string{}},
			{Filter{Type: "other"}, []string{}},
			{Filter{State: task.Canceled, Since: time.Now().Add(-time.Hour)}, []string{}},
			{Filter{Since: time.Now().Add(time.Minute)}, []string{"fails"}},
		} {
			if got := list(tt.f); !slices.Equal(got, tt.want) {
				t.Errorf("%+v: got %v, want %v", tt.f, got, tt.want)
			}
		}
		if !s.cluster && fastest >= askPatience {
			t.Errorf("all have answered, and it took %v", fastest)
		}
		if got, err := s.List(within(t, patience), Filter{Queue: "other"}); err != nil || len(got.Entries) != 0 {
			t.Errorf("another queue: %+v (%v)", got, err)
		}
		got, err := s.List(within(t, patience), Filter{Queue: "q", State: task.Running})
		if err != nil || got.Entries[0].Owner != "two" || !about(time.Since(got.Entries[0].At), patience) {
			t.Errorf("got %+v (%v)", got.Entries, err)
		}
		two.finish(runs, Outcome{State: Succeeded})
		if got := list(Filter{State: task.Succeeded}); !slices.Equal(got, []string{"runs", "succeeds"}) {
			t.Errorf("then got %v", got)
		}
	})
}

// A node that does not answer is counted, and waited for no longer than a second.
func TestListCountsSilentNodes(t *testing.T) {
	s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
	n := start(t, s, &registry{}, "me")
	n.won(hold("runs", 0, 1, 1))
	deaf := s.client.Subscribe(t.Context(), s.controlChannel())
	defer deaf.Close()
	listening(t, s, 2)
	began := time.Now()
	got, err := s.List(within(t, patience), Filter{Queue: "q", State: task.Running})
	if err != nil || got.Silent != 1 || !slices.Equal(idsOf(got.Entries), []string{"runs"}) {
		t.Errorf("got %+v (%v)", got, err)
	}
	if took := time.Since(began); took < askPatience || took > patience {
		t.Errorf("it took %v", took)
	}
}

// A node keeps its marks while Redis is away, up to a limit, and says how many it had to drop.
func TestMarksOutlastRedis(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	s := storeAt(t, server.Addr(), "")
	n := start(t, s, &registry{}, "me")
	h := n.won(hold("1", 0, 1, 1))
	n.finish(h, Outcome{State: Retrying, Due: time.Now().Add(time.Minute)})
	eventually(t, "the mark is written", func() bool { return len(marked(t, s, task.Retrying)) == 1 })
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	due := time.Now().UnixMilli()
	n.marker.box.put(mark{named("first"), task.Retrying, due})
	eventually(t, "the writer has it", func() bool {
		n.marker.box.mu.Lock()
		defer n.marker.box.mu.Unlock()
		return len(n.marker.box.waiting) == 0
	})
	for i := range mostMarked + 2 {
		n.marker.box.put(mark{named(fmt.Sprint(i)), task.Retrying, due})
	}
	if got := n.Stats().Unlisted; got != 2 {
		t.Errorf("%d unlisted", got)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the index is full", func() bool { return len(marked(t, s, task.Retrying)) == indexLimit })
}

// What waits when a node stops is written.
func TestMarksAreWrittenAtTheEnd(t *testing.T) {
	s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
	n := start(t, s, &registry{}, "me")
	var answers []chan Result
	const many = 50
	for i := range many {
		h := n.won(hold(fmt.Sprint(i), 0, 1, 1))
		done := make(chan Result, 1)
		answers = append(answers, done)
		n.Finish(h, Outcome{State: Retrying, Due: time.Now().Add(time.Minute)}, func(r Result) { done <- r })
	}
	n.stop()
	for _, done := range answers {
		if r := await(t, done); r != Written {
			t.Fatal(r)
		}
	}
	if got := len(marked(t, s, task.Retrying)); got != many {
		t.Errorf("%d of %d marked", got, many)
	}
}

func TestMemberNamesAnIdentity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := Identity{"q", rapid.String().Draw(t, "source"), rapid.String().Draw(t, "id")}
		if got, ok := identity("q", member(id)); !ok || got != id {
			t.Fatalf("%q reads %q", member(id), got)
		}
	})
	for _, bad := range []string{"", "x", ":", "5:abc", "-1:abc", "x:abc"} {
		if id, ok := identity("q", bad); ok {
			t.Errorf("%q reads %q", bad, id)
		}
	}
}

// Of several sightings of one task the latest turn counts.
func TestLatest(t *testing.T) {
	now := time.Now()
	e := func(g, n int, state task.State, at time.Duration) Entry {
		return Entry{Queue: "q", Source: "s", ID: "1", Generation: g, Turn: n, State: state, At: now.Add(at)}
	}
	for name, pair := range map[string][2]Entry{ // the second is later
		"replayed":               {e(0, 3, task.Dead, 0), e(1, 1, task.Running, -time.Hour)},
		"failed, then succeeded": {e(0, 1, task.Retrying, 0), e(0, 2, task.Succeeded, 0)},
		"failed meanwhile":       {e(0, 1, task.Running, 0), e(0, 2, task.Retrying, -time.Hour)},
		"runs its retry":         {e(0, 2, task.Retrying, 0), e(0, 2, task.Running, 0)},
		"ended meanwhile":        {e(0, 1, task.Running, 0), e(0, 1, task.Succeeded, -time.Hour)},
		"taken over":             {e(0, 1, task.Running, 0), e(0, 1, task.Running, time.Second)},
	} {
		for _, order := range [][]Entry{{pair[0], pair[1]}, {pair[1], pair[0]}} {
			if got := latest(order); len(got) != 1 || got[0] != pair[1] {
				t.Errorf("%s: got %+v", name, got)
			}
		}
	}
	other := e(0, 1, task.Running, 0)
	other.Source = "elsewhere"
	if got := latest([]Entry{e(0, 1, task.Running, 0)}, []Entry{other}); len(got) != 2 {
		t.Errorf("tasks of two sources became %+v", got)
	}
}

// A task that succeeds costs no call for the sake of those who look, and no memory.
func TestNoteOfASuccessIsFree(t *testing.T) {
	b := &Book{}
	h := hold("1", 0, 1, 1)
	h.have = Claim{State: Succeeded, Turn: 1, Attempt: 1}
	if n := testing.AllocsPerRun(1000, func() { b.note(h) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
