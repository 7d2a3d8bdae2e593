package handler

import (
	"context"

	"github.com/tasktier/tasktier/task"
)

// keep makes data, what was answered on a success, the task's result. Nothing is none, and neither is what is longer
// than a result may be: the work is done, and half of what it said could be taken for all.
func keep(ctx context.Context, data []byte) {
	if len(data) > 0 {
		task.Result(ctx, data) //nolint:errcheck // its only error is that data is too long
	}
}

// A whole keeps all that is written to it, or nothing once that exceeds [task.MaxResult]. It takes any amount.
type whole struct {
	buf  []byte
	over bool
}

func (w *whole) Write(p []byte) (int, error) {
	if w.over || len(p) > task.MaxResult-len(w.buf) {
		w.over, w.buf = true, nil
		return len(p), nil
	}
	w.buf = append(w.buf, p...)
	return len(p), nil
}
