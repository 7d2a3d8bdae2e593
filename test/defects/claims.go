package defects

import (
	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/overlay"
)

// Of claims.

var stealFromTheLiving = Defect{
	Name:     "steal without liveness check",
	Breaks:   []history.Rule{history.DoneOnce},
	Report:   `two live sessions in one attempt`,
	Shown:    "handlers of 5 s and more; a node stops or starts, so that their partitions move to another one",
	Packages: []string{"claim"},
	Patches: []overlay.Patch{{
		File: "claim/begin.go",
		Old:  "			if alive {\n",
		New:  "			if alive && b.cfg.Members == nil {\n",
	}},
}

var finishWithoutCompare = Defect{
	Name:     "finish without compare-and-set",
	Breaks:   []history.Rule{history.ZombiesLose, history.NothingLost, history.DoneOnce},
	Shown:    "a node is paused for longer than its lease while it runs handlers that do not obey their context: what they answer is written over the claims of those who took over",
	Packages: []string{"claim"},
	Patches: []overlay.Patch{{
		File: "claim/finish.go",
		Old:  "	own := found.Owner == have.Owner && found.Fence == have.Fence\n	switch {\n",
		New:  "	own := found.Owner == have.Owner && found.Fence == have.Fence\n	switch {\n	case !own:\n		return next, true\n",
	}},
}

var doneRunsAgain = Defect{
	Name:     "a task that is done runs again",
	Breaks:   []history.Rule{history.DoneOnce},
	Report:   `a finished task starts again`,
	Shown:    "a producer that sends tasks twice, or a node that is killed",
	Packages: []string{"claim"},
	Patches: []overlay.Patch{{
		File: "claim/verdict.go",
		Old:  "	case found.State.Terminal() && found.Generation >= b.generation:\n		return Done, Claim{}, false\n	case found.State.Terminal(), ",
		New:  "	case found.State == Canceled && found.Generation >= b.generation:\n		return Done, Claim{}, false\n	case found.State.Terminal(), ",
	}},
}

var staleTurnsRun = Defect{
	Name:     "an earlier turn runs again",
	Breaks:   []history.Rule{history.NeverBack, history.DoneOnce},
	Report:   `two live sessions in one attempt|went back to`,
	Shown:    "tasks that fail; a node is killed, so that records of turns are delivered again whose successors were written",
	Packages: []string{"claim"},
	Patches: []overlay.Patch{{
		File: "claim/verdict.go",
		Old:  "	case found.after(b.generation, b.turn):\n		return Stale, Claim{}, false\n",
		New:  "	case found.after(b.generation, b.turn):\n		return Run, b.running(found, 0), true\n",
	}},
}

var fenceStands = Defect{
	Name:     "the fence does not grow",
	Breaks:   []history.Rule{history.FencesGrow},
	Report:   `fence \d+ after \d+`,
	Shown:    "tasks that fail once",
	Packages: []string{"claim"},
	Patches: []overlay.Patch{{
		File: "claim/verdict.go",
		Old:  "int64 { return max(b.clock, found.Fence+1) }\n",
		New:  "int64 {\n	if found.Fence != 0 {\n		return found.Fence\n	}\n	return b.clock\n}\n",
	}},
}

var crashCountsAsAttempt = Defect{
	Name:     "a crash counts as an attempt",
	Breaks:   []history.Rule{history.CrashIsNoFailure},
	Report:   `attempt \d+ after \d+ failures`,
	Shown:    "a node is killed while it runs tasks",
	Packages: []string{"claim"},
	Patches: []overlay.Patch{{
		File: "claim/verdict.go",
		Old:  "	if found.Crashes+1 < b.limit {\n		return Run, b.running(found, found.Crashes+1), true\n",
		New:  "	if found.Crashes+1 < b.limit {\n		next = b.running(found, found.Crashes+1)\n		next.Attempt++\n		return Run, next, true\n",
	}},
}

var innocentsArePoison = Defect{
	Name:     "innocents are poison",
	Breaks:   []history.Rule{history.NothingLost, history.Letters},
	Shown:    "all nodes are killed three times while they run the same long tasks",
	Packages: []string{"claim"},
	Patches: []overlay.Patch{{
		File: "claim/verdict.go",
		Old:  "	if found.Crashes > 0 && found.Flags&Alone == 0 {\n",
		New:  "	if found.Crashes > 0 && found.Flags&Alone == 0 && b.limit == 0 {\n",
	}},
}

var cancelForgotten = Defect{
	Name:     "a cancellation is not written",
	Breaks:   []history.Rule{history.CanceledStays},
	Shown:    "tasks are canceled that wait for their next attempt, or to come due",
	Packages: []string{"claim"},
	Patches: []overlay.Patch{{
		File: "claim/cancel.go",
		Old:  "		next.Flags &= TakenOver\n		return next, true\n",
		New:  "		next.Flags &= TakenOver\n		return next, false\n",
	}},
}
