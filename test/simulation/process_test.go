package simulation

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/internal/testenv/bubble"
	"github.com/tasktier/tasktier/internal/testenv/consumertest"
	"github.com/tasktier/tasktier/internal/testenv/inmemory"
	"github.com/tasktier/tasktier/retry"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"
)

// A process of a simulation is a consumer and a forwarder, with their own links to Kafka and Redis and one session. Where
// each process has groups of its own, all of them see every record, so they compete for every task all the time. Where they
// are members of the same groups, partitions move between them.
type process struct {
	*simulation
	prefix         string
	name           string // of its node, and so of its members of groups
	member         *inmemory.Member
	redisLink      *bubble.Link
	kafkaLink      *bubble.Link
	node           *consumertest.Node
	stopForwarding context.CancelFunc
	forwarded      chan struct{} // closed when the forwarder has ended
	dead           chan struct{} // closed when it was killed, or has ended
	left           chan struct{} // closed when the next one may start
	exiting        atomic.Bool   // kill or stop was called
	stopRequested  bool          // under simulation.mu
	dials          int           // of Redis, so far; under simulation.mu
}

// start starts a process. Its groups resume where the last process of that prefix was.
func (m *simulation) start(prefix string) *process {
	p := &process{
		simulation: m, prefix: prefix, member: m.claims.Join(),
		dead: make(chan struct{}), left: make(chan struct{}), forwarded: make(chan struct{}),
	}
	p.redisLink = bubble.NewLink(p.dialRedis)
	p.kafkaLink = bubble.NewLink(m.dial)
	p.name = p.session()
	log := zaptest.NewLogger(m.t).Named(p.name)
	p.node = consumertest.Start(m.t, consumer.Config{
		Kafka:          m.kafkaOptions(p.kafkaLink.Dial),
		Prefix:         m.installation(prefix),
		Queues:         []consumer.Queue{{Name: "tasks", Retry: retry.Policy{MaxAttempts: maxAttempts}}},
		Mux:            p.mux(),
		Node:           p.name,
		Concurrency:    4,
		Drain:          5 * time.Second,
		SessionTimeout: sessionTimeout,
		MaxPin:         8 * time.Second,
		Claims:         m.claims.StoreOver(p.redisLink),
		Members:        p.member,
		Log:            log,
	})
	p.forward(log)
	m.logf("%s starts as %s", prefix, p.name)
	return p
}

func (p *process) mux() *consumer.Mux {
	mux := consumer.NewMux()
	if err := mux.Handle("job", func(ctx context.Context, tk *task.Task) error { return p.handle(p, ctx, tk) }); err != nil {
		p.t.Fatal(err)
	}
	return mux
}

// forward starts the forwarder.
func (p *process) forward(log *zap.Logger) {
	cfg := retry.Config{
		Kafka:  append(p.kafkaOptions(p.kafkaLink.Dial), kgo.ClientID(p.name), kgo.WithHooks(p.observer)),
		Prefix: p.installation(p.prefix), Fallback: "tasks", Node: p.name, SessionTimeout: sessionTimeout, Log: log,
	}
	if p.smallForwarder {
		cfg.MaxBytes = 2 << 10
	}
	f, err := retry.New(cfg)
	if err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	p.stopForwarding = cancel
	go func() {
		defer close(p.forwarded)
		if err := f.Run(ctx); err != nil {
			p.t.Errorf("forwarder: %v", err)
		}
	}()
}

// kill ends the process as SIGKILL does, as far as others can tell: from now on it records neither a claim nor an offset, and
// it is cut off from Kafka a little later; what it writes until then it might have written before. Its session ends two
// seconds later. What is left of it in this test ends by itself, without effect.
//
// Without synctests it is not cut off from Kafka.
func (p *process) kill() {
	if !p.exiting.CompareAndSwap(false, true) {
		return
	}
	p.logf("%s is killed", p.session())
	p.disturbed()
	close(p.dead)
	p.redisLink.Cut()
	allowCommits := p.refuseCommits()
	p.node.Abort()
	session := p.endLease()
	p.background.Go(func() {
		if synctests {
			p.groups.waitStable(p.installation(p.prefix))
			p.kafkaLink.Cut()
			allowCommits()
		}
		p.stopForwarding()
		time.Sleep(2 * time.Second)
		p.expire(session)
		p.groups.noteDead(p.name)
		if synctests {
			close(p.left)
		} else {
			defer close(p.left)
		}
		_ = p.node.Stop() // a handler may still run
		<-p.forwarded
		allowCommits()
	})
}

// refuseCommits has all commits of the process refused until the function that it returns is called.
func (p *process) refuseCommits() (allow func()) {
	return p.kafka.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.UnknownMemberID, Count: -1,
		When: func(r kmsg.Request) bool {
			return strings.HasPrefix(r.(*kmsg.OffsetCommitRequest).MemberID, p.name+"-")
		}, //nolint:forcetypeassert // by Keys
	}).Remove
}

// stop stops the process as a node stops: the forwarder last.
func (p *process) stop() {
	if !p.exiting.CompareAndSwap(false, true) {
		return
	}
	defer close(p.left)
	p.mu.Lock()
	p.stopRequested = true
	p.mu.Unlock()
	p.logf("%s stops", p.session())
	if err := p.node.Stop(); err != nil && !errors.Is(err, consumer.ErrAbandoned) {
		p.t.Error(err)
	}
	p.stopForwarding()
	<-p.forwarded
	p.logf("%s has stopped", p.session())
	p.groups.noteDead(p.name) // its leave request may have been lost
	close(p.dead)
	p.redisLink.Cut()
	p.expire(p.endLease())
}

// loseSession ends the session of the process, which notices it before the others do, and opens another one later.
func (p *process) loseSession(pause time.Duration) {
	if p.stopping() || p.member.Lease() == nil {
		return
	}
	session := p.endLease()
	p.logf("%s loses its session", session)
	p.background.Go(func() {
		time.Sleep(time.Second)
		p.expire(session)
		time.Sleep(pause)
		select {
		case <-p.dead:
		default:
			p.logf("%s becomes %s", session, p.member.OpenSession())
		}
	})
}

// stopping reports whether the process has ended or was told to stop.
func (p *process) stopping() bool {
	select {
	case <-p.dead:
		return true
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stopRequested
}

// cut cuts a link of the process and restores it after d.
func (p *process) cut(server string, l *bubble.Link, d time.Duration) {
	if p.stopping() {
		return
	}
	if l == p.kafkaLink {
		p.groups.waitStable(p.installation(p.prefix))
	}
	p.logf("%s can't reach %s for %v", p.prefix, server, d)
	l.Cut()
	time.Sleep(d)
	select {
	case <-p.dead:
	default:
		l.Restore()
		p.logf("%s can reach %s again", p.prefix, server)
	}
}

// endLease ends the lease of the process's session: the process no longer trusts it, and others still see it.
func (p *process) endLease() (session string) {
	session = p.member.EndLease()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaseEnds[session] = time.Now()
	return session
}

// session returns the id of the process's session, for logs and names.
func (p *process) session() string {
	if l := p.member.Lease(); l != nil {
		return l.ID()
	}
	return "one without a session"
}

func (p *process) dialRedis(context.Context, string, string) (net.Conn, error) {
	conn, err := p.claims.Redis.Dial()
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dials++
	return &faultyConn{Conn: conn, rate: p.redisFaultRate, rng: p.random("redis/"+p.session(), p.dials)}, nil
}
