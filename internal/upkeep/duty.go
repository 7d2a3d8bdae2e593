package upkeep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/nap"
	"github.com/tasktier/tasktier/internal/throttle"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"
)

const (
	defaultEvery = time.Minute
	// blind is after how many rounds in a row that saw nothing the lead is given up: another node may see more.
	blind = 3
)

// Config says what a [Duty] is about.
type Config struct {
	// Installation is where it is done. Etcd is required here.
	Installation
	// Queue is the queue that it is done for, or [Tiers].
	Queue string
	// Trimming says what may be trimmed. For the [Tiers] leave it zero: what was forwarded has no history.
	Trimming
	// Every is the time between two rounds, give or take a tenth. Default: a minute.
	Every time.Duration
}

// A Duty is what one node at a time does for a queue; see the package's documentation. It is safe for concurrent use.
type Duty struct {
	cfg    Config
	reader reader

	mu    sync.Mutex
	stats Stats

	blinded, unmirrored, untrimmed, kept throttle.Throttle // what of the log
}

// Stats are what a duty's node knows.
type Stats struct {
	// Leading says whether it leads now; else what follows is zero, but for Trimmed.
	Leading bool
	// Read is when the lag was read. Zero: it was not yet.
	Read time.Time
	// Lag is how many offsets lie between what is finished and the ends of the partitions; Partitions has it for each, by
	// topic and number. Partitions that don't answer are left out.
	Lag        int64
	Partitions map[string]map[int32]int64
	// Mirrored is when the mirror was last found to be right, or set right. Zero: it was not yet.
	Mirrored time.Time
	// Trimmed counts the offsets that this node has given up since its start.
	Trimmed uint64
}

// New returns a Duty for [coord.Membership.Lead], under its [Duty.Name].
func New(cfg Config) (*Duty, error) {
	switch {
	case cfg.Kafka == nil || cfg.Etcd == nil:
		return nil, errors.New("configure upkeep: no client of Kafka, or none of etcd")
	case cfg.KafkaPrefix == "":
		return nil, errors.New("configure upkeep: no prefix of groups")
	case cfg.History < 0 || cfg.Every < 0:
		return nil, fmt.Errorf("configure upkeep of queue %q: a history of %s, a round every %s: they can't be negative", cfg.Queue, cfg.History, cfg.Every)
	}
	cfg.Every = cmp.Or(cfg.Every, defaultEvery)
	return &Duty{cfg: cfg, reader: cfg.reader(cfg.Queue)}, nil
}

// Name is the name under which the leader in the duty is elected.
func (d *Duty) Name() string { return DutyName(d.cfg.Queue) }

// DutyName is the name of the duty for a queue, or for the [Tiers].
func DutyName(queue string) string {
	if queue == Tiers {
		return "upkeep"
	}
	return "upkeep." + queue
}

// Stats returns what is known now. The caller may keep it, and must not change it.
func (d *Duty) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stats
}

func (d *Duty) note(f func(*Stats)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.stats)
}

// A term is what is known during one term.
type term struct {
	coord.Term
	allowed, refused bool // trimming; neither: not asked yet
}

// Lead is a [coord.Duty]: a round at once, and then each Config.Every, until ctx ends. An error says that rounds in a row
// saw nothing of the queue.
func (d *Duty) Lead(ctx context.Context, t coord.Term) error {
	d.note(func(s *Stats) { s.Leading = true })
	defer d.note(func(s *Stats) { *s = Stats{Trimmed: s.Trimmed} })
	now := &term{Term: t}
	for failed := 0; ; {
		err := d.round(ctx, now)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			failed = 0
		default:
			if d.blinded.Allow() {
				d.reader.log.Warn("can't see to the queue; trying on", zap.Error(err))
			}
			if failed++; failed == blind {
				return err
			}
		}
		if !nap.For(ctx, jitter(d.cfg.Every, rand.Float64())) {
			return nil
		}
	}
}

// jitter is d, give or take a tenth, as a number from 0 to 1 says.
func jitter(d time.Duration, by float64) time.Duration {
	return time.Duration(float64(d) * (0.9 + 0.2*by))
}

