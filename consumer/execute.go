package consumer

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/tasktier/tasktier/task"
)

// A PanicError is the failure of a handler that panicked.
type PanicError struct {
	Value any    // what it panicked with
	Stack []byte // where
}

func (e *PanicError) Error() string { return fmt.Sprintf("handler panicked: %v", e.Value) }

// Unwrap returns the value it panicked with, if that is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// errExited is the failure of a handler that ended its goroutine.
var errExited = errors.New("handler called runtime.Goexit")

// execute calls the handler once. The context ends at the attempt's timeout and when the consumer gives up its
// handlers. A handler that ended its goroutine (runtime.Goexit) takes the slot's goroutine with it: then exited is told
// on the way out, and execute does not return.
func (c *Consumer) execute(h Handler, t *turn, exited func(outcome)) (o outcome) {
	began := time.Now()
	ctx := newAttemptContext(c.handlers(t), began.Add(c.timeout(t)))
	t.run.start(ctx, began, t.token())
	returned := false
	defer func() {
		t.run.stop()
		ctx.end(nil)
		switch v := recover(); {
		case v != nil:
			o = c.verdict(t, &PanicError{Value: v, Stack: debug.Stack()})
		case !returned:
			exited(c.verdict(t, errExited))
		}
	}()
	err := h(task.NewRunContext(ctx, &t.task, t), &t.task)
	if err != nil {
		_ = err.Error() // a nil pointer in the interface panics here, where it is one task's failure
	}
	returned = true
	return c.verdict(t, err)
}

// verdict judges a handler's answer, however it gave it. Once a handler was told to give up, a failure is none.
func (c *Consumer) verdict(t *turn, err error) outcome {
	switch {
	case err == nil:
		return outcome{kind: succeeds}
	case t.hold != nil && t.hold.Canceled():
		if _, permanent := task.Word(err).(*task.PermanentError); !permanent { //nolint:errorlint // Word has unwrapped it
			return outcome{kind: cancels}
		}
	case c.handling.Err() != nil, t.hold != nil && t.hold.Over(), t.slotLost(), t.run.interrupted() != nil:
		return outcome{kind: abandoned}
	}
	return c.judge(t, err)
}

// timeout is the time that an attempt of this task has: what the task asks for within the type's or the queue's limit,
// else that limit.
func (c *Consumer) timeout(t *turn) time.Duration {
	limit := t.part.queue.Timeout
	if typ, ok := c.cfg.Types[t.task.Type]; ok && typ.Timeout > 0 {
		limit = typ.Timeout
	}
	if asked := t.task.Timeout; asked > 0 && asked < limit {
		return asked
	}
	return limit
}
