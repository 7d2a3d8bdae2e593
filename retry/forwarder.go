package retry

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/internal/tier"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// A Forwarder brings waiting tasks back to their queues. Build one with [New]; Run it once. Every node has one: they
// share the partitions of the tiers.
type Forwarder struct {
	cfg     Config
	group   *kgo.Client // membership and commits; it never fetches
	adm     *kadm.Client
	out     *kgo.Client
	writer  *Writer
	letters *deadletter.Writer

	calls chan func()   // to be run by the loop
	ended chan struct{} // closed when the loop has ended
	reads chan read     // from the readers

	// What follows belongs to the loop.
	slots    map[place]*slot
	opened   []*slot   // those that are open
	bytes    int64     // in all heaps
	flying   int64     // bytes that are being written
	reviewed time.Time // when review ran last, by the wall clock
	commitAt time.Time // when to commit; zero: there is nothing to
	reviewAt time.Time // when it is to run next
	leaving  *leaving  // partitions that are being given back

	// oneCommit is a lock: one commit at a time, so that an older one never overwrites a newer. A commit waits for brokers
	// with it, so it is a channel: in a bubble of testing/synctest the clock goes on while somebody waits for that.
	oneCommit  chan struct{}
	committing atomic.Bool
	background sync.WaitGroup // commits and readers

	ackMu sync.Mutex
	acks  []ack
	acked chan struct{}

	writing     context.Context
	stopWriting context.CancelFunc
	counts      counts
}

type place struct {
	hour      bool
	partition int32
}

// An ack tells that an item's copy was acknowledged, or given up because the forwarder ends.
type ack struct {
	opening *opening
	item    *item
	err     error
	instead func() // what to do if it failed; may be nil
}

// A read is what a reader has fetched.
type read struct {
	opening *opening
	pass    int
	records []*kgo.Record
}

type counts struct{ forwarded, routed, dead, dropped atomic.Uint64 }

// Stats counts what a forwarder did since the start of the process.
type Stats struct {
	Forwarded uint64 // records brought back to their queue
	Routed    uint64 // records handed on within the tiers
	Dead      uint64 // records that could not be obeyed
	Reread    uint64 // records dropped for want of memory, and read again later
}

// Stats returns a snapshot.
func (f *Forwarder) Stats() Stats {
	return Stats{f.counts.forwarded.Load(), f.counts.routed.Load(), f.counts.dead.Load(), f.counts.dropped.Load()}
}

const (
	// maxReaders bounds the partitions that are read at once: a dozen are open at any time, more after an outage.
	maxReaders = 24
	// commitEvery is how often progress is committed: what was forwarded since is forwarded again after a crash.
	commitEvery = 200 * time.Millisecond
	// burst is how many records are forwarded before the loop looks at anything else.
	burst = 1000
	// maxBuffered and maxBufferedBytes bound what waits in the client that writes.
	maxBuffered      = 50_000
	maxBufferedBytes = 64 << 20
	// fullPause is the time between two looks at a producer that has no room.
	fullPause = 5 * time.Millisecond
	// settleFor bounds the wait for acknowledgements when partitions are given back.
	settleFor = 5 * time.Second
)

// New builds a forwarder. Whoever builds one must Run it.
func New(cfg Config) (*Forwarder, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	f := &Forwarder{
		cfg:   cfg,
		calls: make(chan func()),
		ended: make(chan struct{}),
		reads: make(chan read),
		slots: make(map[place]*slot),
		acked: make(chan struct{}, 1),

		oneCommit: make(chan struct{}, 1),
	}
	if f.out, err = kgo.NewClient(append(OutOptions(cfg.Kafka, cfg.Prefix, cfg.MaxMessageBytes),
		kgo.MaxBufferedRecords(maxBuffered), kgo.MaxBufferedBytes(max(maxBufferedBytes, 2*cfg.MaxMessageBytes)))...); err != nil {
		return nil, fmt.Errorf("configure forwarder: %w", err)
	}
	f.adm = kadm.NewClient(f.out)
	f.writer = NewWriter(f.out, cfg.Prefix, cfg.Log)
	f.letters = deadletter.NewWriter(f.out, cfg.Node, cfg.Log)
	f.writing, f.stopWriting = context.WithCancel(context.Background())
	return f, nil
}

// Run forwards until ctx ends, commits and leaves the group.
func (f *Forwarder) Run(ctx context.Context) (err error) {
	joining, cut := context.WithCancel(context.Background())
	defer cut()
	if f.group, err = kgo.NewClient(f.groupOptions(joining)...); err != nil {
		f.out.Close()
		return fmt.Errorf("join forwarder group: %w", err)
	}
	looping, stopLoop := context.WithCancel(context.Background())
	var loop sync.WaitGroup
	loop.Go(func() { f.loop(looping) })

	<-ctx.Done()
	leaving, cancel := context.WithTimeout(context.Background(), 2*settleFor)
	if err := f.group.LeaveGroupContext(leaving); err != nil { // revokes: waits for what flies, commits
		f.cfg.Log.Warn("leave forwarder group failed; it will notice by itself", zap.Error(err))
		cut() // else closing waits for others whom a rebalance waits for
	}
	cancel()
	f.group.Close()
	f.stopWriting()
	f.out.Close() // ends what a silent broker keeps in flight, whose context alone does not
	f.writer.Close()
	f.letters.Close()
	stopLoop()
	loop.Wait()
	f.background.Wait()
	return nil
}

// do runs a function in the loop and waits for it; not at all when the loop has ended. It must not be called from the
// loop.
func (f *Forwarder) do(call func()) {
	done := make(chan struct{})
	select {
	case f.calls <- func() { call(); close(done) }:
		<-done
	case <-f.ended:
	}
}

func (f *Forwarder) topic(hour bool) string { return tier.Place{Hour: hour}.Topic(f.cfg.Prefix) }
