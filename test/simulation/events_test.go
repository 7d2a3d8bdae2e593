package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv/consumertest"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kgo"
)

// An event is a kind of thing that happens to a process, a task or a server. Their order is part of what a seed means.
type event int

const (
	killProcess event = iota
	stopProcess
	loseSession
	sendAgain
	copyRecord
	cancelTask
	replayTask
	cutRedis
	flushRedis
	cutKafka
	slowKafka
	failKafka
	moveKafka

	eventCount = int(moveKafka) + 1
)

// causeEvents sends the tasks and causes events for the scenario's duration, and longer if not all tasks are sent by then.
func (m *simulation) causeEvents(processes map[string]*process) {
	rng := m.random("script", 0)
	sum := 0
	for _, weight := range m.weights {
		sum += weight
	}
	sent := 0
	for began := time.Now(); time.Since(began) < m.duration || sent < m.taskCount; m.restart(processes) {
		m.step()
		if sent < m.taskCount && rng.IntN(2) == 0 {
			m.send(sent)
			sent++
		}
		if sent == 0 || sum == 0 || rng.IntN(3) > 0 {
			continue
		}
		pick := rng.IntN(sum)
		for e := range event(eventCount) {
			if pick -= m.weights[e]; pick < 0 {
				m.cause(e, rng, processes[m.prefixes[rng.IntN(len(m.prefixes))]], rng.IntN(sent))
				break
			}
		}
	}
}

// cause causes one event: to the process p, to the task number n, or to a server.
func (m *simulation) cause(e event, rng *rand.Rand, p *process, n int) {
	lasts := time.Duration(rng.IntN(8000)) * time.Millisecond
	switch e {
	case cutKafka, slowKafka, failKafka, moveKafka:
		m.disturbed()
	default:
	}
	switch e {
	case killProcess:
		p.kill()
	case stopProcess:
		m.background.Go(p.stop)
	case loseSession:
		p.loseSession(lasts / 2)
	case sendAgain:
		m.send(n)
	case copyRecord:
		m.copyRecord(rng)
	case cancelTask:
		m.cancel(taskID(n))
	case replayTask:
		m.replay(taskID(n))
	case cutRedis:
		m.background.Go(func() { p.cut("redis", p.redisLink, lasts) })
	case flushRedis:
		m.logf("redis loses its data")
		m.claims.Redis.Flush()
	case cutKafka:
		m.background.Go(func() { p.cut("kafka", p.kafkaLink, lasts/2) })
	case slowKafka:
		m.slow(lasts / 4)
	case failKafka:
		m.fault(rng)
	case moveKafka:
		m.move(rng)
	}
}

// disturbed notes that a forwarder, or its connection to Kafka, was disturbed.
func (m *simulation) disturbed() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.disturbances++
}

func taskID(n int) string { return fmt.Sprintf("job-%d", n) }

// send sends a task, or sends it again, as a producer does that got no answer.
func (m *simulation) send(n int) {
	s := m.task(taskID(n))
	opts := []task.Option{task.ID(s.id), task.Source("/test")}
	if s.plan.delay > 0 && s.sendTime().IsZero() {
		s.update(func() { s.notBefore = time.Now().Add(s.plan.delay) })
	}
	if at := s.sendTime(); !at.IsZero() {
		opts = append(opts, task.At(at)) // in the queue all the same, as from a producer that does not use the tiers
	}
	r := record.Encode(task.New("job", nil, opts...), names.Pending("tasks"))
	r.Partition = int32(m.random(s.id, -1).IntN(2))
	s.update(func() { s.sent++ })
	m.produce(r)
}

// produce returns when the record is acknowledged.
func (m *simulation) produce(r *kgo.Record) {
	if err := m.client.ProduceSync(context.Background(), r).FirstErr(); err != nil {
		m.t.Errorf("send: %v", err)
	}
}

// copyRecord writes an earlier record of the queue again, as a forwarder may that was taken for dead.
func (m *simulation) copyRecord(rng *rand.Rand) {
	r := m.observer.randomPending(rng)
	if r == nil {
		return
	}
	s := m.task(r.id)
	s.update(func() { s.sent++ })
	m.logf("%s is written again", r)
	m.produce(&kgo.Record{Topic: r.Topic, Partition: int32(rng.IntN(2)), Key: r.Key, Value: r.Value, Headers: r.Headers})
}

func (m *simulation) cancel(id string) {
	m.background.Go(func() {
		m.task(id).noteCancel()
		got, err := m.claims.Store.Cancel(context.Background(), consumertest.Identity(id), claim.Window{})
		m.logf("cancel %s: %+v %v", id, got, err)
	})
}

// replay replays a dead task as operators do: with the next generation.
func (m *simulation) replay(id string) {
	found := m.claims.Look(id)
	if found.State != claim.Dead {
		return
	}
	m.logf("replay %s", id)
	m.task(id).noteReplay()
	tk := task.New("job", nil, task.ID(id), task.Source("/test"))
	r := record.Move(record.Encode(tk, names.Pending("tasks")), names.Pending("tasks"), nil, record.Stamp{Generation: found.Generation + 1, Turn: 1, Attempt: 1})
	m.produce(r)
}
