package consumer_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

// A process of a simulation: a consumer and a forwarder, with their own ways to Kafka and Redis and one session. Where each
// has a group of its own, all see every record: so they compete for every task, all the time. Where they are members of one
// group, they hand partitions to each other.
type process struct {
	*simulation
	prefix     string
	name       string // of its node, and so of its members of groups
	member     *member
	redis      *line
	kafka      *line
	node       *node
	forwarding context.CancelFunc
	forwarded  chan struct{} // closed when the forwarder has ended
	dead       chan struct{} // closed when it was killed, or has ended
	left       chan struct{} // closed when the next one may start
	gone       atomic.Bool   // somebody is at its end
	ending     bool          // it was told to stop; under simulation.mu
	dials      int           // of Redis, so far; under simulation.mu
}

// spawn starts a process; its groups go on where the last one of the prefix was.
func (m *simulation) spawn(prefix string) *process {
	p := &process{
		simulation: m, prefix: prefix, member: m.c.join(),
		dead: make(chan struct{}), left: make(chan struct{}), forwarded: make(chan struct{}),
	}
	p.redis = &line{dial: p.dialRedis}
	p.kafka = &line{dial: m.s.dialer}
	p.name = p.member.session()
	cfg := m.s.config(p.mux())
	cfg.Kafka = m.reach(p.kafka.Dial)
	cfg.Prefix, cfg.Node = m.installation(prefix), p.name
	cfg.Concurrency, cfg.Drain, cfg.SessionTimeout = 4, 5*time.Second, 6*time.Second
	cfg.Queues[0].Retry.MaxAttempts = simulatedAttempts
	cfg.MaxPin = 8 * time.Second
	cfg.Claims, cfg.Members = claim.NewStore(m.c.dial(p.redis), "tasktier"), p.member
	cfg.Log = zaptest.NewLogger(m.t).Named(cfg.Node)
	p.node = m.s.start(cfg)
	p.forward(cfg.Log)
	m.logf("%s starts as %s", prefix, cfg.Node)
	return p
}

func (p *process) mux() *consumer.Mux {
	mux := consumer.NewMux()
	handle(p.t, mux, "job", func(ctx context.Context, tk *task.Task) error { return p.run(p, ctx, tk) })
	return mux
}

// forward starts the forwarder.
func (p *process) forward(log *zap.Logger) {
	cfg := retry.Config{
		Kafka:  append(p.reach(p.kafka.Dial), kgo.ClientID(p.name), kgo.WithHooks(p.watch)),
		Prefix: p.installation(p.prefix), Fallback: "tasks", Node: p.name, SessionTimeout: 6 * time.Second, Log: log,
	}
	if p.tight {
		cfg.MaxBytes = 2 << 10
	}
	f, err := retry.New(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.forwarding = cancel
	go func() {
		defer close(p.forwarded)
		if err := f.Run(ctx); err != nil {
			p.t.Errorf("forwarder: %v", err)
		}
	}()
}

// kill ends the process as SIGKILL does, as far as others can tell: it records nothing any more, neither a claim nor an
// offset, and is cut off from Kafka, if not at once: what it still writes there it might have written before. Its session
// is gone a little later. What is left of it here ends by itself, as if in another world.
//
// Where a bubble does not understand the locks of Kafka's client, it is not cut off from Kafka.
func (p *process) kill() {
	if !p.gone.CompareAndSwap(false, true) {
		return
	}
	p.logf("%s is killed", p.member.session())
	p.excused()
	close(p.dead)
	p.redis.cut()
	unmute := p.mute()
	p.node.Abort()
	session := p.distrust()
	p.others.Go(func() {
		if synctests {
			p.groups.settled(p.installation(p.prefix))
			p.kafka.cut()
			unmute()
		}
		p.forwarding()
		time.Sleep(2 * time.Second)
		p.expire(session)
		p.groups.gone(p.name)
		if synctests {
			close(p.left)
		} else {
			defer close(p.left)
		}
		_ = p.node.stop() // a handler may have been left
		<-p.forwarded
		unmute()
	})
}

// mute lets the process commit nothing until the function that it returns is called.
func (p *process) mute() (unmute func()) {
	return p.s.cluster.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownMemberID, Count: -1,
		When: func(r kmsg.Request) bool {
			return strings.HasPrefix(r.(*kmsg.OffsetCommitRequest).MemberID, p.name+"-")
		}, //nolint:forcetypeassert // by Keys
	}).Remove
}

// stop ends the process in order, as a node does: the forwarder last.
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
	p.forwarding()
	<-p.forwarded
	p.logf("%s has stopped", p.member.session())
	p.groups.gone(p.name) // its farewell may have been lost
	close(p.dead)
	p.redis.cut()
	p.expire(p.distrust())
}

// loseSession lets the process be silent for too long: it knows first.
func (p *process) loseSession(silence time.Duration) {
	if p.over() || p.member.Lease() == nil {
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

// over says whether the process has ended or is about to.
func (p *process) over() bool {
	select {
	case <-p.dead:
		return true
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ending
}

// silence cuts a line of the process for a while.
func (p *process) silence(what string, l *line, d time.Duration) {
	if p.over() {
		return
	}
	if l == p.kafka {
		p.groups.settled(p.installation(p.prefix))
	}
	p.logf("no way to %s for %s, for %v", what, p.prefix, d)
	l.cut()
	time.Sleep(d)
	select {
	case <-p.dead:
	default:
		l.mend()
		p.logf("a way to %s for %s", what, p.prefix)
	}
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

func (p *process) dialRedis(context.Context, string, string) (net.Conn, error) {
	conn, err := p.c.redis.Dial()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials++
	return &frail{Conn: conn, of: p.frail, dice: p.dice("redis/"+p.member.session(), p.dials)}, nil
}
