package defects

import (
	"github.com/tasktier/tasktier/test/history"
	"github.com/tasktier/tasktier/test/overlay"
)

// Of the tiers, of dead letters, and of limits.

var forwardEarly = Defect{
	Name:     "forward without due check",
	Breaks:   []history.Rule{history.NeverEarly},
	Report:   `was written at .* is due|starts .* early`,
	Shown:    "tasks that fail and wait some seconds, or are delayed",
	Packages: []string{"retry"},
	Patches: []overlay.Patch{
		{
			File: "retry/loop.go",
			Old:  "UnixMilli(); ahead > 0 {\n",
			New:  "UnixMilli(); ahead > 0 && s.hour {\n",
		},
		{
			File: "retry/admit.go",
			Old:  "		Queue: stamp.Queue, Record: it.record, Due: stamp.Due,\n",
			New:  "		Queue: stamp.Queue, Record: it.record, Due: time.UnixMilli(min(it.due, time.Now().UnixMilli())),\n",
		},
	},
}

var forwardForgets = Defect{
	Name:     "progress of a tier passes what is not acknowledged",
	Breaks:   []history.Rule{history.Offsets, history.NothingLost},
	Report:   `the forwarder of .* has committed job-\d+`,
	Shown:    "tasks that fail or are delayed; a node is killed, or loses its part of the tiers, while Kafka hangs",
	Packages: []string{"retry"},
	Patches: []overlay.Patch{{
		File: "retry/admit.go",
		Old:  "	stamp, _ := record.ReadStamp(it.record) // it was read without error when it was admitted\n	f.fly(o, it)\n",
		New:  "	stamp, _ := record.ReadStamp(it.record) // it was read without error when it was admitted\n	f.fly(o, it)\n	o.tracker.Finish(it.place)\n	f.touch(o.slot)\n	delete(o.flying, it)\n	f.flying -= it.bytes\n",
	}},
}

var copiesAreCut = Defect{
	Name:     "a copy loses the end of its payload",
	Breaks:   []history.Rule{history.Intact},
	Shown:    "tasks that fail once, or are delayed",
	Packages: []string{"internal/record"},
	Patches: []overlay.Patch{{
		File: "internal/record/stamp.go",
		Old:  "	value := r.Value\n",
		New:  "	value := r.Value\n	if len(value) > 1 && topic[len(topic)-1] != 'd' { // letters are whole\n		value = append(append([]byte{}, value[:len(value)-1]...), ' ', value[len(value)-1])\n	}\n",
	}},
}

var tombstoneFirst = Defect{
	Name:     "tombstone before acknowledgement",
	Breaks:   []history.Rule{history.Letters, history.NothingLost},
	Shown:    "letters are replayed; the replayer is killed now and then, or Kafka hangs meanwhile",
	Packages: []string{"deadletter"},
	Patches: []overlay.Patch{{
		File: "deadletter/replay_send.go",
		Old: `	r.client.Produce(r.sending, task, func(_ *kgo.Record, err error) {
		if err != nil {
			r.refused(l, r.refusal(task, err))
			return
		}
		r.takeAway(l, false)
	})
`,
		New: `	r.store.takeAway(r.sending, l, func(err error) {
		if err != nil {
			r.refused(l, err)
			return
		}
		r.client.Produce(r.sending, task, func(_ *kgo.Record, err error) {
			if err != nil {
				r.refused(l, r.refusal(task, err))
				return
			}
			r.settle(l, false)
			r.flight.arrive(l)
		})
	})
`,
	}},
}

var slotForAll = Defect{
	Name:     "a slot is handed out twice",
	Breaks:   []history.Rule{history.Limited},
	Shown:    "tasks of a limited type at work",
	Packages: []string{"coord/limit"},
	Patches: []overlay.Patch{{
		File: "coord/limit/limiter.go",
		Old:  "		p.state, p.idle = used, time.Time{}\n		return p.slot, true\n",
		New:  "		p.idle = time.Time{}\n		return p.slot, true\n",
	}},
}
