package history

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/task"
)

// The tests write histories like this, one event a line, the time in seconds:
//
//	0    p   sends x fails=2 limit=1        and it is acknowledged a millisecond later; the words are its plan
//	0    p   gives x                        it is not acknowledged
//	1    n1  starts x 0.1.1 f7 s3           generation 0, turn 1, attempt 1; fence 7, slot 3
//	2    n1  ends x 0.1.1 f7 gave-up over   how, and why its context had ended: over, canceled, timeout
//	2    n1  recorded x 0.1
//	3    n   kills n1 | finds n1 dead | pauses n1 | resumes n1 | stops n1
//	3    n1  over
//	4    n   breaks redis-1 server=redis forgets=flushed target=n1 step=2s
//	5    n   mends redis-1
//	6    o   cancels x                      and 7 o hears x retrying canceled, or 7 o hears x running running asked
//	6    o   replays x 1 | purges x 0
//	7    w   sees q.pending/0 3             a committed offset
//	9    c   finds x 0.1 in q.pending/0/2 at 0.5            a record, and when it was written; then due=3 reason=failed hash=1
//	9    c   finds nothing of x 0 in q.dead/0/3 at 4        a tombstone
//	9    c   claims x succeeded 0.1 f7 n1                   state, turn, fence, and whose result it has; then at=8
//	9    c   collects claims
//
// Everything happens in the queue q and with the source /s.
type notation struct {
	t      *testing.T
	events []Event
}

// epoch is the moment 0: a multiple of a second, which all of today are.
const epoch = Moment(1_700_000_000_000_000)

func seconds(t *testing.T, s string) Moment {
	t.Helper()
	f, err := strconv.ParseFloat(s, 64)
	must(t, err)
	return epoch + Moment(f*1e6+0.5)
}

// parse reads a history.
func parse(t *testing.T, text string) []Event {
	t.Helper()
	n := &notation{t: t}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) > 0 {
			n.line(words)
		}
	}
	return n.events
}

func (n *notation) line(words []string) {
	n.t.Helper()
	e := Event{At: seconds(n.t, words[0]), Process: words[1]}
	rest := words[3:]
	if len(rest) > 0 {
		e.Task = Task{"q", "/s", rest[0]}
	}
	switch words[2] {
	case "sends", "gives":
		e.Kind, e.Hash, e.Plan = Sent, hashOf(rest[0]), n.plan(rest[1:])
		n.add(e)
		if words[2] == "sends" {
			n.add(Event{At: e.At + 1000, Process: e.Process, Kind: Acknowledged, Task: e.Task})
		}
		return
	case "starts":
		e.Kind = Started
		n.run(&e, rest[1:])
	case "ends":
		e.Kind, e.Outcome = Ended, Outcome(outcomeOf[rest[3]])
		n.run(&e, rest[1:3])
		if len(rest) > 4 {
			e.Cause = map[string]string{
				"over": "this node's session is over: others may run its tasks now", "canceled": "the task was canceled",
				"timeout": "context deadline exceeded", "stopping": "context canceled",
			}[rest[4]]
		}
	case "recorded":
		e.Kind = Recorded
		n.turn(&e, rest[1])
	case "kills", "pauses", "resumes", "stops", "finds":
		if words[2] == "finds" && len(rest) > 2 {
			n.record(e, rest)
			return
		}
		e.Kind = map[string]Kind{"kills": Killed, "pauses": Paused, "resumes": Resumed, "stops": Stopped, "finds": Died}[words[2]]
		e.Task, e.Target = Task{}, rest[0]
	case "over":
		e.Kind = Over
	case "breaks", "mends":
		e.Task, e.Name = Task{}, rest[0]
		e.Kind = map[string]Kind{"breaks": Fault, "mends": Mended}[words[2]]
		n.fault(&e, rest[1:])
	case "cancels":
		e.Kind = Cancel
	case "hears":
		e.Kind, e.Before, e.State, e.Asked = Answered, task.State(rest[1]), task.State(rest[2]), len(rest) > 3
	case "replays", "purges":
		e.Kind = map[string]Kind{"replays": Replayed, "purges": Purged}[words[2]]
		e.Generation = n.int(rest[1])
	case "sees":
		e.Kind, e.Task = Committed, Task{}
		n.place(&e, rest[0]+"/"+rest[1])
	case "claims":
		n.claim(&e, rest)
	case "collects":
		e.Kind, e.Task, e.Name = Collected, Task{}, rest[0]
	default:
		n.t.Fatalf("no event: %v", words)
	}
	n.add(e)
}

