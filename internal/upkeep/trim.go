package upkeep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// What keeps the records from Target on, in a [TrimPlan], beside "group NAME" for a group that is to be kept for.
const (
	KeptUnfinished = "unfinished" // they are to be run, or nobody knows whether they were
	KeptHistory    = "history"    // they are too young
	KeptSilent     = "no answer"  // the partition has no leader
)

// A TrimPlan says which records of a partition nobody needs any more.
type TrimPlan struct {
	Topic     string
	Partition int32
	// Start is the oldest record there is, Target the oldest one that stays, End the next one to come. If the first two are
	// equal, nothing is to be done. All are -1 if the partition does not answer.
	Start, Target, End int64
	// Kept says what keeps those from Target on.
	Kept string

	id        kadm.TopicID
	groupless bool // the group that keeps them has no offset here
}

// Records is how many offsets the plan gives up; fewer records where there were transactions.
func (p TrimPlan) Records() int64 { return p.Target - p.Start }

// GroupKept is what [TrimPlan.Kept] says if a group needs the records.
func GroupKept(name string) string { return "group " + name }

// Trimming says what may be trimmed of a reader's topics.
type Trimming struct {
	// History is how long records stay after they were appended, by the brokers' clocks and this machine's. 0: not at all.
	History time.Duration
	// KeepFor are consumer groups of others that read the topics, too: what they have not committed stays. A group that has
	// no offset for a partition keeps all of it.
	KeepFor []string
}

// PlanTrim says for each partition of a queue, or of the [Tiers], what can be trimmed: only what is below the committed
// offset, older than the history, and below the committed offsets of the groups that are to be kept for. It changes nothing.
func PlanTrim(ctx context.Context, in Installation, queue string, what Trimming) ([]TrimPlan, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	r := in.reader(queue)
	s, err := in.survey(ctx, r)
	if err != nil {
		return nil, err
	}
	return in.planTrim(ctx, r, s, what)
}

func (in Installation) planTrim(ctx context.Context, r reader, s survey, what Trimming) ([]TrimPlan, error) {
	var young kadm.ListedOffsets
	if what.History > 0 {
		var err error
		young, err = in.Kafka.ListOffsetsAfterMilli(ctx, time.Now().Add(-what.History).UnixMilli(), r.topics...)
		if ctx.Err() != nil { // else the partitions that failed say so
			return nil, fmt.Errorf("find what is older than %s in %v: %w", what.History, r.topics, err)
		}
	}
	others, err := in.othersOffsets(ctx, what.KeepFor)
	if err != nil {
		return nil, err
	}
	plans := make([]TrimPlan, 0, len(s.partitions))
	for _, p := range s.partitions {
		var bounds []bound
		if what.History > 0 {
			// What is appended after the survey is young, too: where no record is, the client answers with an end of later.
			b := bound{kept: KeptHistory, offset: unknown}
			if o, ok := young.Lookup(p.topic, p.number); ok && o.Err == nil {
				b.offset = min(o.Offset, p.end)
			}
			bounds = append(bounds, b)
		}
		for _, group := range what.KeepFor {
			b := bound{kept: GroupKept(group), offset: unknown, group: true}
			if o, ok := others[group].Lookup(p.topic, p.number); ok && o.Err == nil {
				b.offset = o.At
			}
			bounds = append(bounds, b)
		}
		plan := p.trim(bounds)
		plan.id = s.ids[p.topic]
		plans = append(plans, plan)
	}
	return plans, nil
}

// A bound is an offset from which on something keeps the records; unknown keeps all.
type bound struct {
	kept   string
	offset int64
	group  bool // a group does
}

// trim is the plan of a partition, within bounds beside what is finished.
func (p partition) trim(bounds []bound) TrimPlan {
	plan := TrimPlan{Topic: p.topic, Partition: p.number, Start: p.start, Target: p.start, End: p.end, Kept: KeptSilent}
	if p.start == unknown {
		return plan
	}
	least := bound{kept: KeptUnfinished, offset: p.done()}
	for _, b := range bounds {
		if b.offset < least.offset {
			least = b
		}
	}
	plan.groupless = least.group && least.offset == unknown
	plan.Kept, plan.Target = least.kept, max(least.offset, p.start)
	return plan
}