// round does each part for itself. An error says that none could be done.
func (d *Duty) round(ctx context.Context, t *term) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	m, revision, mirrorErr := d.cfg.readMirror(ctx, d.reader) // before what is committed: see follow
	s, err := d.cfg.survey(ctx, d.reader)
	if err != nil {
		return err
	}
	d.measure(s)
	if mirrorErr == nil || unreadable(mirrorErr) {
		mirrorErr = d.mirror(ctx, t, m, revision, s)
	}
	if mirrorErr != nil && ctx.Err() == nil && d.unmirrored.Allow() {
		d.reader.log.Warn("committed offsets are not mirrored in etcd; trying on", zap.Error(mirrorErr))
	}
	if err := d.trim(ctx, t, s); err != nil && ctx.Err() == nil && d.untrimmed.Allow() {
		d.reader.log.Warn("what nobody needs any more is not trimmed; trying on", zap.Error(err))
	}
	return nil
}

func (d *Duty) measure(s survey) {
	lag, partitions := int64(0), make(map[string]map[int32]int64)
	for _, p := range s.partitions {
		if p.end == unknown {
			continue
		}
		behind := p.end - max(p.done(), p.start)
		lag += behind
		if partitions[p.topic] == nil {
			partitions[p.topic] = make(map[int32]int64)
		}
		partitions[p.topic][p.number] = behind
	}
	d.note(func(s *Stats) { s.Read, s.Lag, s.Partitions = time.Now(), lag, partitions })
}

// mirror has the mirror follow what is committed, while the term lasts.
func (d *Duty) mirror(ctx context.Context, t *term, m mirror, revision int64, s survey) error {
	next, changed := m.follow(s)
	if changed {
		if err := d.cfg.writeMirror(ctx, d.reader, next, revision, t.Lasts()); err != nil {
			return err
		}
	}
	for topic, id := range s.ids {
		if id == (kadm.TopicID{}) {
			return fmt.Errorf("topic %s has no id that would tell it from another one of that name: these brokers are too old", topic)
		}
	}
	d.note(func(s *Stats) { s.Mirrored = time.Now() })
	return nil
}

// trim trims what it may. A term in which it was refused does not try again.
func (d *Duty) trim(ctx context.Context, t *term, s survey) error {
	if t.refused {
		return nil
	}
	if !t.allowed {
		if err := d.cfg.mayTrim(ctx, s); err != nil {
			return d.refused(t, err)
		}
		t.allowed = true
	}
	plans, err := d.cfg.planTrim(ctx, d.reader, s, d.cfg.Trimming)
	if err != nil {
		return err
	}
	d.warnOfKept(plans)
	var errs []error
	trimmed := uint64(0)
	for _, r := range Trim(ctx, d.cfg.Installation, plans) {
		if r.Err == nil {
			trimmed += uint64(r.Records())
		}
		errs = append(errs, r.Err)
	}
	d.note(func(s *Stats) { s.Trimmed += trimmed })
	return d.refused(t, errors.Join(errs...))
}

// refused is err, unless it says that this user may not trim: that is said once a term, and is the end of it.
func (d *Duty) refused(t *term, err error) error {
	access := (*topic.AccessError)(nil)
	if !errors.As(err, &access) {
		return err
	}
	t.refused = true
	d.reader.log.Warn("finished records stay for ever, as this user may not delete them; grant it the ACL operation Delete on the topic",
		zap.Strings("topics", access.Topics), zap.Error(access))
	return nil
}

// warnOfKept names groups that are to be kept for and have no offsets: a wrong name would keep everything for ever.
func (d *Duty) warnOfKept(plans []TrimPlan) {
	for _, group := range d.cfg.KeepFor {
		var open []int32
		for _, p := range plans {
			if p.Kept == GroupKept(group) && p.groupless {
				open = append(open, p.Partition)
			}
		}
		if len(open) > 0 && d.kept.Allow() {
			d.reader.log.Warn("nothing is trimmed where a group of keep_for has committed no offset; take it out of keep_for if there is none of that name",
				zap.String("group", group), zap.Int32s("partitions", open))
		}
	}
}
