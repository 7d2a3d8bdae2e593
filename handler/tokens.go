package handler

import (
	"context"

	"github.com/tasktier/tasktier/task"
)

// tokens are the fencing tokens of a run, each 0 if there is none.
type tokens struct{ fence, slot int64 }

func tokensOf(ctx context.Context) tokens {
	slot, _ := task.Slot(ctx)
	return tokens{task.Fence(ctx), slot}
}
