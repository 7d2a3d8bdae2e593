package claim

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/task"
)

// indexed returns the tasks of an index that its claims confirm, in the order of the index: the earliest due first, of the
// dead the latest. full says that the index may have let others go.
func (s *Store) indexed(ctx context.Context, f Filter, state task.State) (entries []Entry, full bool, err error) {
	key := s.indexKey(f.Queue, state)
	var stale []redis.Z
	for from := int64(0); len(entries) < f.Limit; from += maxBatch {
		page, err := s.client.ZRangeArgsWithScores(ctx, redis.ZRangeArgs{
			Key: key, Start: from, Stop: from + maxBatch - 1, Rev: state == task.Dead,
		}).Result()
		if err != nil {
			return nil, false, fmt.Errorf("read index: %w", err)
		}
		confirmed, denied, err := s.confirmed(ctx, f.Queue, state, page)
		if err != nil {
			return nil, false, err
		}
		for _, e := range confirmed {
			if f.takes(e) && len(entries) < f.Limit {
				entries = append(entries, e)
			}
		}
		stale = append(stale, denied...)
		if len(page) < maxBatch {
			break
		}
	}
	size, err := s.client.ZCard(ctx, key).Result()
	if err != nil {
		return nil, false, fmt.Errorf("read index: %w", err)
	}
	return entries, size >= indexLimit, s.forget(ctx, key, stale)
}

// confirmed asks the claims which members of an index are what it says, and which are not.
func (s *Store) confirmed(ctx context.Context, queue string, state task.State, page []redis.Z) (entries []Entry, stale []redis.Z, err error) {
	var ids []Identity
	var of []redis.Z
	for _, z := range page {
		name, _ := z.Member.(string)
		if id, ok := identity(queue, name); ok {
			ids, of = append(ids, id), append(of, z)
		} else {
			stale = append(stale, z)
		}
	}
	texts, err := s.texts(ctx, ids)
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	for i, text := range texts {
		c, err := Parse(text)
		switch {
		case text != "" && err != nil: // a later version knows what it is
		case text == "" || c.TaskState(now) != state:
			stale = append(stale, of[i])
		default:
			entries = append(entries, newEntry(queue, ids[i].Source, ids[i].ID, c, now))
		}
	}
	return entries, stale, nil
}

// texts reads claims, "" where there is none.
func (s *Store) texts(ctx context.Context, ids []Identity) ([]string, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	pipe := s.client.Pipeline()
	answers := make([]*redis.StringCmd, len(ids))
	for i, id := range ids {
		answers[i] = pipe.Get(ctx, id.Key().text(s.prefix))
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	texts := make([]string, len(ids))
	for i, a := range answers {
		text, err := a.Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("ask redis: %w", err)
		}
		texts[i] = text
	}
	return texts, nil
}
