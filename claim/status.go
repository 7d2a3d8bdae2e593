package claim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrUnknown says that there is no claim: nobody has begun the task or announced it, or its window is over.
var ErrUnknown = errors.New("task is not known")

// A Status is all that is known of a task.
type Status struct {
	Entry
	// Details are what there is to say beside the claim; zero if there is nothing. They are as old as the last attempt
	// that had something to say: a task that succeeded still shows the error of the attempt before.
	Details Details
	// CancelAsked says that the run was asked to end and has not yet.
	CancelAsked bool
	// Fence is the fencing token of the run, or of the last one; 0 before the first.
	Fence int64
	// Until is when the claim expires as it is now, to be forgotten.
	Until time.Time
}

// Get returns what is known of a task. The error wraps [ErrUnknown], or [ErrFormat] for a claim that a later version
// wrote, or says that Redis did not answer.
func (s *Store) Get(ctx context.Context, id Identity) (Status, error) {
	looks, err := s.look(ctx, []Identity{id})
	if err != nil {
		return Status{}, err
	}
	return looks[0].status(id, time.Now())
}

// A look is what Redis shows of a task.
type look struct {
	claim, details string // "" for none
	kept           time.Duration
}

// maxLooks bounds the tasks that are looked at in one pipeline.
const maxLooks = 200

// look reads claims and what lies beside them, in the order of ids.
func (s *Store) look(ctx context.Context, ids []Identity) ([]look, error) {
	looks := make([]look, 0, len(ids))
	for len(looks) < len(ids) {
		part := ids[len(looks):]
		part = part[:min(len(part), maxLooks)]
		pipe := s.client.Pipeline()
		answers := make([]struct {
			claim, details *redis.StringCmd
			kept           *redis.DurationCmd
		}, len(part))
		for i, id := range part {
			name := id.Key().text(s.prefix)
			a := &answers[i]
			a.claim, a.details, a.kept = pipe.Get(ctx, name), pipe.Get(ctx, name+detailsSuffix), pipe.PTTL(ctx, name)
		}
		_, _ = pipe.Exec(ctx) // each command has its own error
		for _, a := range answers {
			var l look
			var errs [3]error
			l.claim, errs[0] = a.claim.Result()
			l.details, errs[1] = a.details.Result()
			l.kept, errs[2] = a.kept.Result()
			for _, err := range errs {
				if err != nil && !errors.Is(err, redis.Nil) {
					return nil, fmt.Errorf("ask redis: %w", err)
				}
			}
			looks = append(looks, l)
		}
	}
	return looks, nil
}

func (l look) status(id Identity, now time.Time) (Status, error) {
	if l.claim == "" {
		return Status{}, fmt.Errorf("%w: %q of source %q in queue %s: no node has begun it, or it ended longer ago than is remembered", ErrUnknown, id.ID, id.Source, id.Queue)
	}
	c, err := Parse(l.claim)
	if err != nil {
		return Status{}, unreadable(id, l.claim)
	}
	s := Status{
		Entry:       newEntry(id.Queue, id.Source, id.ID, c, now),
		CancelAsked: c.State == Running && c.Flags&CancelAsked != 0, Fence: c.Fence, Until: now.Add(l.kept).Truncate(time.Millisecond),
	}
	if l.details != "" {
		// What can't be read here, a later version wrote: the claim is the truth and is read all the same.
		_ = json.Unmarshal([]byte(l.details), &s.Details)
	}
	if c.State != Dead && c.State != Dying {
		s.Details.Reason = "" // of a death that was replayed since
	}
	if c.State != Running {
		s.Details.Progress, s.Details.Note = 0, "" // of a run that is over
	}
	return s, nil
}

// unreadable says which claim can't be read, and what to do.
func unreadable(id Identity, text string) error {
	return fmt.Errorf("%w: that of task %q in queue %s reads %.100q; a later version wrote it: use that one", ErrFormat, id.ID, id.Queue, text)
}
