package consumer

import (
	"math/rand/v2"
	"time"
)

// minPutOff and maxPutOff bound for how long a turn is put off, give or take a quarter: about as long as those will take
// that wait with it, or a quarter of the time for which none has been let through, as while its type is paused.
const (
	minPutOff = 5 * time.Second
	maxPutOff = time.Hour
)

// putOff hands turns of a queue on that can't stand here. They come back as they are. With claims they are looked up before:
// of two records of one task, the one that is put off again and again could else outlive what is known of the other.
func (s *gates) putOff(q *queue, turns []*turn) {
	if len(turns) == 0 {
		return
	}
	if s.consumer.book == nil {
		s.send(q, turns, nil)
		return
	}
	if !s.consumer.background.start(func() { s.send(q, turns, s.consumer.look(turns)) }) {
		q.drop(turns...)
	}
}

// send puts turns off, but for those that have passed, which are complete.
func (s *gates) send(q *queue, turns []*turn, passed []bool) {
	for i, t := range turns {
		switch {
		case t.replaced() || !t.part.start():
			q.drop(t)
		case passed != nil && passed[i]:
			q.count.repeated.Add(1)
			s.consumer.pass(t)
		default:
			s.consumer.settle(t, outcome{kind: defers, delay: s.pause(q, t.task.Type)})
		}
	}
}

// pause is for how long a turn of a type is put off. With claims it is back, to be looked up again, while another record's
// end of the same task must still be known.
func (s *gates) pause(q *queue, typ string) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.consumer.uptime()
	g := s.gate(typ)
	d := g.lasts * time.Duration(g.waiting()+g.absent.look(now)) / time.Duration(max(g.inside, 1))
	if g.waiting() > 0 || g.absent.count > 0 {
		d = max(d, (now-g.still)/4)
	}
	most := maxPutOff
	if s.consumer.book != nil {
		most = min(most, q.Window/2, q.IDWindow/2)
	}
	d = min(max(d, minPutOff), most)
	d = d*3/4 + rand.N(d/2)
	g.absent.add(now, d)
	return d
}

// absent counts what is away, by when it is due, in steps of half a minute.
type absent struct {
	due   [2*int(maxPutOff/awayStep) + 1]int
	from  time.Duration // the time of the first step that counts
	count int
}

const awayStep = 30 * time.Second

// look forgets what is due by now, and returns how many are not.
func (a *absent) look(now time.Duration) int {
	for a.count > 0 && a.from+awayStep <= now {
		step := &a.due[int(a.from/awayStep)%len(a.due)]
		a.count -= *step
		*step = 0
		a.from += awayStep
	}
	return a.count
}

// add notes one that is due so long from now.
func (a *absent) add(now, d time.Duration) {
	if a.look(now) == 0 {
		a.from = now / awayStep * awayStep
	}
	a.due[int((now+d)/awayStep)%len(a.due)]++
	a.count++
}