func (n *notation) add(e Event) { n.events = append(n.events, e) }

func hashOf(id string) uint64 { return Hash([]byte(id)) }

func (n *notation) int(s string) int {
	n.t.Helper()
	v, err := strconv.Atoi(s)
	must(n.t, err)
	return v
}

// plan reads words like fails=2.
func (n *notation) plan(words []string) *Plan {
	n.t.Helper()
	p := &Plan{Type: "work"}
	fields := make(map[string]any)
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch {
		case k == "not_before" || k == "expires":
			fields[k] = seconds(n.t, v)
		case v == "":
			fields[k] = true
		default:
			fields[k] = v
			if i, err := strconv.Atoi(v); err == nil {
				fields[k] = i
			}
		}
	}
	text, err := json.Marshal(fields)
	must(n.t, err)
	must(n.t, json.Unmarshal(text, p))
	return p
}

// run reads "0.1.1 f7 s3".
func (n *notation) run(e *Event, words []string) {
	n.t.Helper()
	n.turn(e, words[0])
	for _, w := range words[1:] {
		switch v := int64(n.int(w[1:])); w[0] {
		case 'f':
			e.Fence = v
		case 's':
			e.Slot = v
		}
	}
}

func (n *notation) turn(e *Event, word string) {
	n.t.Helper()
	for i, of := range []*int{&e.Generation, &e.Turn, &e.Attempt} {
		if parts := strings.Split(word, "."); i < len(parts) {
			*of = n.int(parts[i])
		}
	}
}

func (n *notation) place(e *Event, word string) {
	n.t.Helper()
	parts := strings.Split(word, "/")
	e.Topic, e.Partition, e.Offset = parts[0], int32(n.int(parts[1])), int64(n.int(parts[2]))
}

func (n *notation) fault(e *Event, words []string) {
	n.t.Helper()
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "server":
			e.Server = v
		case "target":
			e.Target = v
		case "forgets":
			e.Forgets = Forgets(forgetsOf[v])
		case "step":
			d, err := time.ParseDuration(v)
			must(n.t, err)
			e.Step = d.Microseconds()
		}
	}
}

// record reads "x 0.1 in q.pending/0/2 at 0.5 due=3", or "nothing of x 0 in q.dead/0/3 at 4".
func (n *notation) record(e Event, words []string) {
	n.t.Helper()
	e.Kind = Record
	if words[0] == "nothing" {
		words, e.Tombstone = words[2:], true
	}
	e.Task = Task{"q", "/s", words[0]}
	n.turn(&e, words[1])
	e.Hash = hashOf(words[0])
	n.place(&e, words[3])
	e.Appended = seconds(n.t, words[5])
	for _, w := range words[6:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "due":
			e.Due = seconds(n.t, v)
		case "reason":
			e.Reason = task.Reason(v)
		case "hash":
			e.Hash = uint64(n.int(v))
		case "raw":
			e.Task = Task{}
		}
	}
	if strings.HasSuffix(e.Topic, ".dead") && e.Task.ID != "" {
		e.Key = string(deadletter.Key("/s", e.Task.ID, e.Generation))
		e.Task = Task{} // its key says whose it is
	}
	n.add(e)
}

// claim reads "x succeeded 0.1 f7 n1 at=8".
func (n *notation) claim(e *Event, words []string) {
	n.t.Helper()
	e.Kind, e.State = Claim, task.State(words[1])
	n.run(e, words[2:4])
	for _, w := range words[4:] {
		if at, ok := strings.CutPrefix(w, "at="); ok {
			e.Finished = seconds(n.t, at)
		} else {
			e.Result = fmt.Sprintf("%s %d", w, e.Fence)
		}
	}
}