// othersOffsets are the committed offsets of groups. One that does not exist has none.
func (in Installation) othersOffsets(ctx context.Context, groups []string) (map[string]kadm.OffsetResponses, error) {
	found := make(map[string]kadm.OffsetResponses, len(groups))
	for group, r := range in.Kafka.FetchManyOffsets(ctx, groups...) {
		if r.Err != nil && !errors.Is(r.Err, kerr.GroupIDNotFound) {
			return nil, fmt.Errorf("read the offsets of group %s, which records are kept for: %w", group, r.Err)
		}
		found[group] = r.Fetched
	}
	return found, nil
}

// A TrimResult is what became of a plan.
type TrimResult struct {
	TrimPlan
	// Err is why it was not carried out. A [*topic.AccessError] says that the user may not.
	Err error
}

// Trim carries plans out, those of one topic at a time, and returns the result of each that has something to do. That
// another one trims too does no harm.
func Trim(ctx context.Context, in Installation, plans []TrimPlan) []TrimResult {
	var results []TrimResult
	for len(plans) > 0 {
		n := slices.IndexFunc(plans, func(p TrimPlan) bool { return p.Topic != plans[0].Topic })
		if n < 0 {
			n = len(plans)
		}
		results = append(results, in.trimTopic(ctx, plans[:n])...)
		plans = plans[n:]
	}
	return results
}

func (in Installation) trimTopic(ctx context.Context, plans []TrimPlan) []TrimResult {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	offsets := make(kadm.Offsets)
	var results []TrimResult
	for _, p := range plans {
		if p.Records() > 0 {
			offsets.AddOffset(p.Topic, p.Partition, p.Target, -1)
			results = append(results, TrimResult{TrimPlan: p})
		}
	}
	if len(results) == 0 {
		return nil
	}
	// The request can only name the topic: one that was created anew since the plan was made has other records.
	name := plans[0].Topic
	details, err := in.topics(ctx, []string{name})
	if err == nil && details[name].ID != plans[0].id {
		err = fmt.Errorf("delete records of %s: the topic was created anew meanwhile", name)
	}
	var deleted map[int32]error
	if err == nil {
		deleted, err = in.deleteRecords(ctx, name, offsets)
	}
	for i, r := range results {
		failed, answered := deleted[r.Partition]
		switch {
		case answered:
			results[i].Err = failed
		case err != nil:
			results[i].Err = err
		default:
			results[i].Err = fmt.Errorf("delete records of partition %d of %s: no answer", r.Partition, name)
		}
	}
	return results
}

// deleteRecords returns what the brokers said of each partition.
func (in Installation) deleteRecords(ctx context.Context, name string, offsets kadm.Offsets) (map[int32]error, error) {
	answers, err := in.Kafka.DeleteRecords(ctx, offsets)
	said := make(map[int32]error)
	for number, a := range answers[name] {
		switch {
		case errors.Is(a.Err, kerr.TopicAuthorizationFailed):
			said[number] = forbidden(name)
		case errors.Is(a.Err, kerr.OffsetOutOfRange): // another has trimmed it further; or it was cut, and the next plan sees
			said[number] = nil
		case a.Err != nil:
			said[number] = fmt.Errorf("delete records of partition %d of %s: %w", number, name, a.Err)
		default:
			said[number] = nil
		}
	}
	if err != nil {
		err = fmt.Errorf("delete records of %s: %w", name, err)
	}
	return said, err
}

func forbidden(name string) error {
	return &topic.AccessError{Doing: "delete records of topic", Topics: []string{name}, Needs: "DELETE on it", Err: kerr.TopicAuthorizationFailed}
}

// mayTrim asks for what changes nothing: that the records before the first one be deleted. A [*topic.AccessError] says
// that the user may not.
func (in Installation) mayTrim(ctx context.Context, s survey) error {
	topics := make(map[string]kadm.Offsets)
	for _, p := range s.partitions {
		if topics[p.topic] == nil && p.start != unknown {
			var first kadm.Offsets
			first.AddOffset(p.topic, p.number, p.start, -1)
			topics[p.topic] = first
		}
	}
	for name, offsets := range topics {
		said, err := in.deleteRecords(ctx, name, offsets)
		for _, e := range said {
			err = errors.Join(err, e)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
