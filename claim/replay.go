package claim

import (
	"context"
	"fmt"
)

// Foreign is the state of a claim that [Store.Claims] can't read: of a format that a later version writes. It stands for
// somebody who may be at work.
const Foreign State = '?'

// Claims reads what the claims of tasks say, in the order of ids: the zero Claim where there is none, one in the state
// [Foreign] where it can't be read. Whoever looks at many at a time does it in few calls. An error says that Redis did not
// answer.
func (s *Store) Claims(ctx context.Context, ids []Identity) ([]Claim, error) {
	claims := make([]Claim, len(ids))
	for from := 0; from < len(ids); from += maxBatch {
		to := min(from+maxBatch, len(ids))
		if err := s.claims(ctx, ids[from:to], claims[from:to]); err != nil {
			return nil, err
		}
	}
	return claims, nil
}

func (s *Store) claims(ctx context.Context, ids []Identity, claims []Claim) error {
	if !s.cluster {
		names := make([]string, len(ids))
		for i, id := range ids {
			names[i] = id.Key().text(s.prefix)
		}
		texts, err := s.client.MGet(ctx, names...).Result()
		if err != nil {
			return fmt.Errorf("ask redis: %w", err)
		}
		for i, text := range texts {
			claims[i] = seen(text)
		}
		return nil
	}
	// A server of the cluster answers for the keys of a bucket together.
	var names [buckets][]string
	var at [buckets][]int
	for i, id := range ids {
		key := id.Key()
		b := key.bucket()
		names[b], at[b] = append(names[b], key.text(s.prefix)), append(at[b], i)
	}
	pipe := s.client.Pipeline()
	var answers [buckets]interface{ Result() ([]any, error) }
	for b := range names {
		if len(names[b]) > 0 {
			answers[b] = pipe.MGet(ctx, names[b]...)
		}
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for b, answer := range answers {
		if answer == nil {
			continue
		}
		texts, err := answer.Result()
		if err != nil {
			return fmt.Errorf("ask redis: %w", err)
		}
		for i, text := range texts {
			claims[at[b][i]] = seen(text)
		}
	}
	return nil
}

// seen reads an answer of MGET.
func seen(answer any) Claim {
	text, ok := answer.(string)
	if !ok {
		return Claim{}
	}
	c, err := Parse(text)
	if err != nil {
		return Claim{State: Foreign}
	}
	return c
}

// Passed says whether a begin of a turn would find that it need not run any more, as far as this claim tells: the task has
// ended in that generation or a later one, or has come further. It is no verdict; it spares work.
func (c Claim) Passed(generation, turn int) bool {
	return c.State != 0 && c.State != Foreign && (c.State.Terminal() && c.Generation >= generation || c.after(generation, turn))
}

// A Replay says what may become of a dead letter, as far as the claim of its task tells.
type Replay uint8

const (
	// ReplaySend: nothing is known that speaks against it. The next generation may be sent.
	ReplaySend Replay = iota
	// ReplaySent: a later generation has been begun, so it was sent before. The letter has had its day.
	ReplaySent
	// ReplayAtWork: the letter's generation, or one before it, waits or runs. That happens when Redis has lost what it knew.
	ReplayAtWork
	// ReplaySucceeded: the task succeeded in the letter's generation. That happens when Redis has lost what it knew.
	ReplaySucceeded
	// ReplayCanceled: the task was canceled, and its next generation would be dropped.
	ReplayCanceled
	// ReplayForeign: a later version wrote the claim.
	ReplayForeign
)

func (r Replay) String() string {
	return [...]string{"send", "sent", "at work", "succeeded", "canceled", "foreign"}[r]
}

// Replay judges the letter of a generation by the task's claim; the zero Claim says that there is none. What it says may be
// history when the record arrives: that is what the record's own verdict is for.
func (c Claim) Replay(generation int) Replay {
	switch {
	case c.State == 0:
		return ReplaySend
	case c.State == Foreign:
		return ReplayForeign
	case c.State == Canceled && (c.Generation == AllGenerations || c.Generation == generation):
		return ReplayCanceled
	case c.Generation > generation:
		return ReplaySent
	case c.State == Dead, c.State == Dying && c.Generation == generation:
		return ReplaySend
	case c.State.Terminal() && c.Generation < generation:
		return ReplaySend // Redis went back in time: the letter knows better
	case c.State == Succeeded:
		return ReplaySucceeded
	default:
		return ReplayAtWork
	}
}
