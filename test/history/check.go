package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/tasktier/tasktier/task"
)

// A check is one under way: what was read, and what was found wrong with it.
type check struct {
	*world
	tasks   map[Task]*dossier
	order   []*dossier // as they came
	topics  map[string]*topic
	byHash  map[uint64]*dossier // what can't be read by its sender's will
	orphans []Event             // records that name no task
	report  Report
}

// Check holds a history to its rules. The error says that it can't be read.
func Check(events Events, rules Rules) (Report, error) {
	c := &check{
		world: newWorld(rules.withDefaults()), tasks: make(map[Task]*dossier), topics: make(map[string]*topic),
		byHash: make(map[uint64]*dossier),
		report: newReport(),
	}
	for e, err := range events {
		if err != nil {
			return Report{}, err
		}
		c.take(&e)
	}
	c.settle()
	for _, d := range c.order {
		c.judge(d)
	}
	c.limits()
	c.lanes()
	c.deaths()
	c.count()
	return c.report, nil
}

// take files an event.
func (c *check) take(e *Event) {
	if c.first == 0 {
		c.first = e.At
	}
	c.last = max(c.last, e.At)
	c.report.Events++
	c.process(e.Process).last = e.At
	switch e.Kind {
	case Up:
		c.process(e.Process).pid = e.PID
	case Over, Killed, Died, Stopped, Paused, Resumed:
		target := e.Target
		if target == "" {
			target = e.Process
		}
		c.process(target).happened(e)
	case Fault, Mended:
		c.fault(e)
	case Committed:
		c.committed(e)
	case Collected:
		c.collected[e.Name] = true
	case Record:
		c.lying(e)
	default:
		c.file(c.of(e.Task), e)
	}
}

func (c *check) of(t Task) *dossier {
	d := c.tasks[t]
	if d == nil {
		d = &dossier{task: t}
		c.tasks[t] = d
		c.order = append(c.order, d)
	}
	return d
}

// file puts what happened to a task into its dossier.
func (c *check) file(d *dossier, e *Event) {
	switch e.Kind {
	case Sent:
		d.plan, d.hash = e.Plan, e.Hash
		d.sends = append(d.sends, sending{at: e.At})
		if d.plan != nil && (d.plan.End == task.ReasonUndecodable || d.plan.End == task.ReasonInvalid) {
			c.byHash[d.hash] = d
		}
	case Acknowledged:
		for i := range d.sends {
			if s := &d.sends[i]; s.acked == 0 {
				s.acked = e.At
				return
			}
		}
		c.wrong(Whole, d, "it was acknowledged and not sent")
	case Started:
		d.runs = append(d.runs, run{
			process: c.process(e.Process), generation: int32(e.Generation), turn: int32(e.Turn), attempt: int32(e.Attempt),
			start: e.At, fence: e.Fence, slot: e.Slot,
		})
	case Ended, Recorded:
		if r := d.running(c.process(e.Process), e); r == nil {
			c.wrong(Whole, d, "run %d.%d.%d of %s %s and did not start", e.Generation, e.Turn, e.Attempt, e.Process, e.Kind)
		} else if e.Kind == Ended {
			r.end, r.outcome, r.cause = e.At, e.Outcome, e.Cause
		} else {
			r.recorded = e.At
		}
	case Cancel:
		d.wants = append(d.wants, cancellation{at: e.At})
	case Answered:
		for i := range d.wants {
			if w := &d.wants[i]; w.answered == 0 {
				w.answered, w.before, w.state, w.asked = e.At, e.Before, e.State, e.Asked
				return
			}
		}
		c.wrong(Whole, d, "a cancellation was answered and not asked for")
	case Replayed:
		d.replays = append(d.replays, deed{e.At, int32(e.Generation)})
	case Purged:
		d.purges = append(d.purges, deed{e.At, int32(e.Generation)})
	case Claim:
		d.claim = &final{
			state: e.State, generation: int32(e.Generation), turn: int32(e.Turn), fence: e.Fence, finished: e.Finished, result: e.Result,
		}
	default: // it is no task's, see take
	}
}

// running is the run that an end, or the record of one, is about; nil if there is none.
func (d *dossier) running(p *process, e *Event) *run {
	for i := len(d.runs) - 1; i >= 0; i-- {
		r := &d.runs[i]
		if r.process != p || r.generation != int32(e.Generation) || r.turn != int32(e.Turn) {
			continue
		}
		if e.Kind == Recorded || r.end == 0 && r.attempt == int32(e.Attempt) && r.fence == e.Fence {
			return r
		}
	}
	return nil
}

// lying files a record of a log.
func (c *check) lying(e *Event) {
	at := c.topics[e.Topic]
	if at == nil {
		at = newTopic(e.Topic)
		c.topics[e.Topic] = at
	}
	c.report.Records++
	of, generation := e.Task, e.Generation
	if of.ID == "" && at.role == dead {
		if t, g, ok := parseKey(strings.TrimSuffix(e.Topic, ".dead"), e.Key); ok {
			of, generation = t, g
		}
	}
	r := record{
		topic: at, partition: e.Partition, offset: e.Offset, generation: int32(generation), turn: int32(e.Turn),
		attempt: int32(e.Attempt), tombstone: e.Tombstone, appended: e.Appended, due: e.Due, hash: e.Hash, reason: e.Reason,
	}
	if of.ID != "" {
		d := c.of(of)
		d.records = append(d.records, r)
		return
	}
	if d := c.byHash[e.Hash]; d != nil { // sent before it was collected
		d.records = append(d.records, r)
	} else if !e.Tombstone {
		c.orphans = append(c.orphans, *e)
	}
}

// settle puts in order what was read.
func (c *check) settle() {
	c.world.settle()
	for _, d := range c.order {
		byStart(d.runs)
		for i := range d.records {
			r := &d.records[i]
			seen := c.commits[place{r.topic.name, r.partition}]
			at, _ := slices.BinarySearchFunc(seen, r.offset, func(s commit, offset int64) int { return cmp.Compare(s.offset, offset+1) })
			if at < len(seen) {
				r.passed = seen[at].at
			}
		}
	}
	for i := range c.orphans {
		e := &c.orphans[i]
		c.wrong(Whole, nil, "nobody has sent the record at %s/%d/%d", e.Topic, e.Partition, e.Offset)
	}
}

// judge holds one task to the rules.
func (c *check) judge(d *dossier) {
	if d.plan == nil {
		if len(d.runs)+len(d.records) > 0 || d.claim != nil && d.claim.state != task.Canceled {
			c.wrong(Whole, d, "nobody has sent it")
		}
		return
	}
	c.fate(d)
	c.intact(d)
	c.once(d)
	c.back(d)
	c.fences(d)
	c.early(d)
	c.attempts(d)
	c.zombies(d)
	c.canceled(d)
	c.buried(d)
	c.passed(d)
}

// wrong notes a violation; d is nil if it is no task's.
func (c *check) wrong(rule Rule, d *dossier, format string, args ...any) {
	c.report.Violated[rule]++
	if c.report.Violated[rule] > c.rules.Stories {
		return
	}
	v := Violation{Rule: rule, Text: fmt.Sprintf(format, args...)}
	if d != nil {
		v.Task, v.of = d.task, d
	}
	c.report.Violations = append(c.report.Violations, v)
}
