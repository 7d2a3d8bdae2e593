package claim

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/coord/lease"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// An oracle is a registry that answers as it is told.
type oracle struct {
	answer func(ctx context.Context, session string) (bool, error)
	asked  []string
}

func (o *oracle) Lease() *lease.Lease                        { return nil }
func (o *oracle) Wait(context.Context) (*lease.Lease, error) { return nil, errors.New("there is none") }
func (o *oracle) Alive(ctx context.Context, session string) (bool, error) {
	o.asked = append(o.asked, session)
	return o.answer(ctx, session)
}

// check runs a checker in a bubble. ask collects answers.
func check(t *testing.T, o *oracle, test func(c *checker, ask func(session string), told *[]bool), log *zap.Logger) {
	bubble.Test(t, func(t *testing.T) {
		c := newChecker(o, log)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			c.run(ctx)
		}()
		var told []bool
		test(c, func(session string) { c.ask(session, func(alive bool) { told = append(told, alive) }) }, &told)
		cancel()
		<-ended
		// It is asked as the book closes, too: nobody is taken for gone then.
		n, late := len(o.asked), 0
		c.ask("late", func(alive bool) {
			late++
			if !alive {
				t.Error("closed, it takes a session for gone")
			}
		})
		if len(o.asked) != n || late != 1 {
			t.Errorf("closed, it asks the registry %d times, and answers %d times", len(o.asked)-n, late)
		}
	})
}

func TestSessionsAreAskedForOnce(t *testing.T) {
	o := &oracle{}
	check(t, o, func(_ *checker, ask func(string), told *[]bool) {
		gate := make(chan struct{})
		o.answer = func(_ context.Context, session string) (bool, error) {
			<-gate
			return session != "gone", nil
		}
		for range 10 {
			ask("gone")
			ask("alive")
		}
		synctest.Wait()
		for range 10 {
			ask("alive")
		}
		close(gate)
		synctest.Wait()
		if len(*told) != 30 {
			t.Errorf("%d are told, want 30", len(*told))
		}
		gone := 0
		for _, alive := range *told {
			if !alive {
				gone++
			}
		}
		if gone != 10 {
			t.Errorf("%d are told that it is gone, want 10", gone)
		}
		if n := len(o.asked); n > 3 { // those who came during the question may be answered by another
			t.Errorf("the registry was asked %d times: %v", n, o.asked)
		}
	}, zap.NewNop())
}

func TestAliveHoldsForAMoment(t *testing.T) {
	o := &oracle{answer: func(context.Context, string) (bool, error) { return true, nil }}
	check(t, o, func(_ *checker, ask func(string), told *[]bool) {
		again := func() {
			ask("alive")
			synctest.Wait()
		}
		again()
		again()
		if len(o.asked) != 1 {
			t.Errorf("asked for %v", o.asked)
		}
		<-time.After(aliveFor)
		o.answer = func(context.Context, string) (bool, error) { return false, nil }
		again()
		if !slices.Equal(*told, []bool{true, true, false}) {
			t.Errorf("told %v", *told)
		}
	}, zap.NewNop())
}

// A session that was used before it could register is gone for those who read a claim of that time, and alive for those who
// read one of later: each answer is for those who waited for it. Found by the storm.
func TestGoneIsForThoseWhoWaited(t *testing.T) {
	registered := false
	o := &oracle{}
	check(t, o, func(_ *checker, ask func(string), told *[]bool) {
		gate := make(chan struct{})
		o.answer = func(context.Context, string) (bool, error) {
			answer := registered
			<-gate
			return answer, nil
		}
		ask("used first")
		synctest.Wait()
		registered = true // while the answer to the first is under way
		ask("used first")
		close(gate)
		synctest.Wait()
		ask("used first")
		synctest.Wait()
		if !slices.Equal(*told, []bool{false, true, true}) {
			t.Errorf("told %v, want that it is gone once", *told)
		}
	}, zap.NewNop())
}

func TestRegistryThatCanNotBeAsked(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	o := &oracle{answer: func(context.Context, string) (bool, error) { return false, errors.New("no quorum") }}
	check(t, o, func(_ *checker, ask func(string), told *[]bool) {
		for range 3 {
			ask("gone")
			synctest.Wait()
			<-time.After(aliveFor)
		}
		if !slices.Equal(*told, []bool{true, true, true}) {
			t.Errorf("told %v", *told)
		}
		if n := logs.FilterField(zap.String("owner", "gone")).Len(); n != 1 {
			t.Errorf("it warns %d times, want once", n)
		}
		// As soon as it answers, it counts.
		o.answer = func(context.Context, string) (bool, error) { return false, nil }
		ask("gone")
		synctest.Wait()
		if (*told)[3] {
			t.Error("the answer before holds still")
		}
	}, zap.New(core))
}

func TestRegistryThatHangs(t *testing.T) {
	o := &oracle{answer: func(ctx context.Context, _ string) (bool, error) {
		<-ctx.Done()
		return false, ctx.Err()
	}}
	check(t, o, func(_ *checker, ask func(string), told *[]bool) {
		ask("a")
		<-time.After(checkPatience)
		synctest.Wait()
		if !slices.Equal(*told, []bool{true}) {
			t.Errorf("told %v", *told)
		}
		ask("b") // is answered by the end
		synctest.Wait()
	}, zap.NewNop())
	if len(o.asked) != 2 {
		t.Errorf("asked for %v", o.asked)
	}
}

func TestAnswersAreBounded(t *testing.T) {
	o := &oracle{answer: func(context.Context, string) (bool, error) { return true, nil }}
	check(t, o, func(c *checker, ask func(string), told *[]bool) {
		for i := range 3 * mostKnown {
			ask(string(rune(i)))
		}
		synctest.Wait()
		if len(*told) != 3*mostKnown || len(c.lives) > mostKnown {
			t.Errorf("%d are told, %d remembered", len(*told), len(c.lives))
		}
	}, zap.NewNop())
}
