package consumer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/throttle"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/zap"
)

// A queue is this node's part in one queue: a member of its consumer group, the partitions that are assigned to it, and
// the window on what it holds in memory.
type queue struct {
	Queue
	consumer *Consumer
	client   *kgo.Client
	cut      context.CancelFunc // ends what the client waits for
	window   *window
	share    *share
	log      *zap.Logger

	// partitions is changed by the rebalance callbacks and by data loss, both while no polled records are being
	// admitted (BlockRebalanceOnPoll); mu lets the commit loop and statistics read it meanwhile.
	mu         sync.Mutex
	partitions map[int32]*partition

	// How many turns stand at gates, and their size: under the lock of gates.
	standing      int
	standingBytes int64

	// committing is a lock that makes commits one at a time, so that an older watermark never overwrites a newer one and
	// nothing is committed for a partition after its revocation was handled. A commit waits for brokers with it, so it is a
	// channel: in a bubble of testing/synctest the clock goes on while somebody waits for that.
	committing chan struct{}
	// rangesLimit is how many bytes of metadata the broker takes for a partition, as far as is known; under committing.
	rangesLimit int

	lastPoll atomic.Int64 // Unix nanoseconds of the poll loop's last sign of life
	count    counters
	idle     int               // rounds in a row in which there was nothing to do; see spread
	trouble  throttle.Throttle // of fetches and commits
	unknown  throttle.Throttle // of types without a handler
}

// turnSlab is how many turns are allocated at once. One turn that stays at work keeps its neighbours' memory.
const turnSlab = 32

// pollPatience bounds one poll, so that the loop gives a sign of life when there is nothing to fetch.
const pollPatience = 5 * time.Second

func (c *Consumer) newQueue(cfg Queue, share *share, win *window) (*queue, error) {
	q := &queue{
		Queue:      cfg,
		consumer:   c,
		window:     win,
		share:      share,
		log:        c.cfg.Log.With(zap.String("queue", cfg.Name)),
		partitions: make(map[int32]*partition),
		committing: make(chan struct{}, 1),

		rangesLimit: maxRanges,
	}
	fetch := int32(min(max(c.cfg.MaxInflightBytes/16, 256<<10), 64<<20))
	opts := append([]kgo.Opt{}, c.cfg.Kafka...)
	ctx, cut := context.WithCancel(context.Background())
	q.cut = cut
	opts = append(opts,
		kgo.WithContext(ctx),
		kgo.ClientID(c.cfg.Node), // so that whoever describes the group sees which node has what
		kgo.ConsumerGroup(names.Group(c.cfg.Prefix, cfg.Name)),
		kgo.ConsumeTopics(names.Pending(cfg.Name)),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		// A record of an aborted transaction is no task.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// A group without offsets reads everything there is, and one whose offset is gone the oldest that is left:
		// unfinished work must never be stepped over.
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		// What is polled is admitted to its partition's tracker before the assignment can change.
		kgo.BlockRebalanceOnPoll(),
		kgo.DisableAutoCommit(),
		// Partitions that an idle client is given wait behind its long poll: a takeover would take as much longer.
		kgo.FetchMaxWait(500*time.Millisecond),
		kgo.SessionTimeout(c.cfg.SessionTimeout),
		kgo.HeartbeatInterval(c.cfg.SessionTimeout/10),
		// A revocation waits for the tasks at work, up to the drain time.
		kgo.RebalanceTimeout(c.cfg.Drain+30*time.Second),
		// What the client fetches ahead is not in the window, and small records that compress well take forty times as
		// much memory as on the wire.
		kgo.FetchMaxBytes(fetch),
		kgo.FetchMaxPartitionBytes(max(fetch/16, 64<<10)),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { q.assigned(m) }),
		kgo.OnOffsetsFetched(func(_ context.Context, _ *kgo.Client, resp *kmsg.OffsetFetchResponse) error {
			q.fetched(resp)
			return nil
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, _ *kgo.Client, m map[string][]int32) { q.revoked(ctx, m) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { q.lost(m) }),
	)
	var err error
	q.mu.Lock() // the callbacks, which may come at once, wait until the client is known
	q.client, err = kgo.NewClient(opts...)
	q.mu.Unlock()
	if err != nil {
		cut()
		return nil, fmt.Errorf("join queue %q: %w", cfg.Name, err)
	}
	q.lastPoll.Store(time.Now().UnixNano())
	return q, nil
}

// poll fetches records while the window has room and gives them to begin, until ctx ends. Every record that a poll
// returns is admitted: a record that was polled and not admitted would look like a gap in the log.
func (q *queue) poll(ctx context.Context) {
	for ctx.Err() == nil {
		room := q.window.wait(ctx)
		if room == 0 {
			return
		}
		q.lastPoll.Store(time.Now().UnixNano()) // it may have waited long
		patience, cancel := context.WithTimeout(ctx, pollPatience)
		fetches := q.client.PollRecords(patience, room)
		cancel()
		turns := q.admit(fetches)
		q.client.AllowRebalance()
		q.lastPoll.Store(time.Now().UnixNano())
		if fetches.IsClientClosed() {
			return
		}
		q.report(fetches)
		q.consumer.begin(q, turns)
	}
}

