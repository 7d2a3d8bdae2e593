package consumer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tasktier/tasktier/internal/testenv/bubble"
)

// The lazy context answers as the one of context.WithTimeout does, at every moment, whether it was asked before or not.
func TestAttemptContextIsAContext(t *testing.T) {
	type key struct{}
	moments := map[string]func(end, parent func()){
		"at first":              func(_, _ func()) {},
		"when it is over":       func(end, _ func()) { end() },
		"past its time":         func(_, _ func()) { time.Sleep(time.Minute) },
		"when all are given up": func(_, parent func()) { parent() },
		"given up, then over":   func(end, parent func()) { parent(); end() },
	}
	for name, moment := range moments {
		for _, asked := range []bool{false, true} {
			bubble.Test(t, func(t *testing.T) {
				parent, giveUp := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
				defer giveUp()
				want, cancel := context.WithTimeout(parent, time.Minute)
				defer cancel()
				got := newAttemptContext(parent, time.Now().Add(time.Minute))
				defer got.end(nil)
				var child context.Context
				if asked {
					var stop context.CancelFunc
					child, stop = context.WithCancel(got)
					defer stop()
				}
				moment(func() { cancel(); got.end(nil) }, giveUp)
				synctest.Wait()
				if !errors.Is(got.Err(), want.Err()) {
					t.Errorf("%s, asked before %t: error %v, want %v", name, asked, got.Err(), want.Err())
				}
				if g, w := isDone(got.Done()), isDone(want.Done()); g != w {
					t.Errorf("%s, asked before %t: done %t, want %t", name, asked, g, w)
				}
				if child != nil && !errors.Is(child.Err(), want.Err()) {
					t.Errorf("%s: its child's error is %v, want %v", name, child.Err(), want.Err())
				}
				if g, w := context.Cause(got), context.Cause(want); !errors.Is(g, w) {
					t.Errorf("%s: cause %v, want %v", name, g, w)
				}
				g, _ := got.Deadline()
				if w, _ := want.Deadline(); !g.Equal(w) || got.Value(key{}) != "value" {
					t.Errorf("%s: deadline %v, want %v; value %v", name, g, w, got.Value(key{}))
				}
			})
		}
	}
}

// Why a handler is told to stop can be read off its context, whether somebody waits for it already or not.
func TestAttemptContextSaysWhyItEnded(t *testing.T) {
	why := errors.New("why")
	for _, asked := range []bool{false, true} {
		ctx := newAttemptContext(t.Context(), time.Now().Add(time.Minute))
		if asked {
			ctx.Done()
		}
		ctx.end(why)
		ctx.end(errors.New("later"))
		<-ctx.Done()
		if got := context.Cause(ctx); !errors.Is(got, why) || !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("asked before %t: cause %v, error %v", asked, got, ctx.Err())
		}
	}
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
