package claim

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/task"
)

// Tasks that failed or were delayed are few, and operators want to see them: there is a sorted set of them for each queue
// and state. It is a hint, written after the claim by whoever wrote that; a list asks the claims, and removes what they do
// not confirm. Tasks that succeed at once are never in one.

// indexLimit is how many tasks an index holds. Beyond it those with the earliest time go: of those that wait the overdue,
// of the dead the first.
const indexLimit = 10_000

// A mark puts a task in an index.
type mark struct {
	id    Identity
	state task.State // Retrying, Scheduled or Dead
	at    int64      // Unix ms: due, or when it died
}

// indexKey is the sorted set of a queue's tasks in a state, by time in Unix ms.
func (s *Store) indexKey(queue string, state task.State) string {
	return s.prefix + ":index:" + queue + ":" + string(state)
}

// member names a task within an index: the length of its source, the source, the id.
func member(id Identity) string {
	return strconv.Itoa(len(id.Source)) + ":" + id.Source + id.ID
}

// identity reads what member wrote.
func identity(queue, member string) (Identity, bool) {
	length, rest, ok := strings.Cut(member, ":")
	n, err := strconv.Atoi(length)
	if !ok || err != nil || n < 0 || n > len(rest) {
		return Identity{}, false
	}
	return Identity{Queue: queue, Source: rest[:n], ID: rest[n:]}, true
}

// mark writes to the indexes. It may be repeated.
func (s *Store) mark(ctx context.Context, marks []mark) error {
	if len(marks) == 0 {
		return nil
	}
	of := make(map[string][]redis.Z)
	for _, m := range marks {
		key := s.indexKey(m.id.Queue, m.state)
		of[key] = append(of[key], redis.Z{Score: float64(m.at), Member: member(m.id)})
	}
	pipe := s.client.Pipeline()
	for key, members := range of {
		pipe.ZAdd(ctx, key, members...)
		pipe.ZRemRangeByRank(ctx, key, 0, -indexLimit-1)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return fmt.Errorf("write index: %w", err)
	}
	return nil
}

//go:embed forget.lua
var forgetSource string

var forgetScript = redis.NewScript(forgetSource)

// forget removes members of an index that have not been marked anew since they were read.
func (s *Store) forget(ctx context.Context, key string, stale []redis.Z) error {
	for len(stale) > 0 {
		part := stale[:min(len(stale), maxBatch)]
		stale = stale[len(part):]
		args := make([]any, 0, 2*len(part))
		for _, z := range part {
			args = append(args, z.Member, strconv.FormatInt(int64(z.Score), 10))
		}
		if err := forgetScript.Run(ctx, s.client, []string{key}, args...).Err(); err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("mend index: %w", err)
		}
	}
	return nil
}
