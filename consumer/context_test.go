package consumer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
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
			synctest.Test(t, func(t *testing.T) {
				parent, giveUp := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
				defer giveUp()
				want, cancel := context.WithTimeout(parent, time.Minute)
				defer cancel()
				got := newAttemptContext(parent, time.Now().Add(time.Minute))
				defer got.end()
				var child context.Context
				if asked {
					var stop context.CancelFunc
					child, stop = context.WithCancel(got)
					defer stop()
				}
				moment(func() { cancel(); got.end() }, giveUp)
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

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
