package defects

import (
	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/overlay"
)

// Of the order of effects, and of offsets.

var offsetBeforeHandler = Defect{
	Name:     "offset before the handler",
	Breaks:   []history.Rule{history.Offsets, history.NothingLost},
	Report:   `has committed job-\d+`,
	Shown:    "handlers of a second and more; at the latest when a node is killed",
	Packages: []string{"consumer"},
	Patches: []overlay.Patch{{
		File: "consumer/attempt.go",
		Old:  "	q.count.started.Add(1)\n",
		New: `	q.count.started.Add(1)
	t.part.mu.Lock()
	if !t.part.forgotten && !t.moved {
		t.moved = true // nobody completes it again
		t.part.tracker.Finish(t.place)
	}
	t.part.mu.Unlock()
`,
	}},
}

var offsetBeforeFinish = Defect{
	Name:     "offset before the finish",
	Breaks:   []history.Rule{history.NothingLost},
	Shown:    "a node is killed while Redis is away from it, which it finishes tasks without: their claims say running for good",
	Packages: []string{"consumer"},
	Patches: []overlay.Patch{{
		File: "consumer/attempt.go",
		Old:  "		c.book.Finish(t.hold, claim.Outcome{State: claim.Succeeded, Details: t.saying()}, t.succeeded)\n		return\n",
		New:  "		c.book.Finish(t.hold, claim.Outcome{State: claim.Succeeded, Details: t.saying()}, func(claim.Result) {})\n",
	}},
}

var watermarkOfTheNewest = Defect{
	Name:     "the highest completed offset is committed",
	Breaks:   []history.Rule{history.Offsets, history.NothingLost},
	Shown:    "handlers of a second among such of milliseconds; at the latest when a node is killed",
	Packages: []string{"internal/watermark"},
	Patches: []overlay.Patch{{
		File: "internal/watermark/watermark.go",
		Old:  "	default:\n		return t.at(t.head).offset\n",
		New:  "	case t.top > t.head:\n		return t.at(t.top-1).offset + 1\n	default:\n		return t.at(t.head).offset\n",
	}},
}

var commitOnLost = Defect{
	Name:     "commit on lost",
	Breaks:   []history.Rule{history.Offsets, history.NothingLost},
	Report:   `has committed job-\d+`,
	Shown:    "nodes stop, and start again, with tasks in memory: a rebalance commits all that was polled. (What a member that lost its partitions commits, brokers refuse)",
	Packages: []string{"consumer"},
	Patches: []overlay.Patch{
		{
			File: "consumer/rebalance.go",
			Old:  "	parts := q.close(m[names.Pending(q.Name)])\n	q.forget(parts)\n",
			New:  "	parts := q.close(m[names.Pending(q.Name)])\n	_ = q.commitLast(context.Background(), parts)\n	q.forget(parts)\n",
		},
		{
			File: "consumer/progress.go",
			Old:  "	now.offset = p.tracker.Offset()\n	if now.offset < 0 {\n		return now, false\n	}\n",
			New:  "	now.offset = p.tracker.Offset()\n	if now.offset < 0 {\n		return now, false\n	}\n	if p.closed {\n		now.offset = p.tracker.Next()\n	}\n",
		},
	},
}

var retryNotAwaited = Defect{
	Name:     "retry not awaited",
	Breaks:   []history.Rule{history.NothingLost, history.Offsets},
	Shown:    "tasks that fail; a node is killed while Kafka hangs, or the way to it",
	Packages: []string{"consumer"},
	Patches: []overlay.Patch{
		{
			File: "consumer/attempt.go",
			Old:  "	w := t.successor(o)\n	c.waits.Write(c.writing, w, func(err error) {\n		switch {\n",
			New: `	w := t.successor(o)
	c.waits.Write(c.writing, w, func(error) {})
	func(err error) {
		switch {
`,
		},
		{
			File: "consumer/attempt.go",
			Old:  "			c.finish(t, o.claim(w), Settled{Task: &t.task, State: o.kind.state(), Err: o.err, Due: w.Due})\n		}\n	})\n",
			New:  "			c.finish(t, o.claim(w), Settled{Task: &t.task, State: o.kind.state(), Err: o.err, Due: w.Due})\n		}\n	}(nil)\n",
		},
	},
}

var letterNotAwaited = Defect{
	Name:     "letter not awaited",
	Breaks:   []history.Rule{history.NothingLost, history.Letters},
	Shown:    "tasks that die; a node is killed while Kafka hangs, or the way to it",
	Packages: []string{"consumer"},
	Patches: []overlay.Patch{
		{
			File: "consumer/attempt.go",
			Old:  "	c.letters.Write(c.writing, letter, func(err error) {\n		if err != nil {\n",
			New:  "	c.letters.Write(c.writing, letter, func(error) {})\n	func(err error) {\n		if err != nil {\n",
		},
		{
			File: "consumer/attempt.go",
			Old:  "Settled{Task: &t.task, State: task.Dead, Reason: reason, Err: cause})\n	})\n",
			New:  "Settled{Task: &t.task, State: task.Dead, Reason: reason, Err: cause})\n	}(nil)\n",
		},
	},
}

var lostResultCompletes = Defect{
	Name:     "a lost result completes its offset",
	Breaks:   []history.Rule{history.NothingLost, history.Offsets},
	Shown:    "a node is cut off from etcd for longer than its lease, and from nothing else, while handlers run that do not obey their context",
	Packages: []string{"consumer"},
	Patches: []overlay.Patch{{
		File: "consumer/attempt.go",
		Old:  "		t.part.queue.count.lost.Add(1)\n		c.beginAgain(t)\n",
		New:  "		t.part.queue.count.lost.Add(1)\n		c.complete(t, s)\n",
	}},
}

var lanesDoNotWait = Defect{
	Name:     "ordering keys are ignored",
	Breaks:   []history.Rule{history.InOrder},
	Shown:    "an ordered queue at work",
	Packages: []string{"consumer"},
	Patches: []overlay.Patch{{
		File: "consumer/queue.go",
		Old:  "		t.lane = t.task.Key\n",
		New:  "		t.lane = \"\"\n",
	}},
}

var zombiesGoOn = Defect{
	Name:     "handlers outlive their session",
	Breaks:   []history.Rule{history.ZombiesLose},
	Report:   `the context of run \d+ has not ended`,
	Shown:    "a node is paused, or cut off from etcd, for longer than its lease, while it runs handlers that take longer",
	Packages: []string{"consumer"},
	Patches: []overlay.Patch{{
		File: "consumer/claims.go",
		Old:  "		context.AfterFunc(l.Context(), func() { cancel(errSessionOver) })\n",
		New:  "		_ = cancel\n",
	}},
}