// admit gives every fetched record its place in its partition's tracker and decodes it. Those that an earlier assignment
// finished are complete at once, and are no turns.
func (q *queue) admit(fetches kgo.Fetches) []*turn {
	turns := make([]*turn, 0, fetches.NumRecords())
	var bytes int64
	var slab []turn
	now := q.consumer.uptime()
	fetches.EachPartition(func(fp kgo.FetchTopicPartition) {
		if len(fp.Records) == 0 {
			return
		}
		p := q.partitions[fp.Partition]
		if p == nil {
			return // no longer ours
		}
		p.mu.Lock()
		for _, r := range fp.Records {
			if r.Offset < p.tracker.Next() {
				var ok bool
				if p, ok = q.restart(p, r.Offset); !ok {
					break // fetched again from where the restart begins
				}
			}
			if p.known == untold {
				p.known.offset = r.Offset
			}
			if p.finished(r) {
				place, _ := p.tracker.Add(r.Offset, nil)
				p.tracker.Finish(place)
				continue
			}
			if len(slab) == 0 {
				slab = make([]turn, turnSlab)
			}
			t := &slab[0]
			slab = slab[1:]
			t.record, t.part = r, p
			t.place, _ = p.tracker.Add(r.Offset, t)
			t.bytes, t.since = int64(record.Size(r)), now
			bytes += t.bytes
			turns = append(turns, t)
		}
		wide := !p.paused && p.tracker.Span() > q.consumer.cfg.MaxSpan
		p.paused = p.paused || wide
		p.mu.Unlock()
		if wide {
			q.pause(p)
		}
	})
	q.window.charge(len(turns), bytes)
	q.count.polled.Add(uint64(len(turns)))
	for _, t := range turns {
		q.decode(t)
	}
	return turns
}

// decode reads the record into the turn's task. Bad ones get their reason and go on: begin sends them to the dead
// letters.
func (q *queue) decode(t *turn) {
	t.bad = record.Decode(t.record, &t.task)
	t.task.Queue = q.Name
	if q.Ordered && t.bad == nil {
		t.lane = t.task.Key
	}
}

// restart replaces a partition whose log went back: offsets are used again, so what the old tracker knows is void. It says
// whether the log goes on at offset; else unfinished records lie below it, which the new tracker would not know, and the
// partition is fetched from the oldest of them again. The old partition's lock is held, and the new one's when it returns.
func (q *queue) restart(old *partition, offset int64) (p *partition, ok bool) {
	unfinished := old.tracker.Offset()
	q.log.Error("partition went back: its log was truncated or re-created; consuming what is there now",
		zap.Int32("partition", old.id), zap.Int64("offset", offset), zap.Int64("expected", old.tracker.Next()))
	old.mu.Unlock()
	q.drop(old.close()...)
	q.drop(q.consumer.slots.drop(q.share, old)...)
	q.drop(q.consumer.gates.drop(q, old)...)
	old.forget()
	p = newPartition(q, old.id)
	p.known = void
	q.mu.Lock()
	q.partitions[old.id] = p
	q.mu.Unlock()
	p.mu.Lock()
	if unfinished >= offset {
		return p, true
	}
	q.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{names.Pending(q.Name): {old.id: {Epoch: -1, Offset: unfinished}}})
	return p, false
}

// drop forgets turns without completing them: they will be delivered again, to whoever has the partition then.
func (q *queue) drop(turns ...*turn) {
	if len(turns) == 0 {
		return
	}
	var bytes int64
	for _, t := range turns {
		bytes += t.bytes
		q.consumer.rejoin(t)
		q.consumer.gates.leave(t)
		if t.hold != nil && t.hold.Runs() { // won, and not started, or given up before its end
			q.consumer.book.Release(t.hold, func(claim.Result) {})
		}
	}
	q.window.release(len(turns), bytes)
	q.count.dropped.Add(uint64(len(turns)))
}

// pause stops fetching a partition whose oldest unfinished record has fallen too far behind: what was finished above it
// would be repeated after a crash, and the tracker must stay bounded. See resume.
func (q *queue) pause(p *partition) {
	q.log.Warn("partition paused: its oldest unfinished task holds back too many finished ones",
		zap.Int32("partition", p.id), zap.Int("limit", q.consumer.cfg.MaxSpan))
	q.client.PauseFetchPartitions(map[string][]int32{names.Pending(q.Name): {p.id}})
}

// resume fetches paused partitions again whose span has shrunk to half the limit.
func (q *queue) resume(parts []*partition) {
	for _, p := range parts {
		p.mu.Lock()
		narrow := p.paused && p.tracker.Span() <= q.consumer.cfg.MaxSpan/2
		if narrow {
			p.paused = false
		}
		p.mu.Unlock()
		if narrow {
			q.client.ResumeFetchPartitions(map[string][]int32{names.Pending(q.Name): {p.id}})
		}
	}
}

// report logs what the poll met, each kind of trouble at most every half minute. The client goes on by itself.
func (q *queue) report(fetches kgo.Fetches) {
	fetches.EachError(func(topic string, partition int32, err error) {
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) && q.trouble.Allow() {
			q.log.Warn("fetch failed; trying on", zap.String("topic", topic), zap.Int32("partition", partition), zap.Error(err))
		}
	})
}

// assignment returns the partitions that are assigned now.
func (q *queue) assignment() []*partition {
	q.mu.Lock()
	defer q.mu.Unlock()
	parts := make([]*partition, 0, len(q.partitions))
	for _, p := range q.partitions {
		parts = append(parts, p)
	}
	return parts
}
