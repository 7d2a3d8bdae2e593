package claim

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
)

// announcing runs an announcer; the function returned ends it.
func announcing(t *testing.T, a *Announcer) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := await(t, ended); err != nil {
			t.Error(err)
		}
	}
}

func sent(id string, more ...task.Option) *task.Task {
	t := task.New("mail send", []byte("payload"), append(more, task.ID(id), task.Queue("q"), task.Source("s"))...)
	return t
}

// A task that was sent is pending, or scheduled until its time; one that is known already is left alone.
func TestAnnounce(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, s *Store) {
		due := time.Now().Add(time.Hour + 300*time.Microsecond)
		before := Claim{State: Succeeded, Turn: 1, Attempt: 1, Owner: "o", Type: "mail send"}
		put(t, s, hold("known", 0, 1, 1), before.String())
		a := NewAnnouncer(s, map[string]Window{"q": {Chosen: 2 * time.Hour}})
		stop := announcing(t, a)
		a.Sent(sent("now"))
		a.Sent(sent("later", task.At(due)))
		a.Sent(sent("past", task.In(-time.Minute)))
		a.Sent(sent("known"))
		stop() // and before that all is written

		for _, want := range []struct {
			id    string
			state task.State
			flags Flags
			at    time.Time
			kept  time.Duration
		}{
			{"now", task.Pending, 0, time.Now(), 2 * time.Hour},
			{"past", task.Pending, 0, time.Now(), 2 * time.Hour},
			{"later", task.Scheduled, Delayed, due, 3 * time.Hour},
		} {
			h := hold(want.id, 0, 1, 1)
			text, c := stored(t, s, h)
			if c.TaskState(time.Now()) != want.state || c.Flags != want.flags || c.Type != "mail send" || c.Generation != 0 || c.Turn != 1 || c.Attempt != 1 {
				t.Errorf("%s: announced as %q", want.id, text)
			}
			if d := want.at.Sub(c.Time()).Abs(); d > patience {
				t.Errorf("%s: at %v, want %v", want.id, c.Time(), want.at)
			}
			if d := kept(t, s, h.identity()); d > want.kept+time.Second || d < want.kept-patience {
				t.Errorf("%s: kept for %v, want %v", want.id, d, want.kept)
			}
		}
		if _, c := stored(t, s, hold("later", 0, 1, 1)); c.Time().Before(due) {
			t.Errorf("announced for %v, before %v", c.Time(), due)
		}
		if _, c := stored(t, s, hold("known", 0, 1, 1)); c != before {
			t.Errorf("the known one was overwritten: %v", c)
		}
		if a.Written() != 4 || a.Dropped() != 0 {
			t.Errorf("%d written, %d dropped", a.Written(), a.Dropped())
		}
		list, err := s.List(within(t, patience), Filter{Queue: "q", State: task.Scheduled})
		if err != nil || len(list.Entries) != 1 || list.Entries[0].ID != "later" {
			t.Errorf("scheduled are %+v (%v)", list, err)
		}
	})
}

// An announcement is out of nobody's way: the first turn begins over it in the same call as over nothing.
func TestAnnouncedTaskBegins(t *testing.T) {
	onEach(t, func(t *testing.T, s *Store) {
		a := NewAnnouncer(s, nil)
		stop := announcing(t, a)
		a.Sent(sent("now"))
		a.Sent(sent("later", task.In(time.Hour)))
		stop()
		n := start(t, s, &registry{}, "me")
		before := s.Calls()
		n.won(hold("now", 0, 1, 1))
		n.won(hold("later", 0, 1, 1))
		// A cluster's servers are taught the script first.
		if calls := s.Calls() - before; calls != 2 && !s.cluster {
			t.Errorf("%d calls for two tasks", calls)
		}
	})
}

// More than a call takes, in batches.
func TestAnnounceInBatches(t *testing.T) {
	s := storeAt(t, testenv.Redis(t), testenv.Unique(t))
	a := NewAnnouncer(s, nil)
	const n = 3*maxBatch + 1
	for i := range n {
		a.Sent(sent(fmt.Sprint(i)))
	}
	announcing(t, a)()
	if calls := s.Calls(); calls != 4 || a.Written() != n {
		t.Errorf("%d of %d written in %d calls", a.Written(), n, calls)
	}
}

// What is too much is dropped and counted; nobody waits.
func TestAnnounceDropsWhatIsTooMuch(t *testing.T) {
	a := NewAnnouncer(onMiniredis(t), nil) // not running
	for i := range mostAnnounced + 3 {
		a.Sent(sent(fmt.Sprint(i)))
	}
	if a.Dropped() != 3 {
		t.Errorf("%d dropped", a.Dropped())
	}
}

// While Redis is away announcements are dropped; when it is back, the next ones are written.
func TestAnnounceWhileRedisIsAway(t *testing.T) {
	server := testenv.StartRedis(t)
	s := storeAt(t, server.Addr(), "")
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	a := NewAnnouncer(s, nil)
	stop := announcing(t, a)
	a.Sent(sent("lost"))
	eventually(t, "the announcement is dropped", func() bool { return a.Dropped() == 1 })
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	a.Sent(sent("kept"))
	stop()
	if a.Written() != 1 || a.Dropped() != 1 {
		t.Errorf("%d written, %d dropped", a.Written(), a.Dropped())
	}
	if _, c := stored(t, s, hold("kept", 0, 1, 1)); c.State != Pending {
		t.Errorf("claim %v", c)
	}
}

// A Redis that hangs holds the end up for no more than a moment.
func TestAnnounceEndsWhileRedisHangs(t *testing.T) {
	t.Parallel()
	server := testenv.StartRedis(t)
	s := storeAt(t, server.Addr(), "")
	a := NewAnnouncer(s, nil)
	stop := announcing(t, a)
	a.Sent(sent("first"))
	eventually(t, "the first is written", func() bool { return a.Written() == 1 })
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	for i := range 2 * maxBatch {
		a.Sent(sent(fmt.Sprint(i)))
	}
	began := time.Now()
	stop()
	if took := time.Since(began); took > hintPatience+2*time.Second {
		t.Errorf("it took %v to end", took)
	}
	if a.Dropped() != 2*maxBatch {
		t.Errorf("%d dropped", a.Dropped())
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
}
