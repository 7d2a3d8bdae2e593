package consumer_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A happening is a kind of thing that happens.
type happening int

const (
	aKill happening = iota
	aStop
	aSilence
	aRepetition
	aCopy
	aCancel
	aReplay
	redisIsCut
	redisIsEmptied
	kafkaIsCut
	kafkaIsSlow
	kafkaIsBroken
	kafkaMoves

	happenings = int(kafkaMoves) + 1 // how many kinds there are
)

// happen lets things happen for as long as the script is, until all tasks are sent.
func (m *simulation) happen(processes map[string]*process) {
	d := m.dice("script", 0)
	sum := 0
	for _, appetite := range m.appetite {
		sum += appetite
	}
	sent := 0
	for began := time.Now(); time.Since(began) < m.script || sent < m.jobs; m.respawn(processes) {
		m.tick()
		if sent < m.jobs && d.IntN(2) == 0 {
			m.send(sent)
			sent++
		}
		if sent == 0 || sum == 0 || d.IntN(3) > 0 {
			continue
		}
		pick := d.IntN(sum)
		for e := range happening(happenings) {
			if pick -= m.appetite[e]; pick < 0 {
				m.cause(e, d, processes[m.prefixes[d.IntN(len(m.prefixes))]], d.IntN(sent))
				break
			}
		}
	}
}

// cause lets one thing happen, to a process or to a task.
func (m *simulation) cause(e happening, d *rand.Rand, p *process, n int) {
	lasts := time.Duration(d.IntN(8000)) * time.Millisecond
	switch e {
	case kafkaIsCut, kafkaIsSlow, kafkaIsBroken, kafkaMoves:
		m.excused()
	default:
	}
	switch e {
	case aKill:
		p.kill()
	case aStop:
		m.others.Go(p.stop)
	case aSilence:
		p.loseSession(lasts / 2)
	case aRepetition:
		m.send(n)
	case aCopy:
		m.copy(d)
	case aCancel:
		m.cancel(name(n))
	case aReplay:
		m.replay(name(n))
	case redisIsCut:
		m.others.Go(func() { p.silence("redis", p.redis, lasts) })
	case redisIsEmptied:
		m.logf("redis is emptied")
		m.c.redis.flush()
	case kafkaIsCut:
		m.others.Go(func() { p.silence("kafka", p.kafka, lasts/2) })
	case kafkaIsSlow:
		m.slow(lasts / 4)
	case kafkaIsBroken:
		m.fault(d)
	case kafkaMoves:
		m.move(d)
	}
}

// excused notes that a forwarder, or its way to Kafka, was disturbed.
func (m *simulation) excused() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.excuse++
}

func name(n int) string { return fmt.Sprintf("job-%d", n) }

// send sends a task, or sends it once more, as producers do that got no answer.
func (m *simulation) send(n int) {
	s := m.subject(name(n))
	opts := []task.Option{task.ID(s.id), task.Source("/test")}
	if s.plan.later > 0 && s.before().IsZero() {
		s.note(func() { s.notBefore = time.Now().Add(s.plan.later) })
	}
	if at := s.before(); !at.IsZero() {
		opts = append(opts, task.At(at)) // by somebody who knows nothing of the tiers
	}
	r := record.Encode(task.New("job", nil, opts...), names.Pending("tasks"))
	r.Partition = int32(m.dice(s.id, -1).IntN(2))
	s.note(func() { s.sent++ })
	m.produce(r)
}

// produce returns when the record is in its log.
func (m *simulation) produce(r *kgo.Record) {
	if err := m.s.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		m.t.Errorf("send: %v", err)
	}
}

// copy writes a record of the queue that was there before once more, as a forwarder does that was taken for dead.
func (m *simulation) copy(d *rand.Rand) {
	r := m.watch.any(d)
	if r == nil {
		return
	}
	s := m.subject(r.id)
	s.note(func() { s.sent++ })
	m.logf("%s is written once more", r)
	m.produce(&kgo.Record{Topic: r.Topic, Partition: int32(d.IntN(2)), Key: r.Key, Value: r.Value, Headers: r.Headers})
}

func (m *simulation) cancel(id string) {
	m.others.Go(func() {
		m.subject(id).asked()
		got, err := m.c.store.Cancel(context.Background(), identity(id), claim.Window{})
		m.logf("cancel %s: %+v %v", id, got, err)
	})
}

// replay sends a dead task again, as an operator does: with the next generation.
func (m *simulation) replay(id string) {
	found := m.c.look(id)
	if found.State != claim.Dead {
		return
	}
	m.logf("replay %s", id)
	m.subject(id).replayed()
	tk := task.New("job", nil, task.ID(id), task.Source("/test"))
	r := record.Move(record.Encode(tk, names.Pending("tasks")), names.Pending("tasks"), nil, record.Stamp{Generation: found.Generation + 1, Turn: 1, Attempt: 1})
	m.produce(r)
}

// run is the handler of all tasks: what it does follows from the task's plan, and how long it takes from the dice.
func (m *simulation) run(p *process, ctx context.Context, tk *task.Task) (err error) {
	r := m.enter(p, ctx, tk)
	defer func() { m.leave(r, err) }()
	d := m.dice(tk.ID, r.number)
	lasts := time.Duration(d.IntN(1500)) * time.Millisecond
	if d.IntN(6) == 0 {
		lasts = time.Duration(d.IntN(12)) * time.Second
	}
	done := ctx.Done()
	if d.IntN(3) == 0 {
		done = nil // it is deaf
	}
	select {
	case <-time.After(lasts):
	case <-done:
		return ctx.Err()
	case <-p.dead:
		<-ctx.Done() // its last moment: what it says is heard by nobody
		return ctx.Err()
	}
	plan := r.of.plan
	switch {
	case plan.kills && tk.Generation == 0:
		p.kill()
		<-p.dead
		<-ctx.Done()
		return ctx.Err()
	case d.IntN(10) == 0 && tk.Turn < 4:
		return task.Snooze(time.Duration(d.IntN(3000)) * time.Millisecond)
	case tk.Generation > 0:
		return nil
	case plan.gives:
		return task.Permanent(errors.New("no such account"))
	case tk.Attempt <= plan.fails:
		if d.IntN(5) == 0 {
			err = errors.New("no luck") // for leave
			panic(err)
		}
		return task.RetryAfter(time.Duration(d.IntN(3000))*time.Millisecond, errors.New("no luck"))
	}
	return nil
}
