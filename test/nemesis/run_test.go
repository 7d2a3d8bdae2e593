package nemesis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/test/nemesis"
)

// A patient is a process that notes what is done to it.
type patient struct {
	mu       sync.Mutex
	done     []string
	fails    map[string]error
	from     time.Time
	unharmed bool
}

func (p *patient) do(what string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = append(p.done, fmt.Sprintf("%s %s", time.Since(p.from), what))
	p.unharmed = what == "start" || what == "resume"
	return p.fails[what]
}

func (p *patient) Start() error  { return p.do("start") }
func (p *patient) Kill() error   { return p.do("kill") }
func (p *patient) Stop() error   { return p.do("stop") }
func (p *patient) Pause() error  { return p.do("pause") }
func (p *patient) Resume() error { return p.do("resume") }

func newVictim(name string) (*nemesis.Victim, *patient) {
	p := &patient{from: time.Now(), unharmed: true}
	return &nemesis.Victim{Name: name, Class: nemesis.Node, Process: p}, p
}

func once(after, lasts time.Duration, f nemesis.Fault) nemesis.Step {
	return nemesis.Step{After: after, Fault: f, Lasts: lasts}
}

// A witness keeps what a runner tells.
type witness struct{ events []string }

func (w *witness) tell(e nemesis.Event) {
	w.events = append(w.events, fmt.Sprintf("%d %s %s: %s", e.Number, e.Phase, e.Whom, e.Fault))
}

func TestRunnerFollowsThePlan(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		one, a := newVictim("node-1")
		two, b := newVictim("node-2")
		var w witness
		settled := 0
		r := nemesis.Runner{Tell: w.tell, Settle: func(context.Context) error { settled++; return nil }}
		start := time.Now()
		must(t, r.Run(t.Context(), nemesis.Plan{Rounds: []nemesis.Round{
			{Calm: 10 * time.Second, Steps: []nemesis.Step{
				once(0, 3*time.Second, nemesis.Killed(one, nemesis.Span{})),
				once(time.Second, 5*time.Second, nemesis.Paused(two, nemesis.Span{})),
			}},
			{Calm: time.Second, Steps: []nemesis.Step{once(0, time.Second, nemesis.Stopped(one, nemesis.Span{}))}},
		}}))
		if want := []string{"0s kill", "3s start", "16s stop", "17s start"}; !slices.Equal(a.done, want) {
			t.Errorf("the first suffered %q, want %q", a.done, want)
		}
		if want := []string{"1s pause", "6s resume"}; !slices.Equal(b.done, want) {
			t.Errorf("the second suffered %q, want %q", b.done, want)
		}
		want := []string{
			"1 begun node-1: node-1 killed", "2 begun node-2: node-2 paused", "1 mended node-1: node-1 killed",
			"2 mended node-2: node-2 paused", "3 begun node-1: node-1 stopped", "3 mended node-1: node-1 stopped",
		}
		if !slices.Equal(w.events, want) {
			t.Errorf("it told %q, want %q", w.events, want)
		}
		if d := time.Since(start); d != 18*time.Second || settled != 2 {
			t.Errorf("it took %s and settled %d times", d, settled)
		}
	})
}

func TestRunnerMendsOnCancel(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		one, a := newVictim("node-1")
		two, b := newVictim("node-2")
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		err := (&nemesis.Runner{}).Run(ctx, nemesis.Plan{Rounds: []nemesis.Round{
			{Steps: []nemesis.Step{
				once(0, time.Hour, nemesis.Killed(one, nemesis.Span{})),
				once(time.Hour, time.Hour, nemesis.Paused(two, nemesis.Span{})),
			}},
			{Steps: []nemesis.Step{once(0, time.Hour, nemesis.Stopped(one, nemesis.Span{}))}},
		}})
		if err != nil {
			t.Errorf("a run that was ended says %v", err)
		}
		if want := []string{"0s kill", "2s start"}; !slices.Equal(a.done, want) {
			t.Errorf("the first suffered %q, want %q", a.done, want)
		}
		if len(b.done) != 0 {
			t.Errorf("the second suffered %q, want nothing", b.done)
		}
	})
}

// TestMendingOutlivesTheRun ends a run while a fault lasts that takes its time, and its context, to mend.
func TestMendingOutlivesTheRun(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		mended := false
		slow := nemesis.Fault{Name: "slow", Target: "it", Hit: func(context.Context) (nemesis.Wound, error) {
			return nemesis.Wound{Mend: func(ctx context.Context) error {
				select {
				case <-time.After(time.Minute):
					mended = true
				case <-ctx.Done():
				}
				return ctx.Err()
			}}, nil
		}}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		must(t, (&nemesis.Runner{}).Run(ctx, nemesis.Plan{Rounds: []nemesis.Round{{Steps: []nemesis.Step{once(0, time.Hour, slow)}}}}))
		if !mended {
			t.Error("the run ended before all was mended")
		}
	})
}

var errBroken = errors.New("broken")

func TestRunnerMendsAfterAnError(t *testing.T) {
	for _, when := range []string{"kill", "start"} { // at its begin, and at its end
		bubble.Test(t, func(t *testing.T) {
			one, a := newVictim("node-1")
			two, b := newVictim("node-2")
			b.fails = map[string]error{when: errBroken}
			var w witness
			err := (&nemesis.Runner{Tell: w.tell}).Run(t.Context(), nemesis.Plan{Seed: 5, Rounds: []nemesis.Round{
				{Steps: []nemesis.Step{
					once(0, time.Hour, nemesis.Paused(one, nemesis.Span{})),
					once(time.Second, time.Second, nemesis.Killed(two, nemesis.Span{})),
				}},
				{Steps: []nemesis.Step{once(0, time.Hour, nemesis.Stopped(one, nemesis.Span{}))}},
			}})
			if !errors.Is(err, errBroken) {
				t.Errorf("the run says %v", err)
			}
			if !a.unharmed || len(a.done) != 2 {
				t.Errorf("the first suffered %q, and nobody mended it", a.done)
			}
			if last := b.done[len(b.done)-1]; last[3:] != "start" {
				t.Errorf("the second suffered %q, and nobody mended it", b.done)
			}
			if !slices.Contains(w.events, "2 failed node-2: node-2 killed") {
				t.Errorf("it told %q", w.events)
			}
		})
	}
}

// TestRoleThatIsHitAlready gives a role to a process that another fault has.
func TestRoleThatIsHitAlready(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		one, a := newVictim("node-1")
		leader := nemesis.RolePaused("leader", nemesis.Node, nemesis.Only(one), nemesis.Span{})
		var w witness
		must(t, (&nemesis.Runner{Tell: w.tell}).Run(t.Context(), nemesis.Plan{Rounds: []nemesis.Round{{Steps: []nemesis.Step{
			once(0, 3*time.Second, nemesis.Killed(one, nemesis.Span{})),
			once(time.Second, time.Second, leader),
		}}, {Steps: []nemesis.Step{once(0, time.Second, leader)}}}}))
		want := []string{
			"1 begun node-1: node-1 killed", "2 skipped leader: leader paused", "1 mended node-1: node-1 killed",
			"3 begun node-1: leader paused", "3 mended node-1: leader paused",
		}
		if !slices.Equal(w.events, want) {
			t.Errorf("it told %q, want %q", w.events, want)
		}
		if want := []string{"0s kill", "3s start", "3s pause", "4s resume"}; !slices.Equal(a.done, want) {
			t.Errorf("it suffered %q, want %q", a.done, want)
		}
	})
}
