package consumer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A process of a simulation: a node with its own ways to Kafka and Redis and its own session. All processes see every
// record, each in a group of its own, as members of one group can't be had in a bubble (see playReal): so they all compete
// for every task, all the time.
type process struct {
	*simulation
	prefix string
	member *member
	redis  *line
	node   *node
	dead   chan struct{} // closed when it was killed, or has ended
	left   chan struct{} // closed when its group is free for the next one
	gone   atomic.Bool   // somebody is at its end
	ending bool          // it was told to stop; under simulation.mu
}

// spawn starts a process; its group goes on where the last one of the prefix was.
func (m *simulation) spawn(prefix string) *process {
	p := &process{simulation: m, prefix: prefix, member: m.c.join(), dead: make(chan struct{}), left: make(chan struct{})}
	p.redis = &line{dial: func(context.Context, string, string) (net.Conn, error) {
		conn, err := m.c.redis.Dial()
		return &frail{Conn: conn, simulation: m}, err
	}}
	cfg := m.s.config(p.mux())
	cfg.Prefix, cfg.Node = prefix, p.member.Lease().ID()
	cfg.Concurrency, cfg.Drain, cfg.SessionTimeout = 4, 5*time.Second, 6*time.Second
	cfg.Queues[0].Retry.MaxAttempts = simulatedAttempts
	cfg.MaxPin = 15 * time.Second
	cfg.Claims, cfg.Members = claim.NewStore(m.c.dial(p.redis), "tasktier"), p.member
	p.node = m.s.start(cfg)
	m.logf("%s starts as %s", prefix, cfg.Node)
	return p
}

func (p *process) mux() *consumer.Mux {
	mux := consumer.NewMux()
	handle(p.t, mux, "job", func(ctx context.Context, tk *task.Task) error { return p.run(p, ctx, tk) })
	return mux
}

// kill ends the process as SIGKILL does, as far as others can tell: it records nothing any more, neither a claim nor an
// offset. (Cutting it off from Kafka would be nearer to the truth, but then kgo waits on locks, see playReal. What it still
// writes there it might have written before.) Its session is gone a little later.
func (p *process) kill() {
	if !p.gone.CompareAndSwap(false, true) {
		return
	}
	p.logf("%s is killed", p.member.session())
	close(p.dead)
	p.redis.cut()
	mute := p.s.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.OffsetCommit}, Group: names.Group(p.prefix, "tasks"), Err: kerr.UnknownMemberID, Count: -1,
	})
	p.node.Abort()
	session := p.distrust()
	p.others.Go(func() {
		defer close(p.left)
		time.Sleep(2 * time.Second)
		p.expire(session)
		_ = p.node.stop() // a handler may have been left
		mute.Remove()
	})
}

// stop ends the process in order.
func (p *process) stop() {
	if !p.gone.CompareAndSwap(false, true) {
		return
	}
	defer close(p.left)
	p.mu.Lock()
	p.ending = true
	p.mu.Unlock()
	p.logf("%s stops", p.member.session())
	if err := p.node.stop(); err != nil && !errors.Is(err, consumer.ErrAbandoned) {
		p.t.Error(err)
	}
	p.logf("%s has stopped", p.member.session())
	close(p.dead)
	p.redis.cut()
	p.expire(p.distrust())
}

// loseSession lets the process be silent for too long: it knows first.
func (p *process) loseSession(silence time.Duration) {
	select {
	case <-p.dead:
		return
	default:
	}
	p.mu.Lock()
	ending := p.ending
	p.mu.Unlock()
	if ending || p.member.Lease() == nil {
		return
	}
	session := p.distrust()
	p.logf("%s loses its session", session)
	p.others.Go(func() {
		time.Sleep(time.Second)
		p.expire(session)
		time.Sleep(silence)
		select {
		case <-p.dead:
		default:
			p.logf("%s becomes %s", session, p.member.open())
		}
	})
}

func (p *process) distrust() string {
	session := p.member.distrust()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost[session] = time.Now()
	return session
}

// session is the id of the process's session, or of none.
func (m *member) session() string {
	if l := m.Lease(); l != nil {
		return l.ID()
	}
	return "one without a session"
}

// A frail connection to Redis is slow at times, and breaks at times: before a call of a script gets through, or before its
// reply does. (What else go-redis does it does under locks, under which a bubble's clock stands still.)
type frail struct {
	net.Conn
	*simulation
	calling atomic.Bool
}

func (f *frail) chance(of float64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.network.Float64() < of*f.faults
}

func (f *frail) Write(b []byte) (int, error) {
	if !bytes.Contains(b, []byte("evalsha")) {
		return f.Conn.Write(b)
	}
	f.calling.Store(true)
	if f.chance(0.02) {
		f.Close()
		return 0, io.ErrClosedPipe
	}
	if f.chance(0.05) {
		time.Sleep(time.Duration(50+rand.IntN(500)) * time.Millisecond)
	}
	return f.Conn.Write(b)
}

func (f *frail) Read(b []byte) (int, error) {
	n, err := f.Conn.Read(b)
	if err == nil && f.calling.Swap(false) && f.chance(0.02) {
		f.Close() // the call has been obeyed
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
