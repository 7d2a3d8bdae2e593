package history

import "github.com/tasktier/tasktier/task"

// A Task names a task.
type Task struct {
	Queue, Source, ID string
}

func (t Task) String() string { return t.Queue + ":" + t.Source + "/" + t.ID }

// Of names t.
func Of(t *task.Task) Task { return Task{t.Queue, t.Source, t.ID} }

// An Event is something that happened. Fields that its kind does not name are zero.
//
//	sent           Task Hash Plan
//	acknowledged   Task
//	started        Task Generation Turn Attempt Fence Slot
//	ended          Task Generation Turn Attempt Fence Slot Outcome Cause
//	recorded       Task Generation Turn State
//	up             PID
//	over           Target (the process; "" is the one that writes)
//	stopped        Target
//	killed, died, paused, resumed    Target
//	fault, mended  Name Target Server Forgets Step
//	cancel         Task
//	answered       Task Before State Asked
//	replayed       Task Generation (the new one)
//	purged         Task Generation (of the letter)
//	committed      Group Topic Partition Offset
//	record         Topic Partition Offset Appended Task Generation Turn Attempt Due Hash Reason Key Tombstone
//	claim          Task State Generation Turn Attempt Fence Finished Result
//	collected      Name (a topic, or "claims")
type Event struct {
	At      Moment
	Kind    Kind
	Process string // in whose file it stands

	Task       Task
	Generation int // how often the task was replayed
	Turn       int
	Attempt    int
	Fence      int64 // the fencing token of a run; 0 without claims
	Slot       int64 // the token of a limited type's slot; 0 if there is none

	Hash    uint64 // of the payload
	Plan    *Plan
	Outcome Outcome
	Cause   string // why the handler's context had ended when it returned; "" if it had not

	PID    int
	Target string // the process that something is done to; of a fault "" is all

	// Name is that of a fault, the same at its end: two at once need different ones. Server is whose fault it is, "kafka",
	// "redis" or "etcd"; "" if it is none's. Forgets is what that server forgets by it. Step is by how much the clock of
	// Target is ahead while the fault lasts.
	Name    string
	Server  string
	Forgets Forgets
	Step    int64 // microseconds; negative: behind

	State    task.State // what the answer or the claim says
	Before   task.State // what the task was when it was canceled
	Asked    bool       // its run was asked to end
	Finished Moment     // when the task ended, as the claim says
	Result   string     // what the run left, see [Writer.Handle]

	Group     string
	Topic     string
	Partition int32
	Offset    int64
	Appended  Moment // when the broker wrote the record, to the millisecond
	Due       Moment // when a record of a tier comes back
	Reason    task.Reason
	Key       string // of a letter
	Tombstone bool   // the record takes the letter of Key away
}
