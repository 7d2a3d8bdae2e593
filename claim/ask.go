package claim

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	// askPatience bounds the wait for the nodes' reports.
	askPatience = time.Second
	// askCluster is how long a cluster's nodes have: nobody knows how many of them there are.
	askCluster = 300 * time.Millisecond
)

// ask asks all nodes what runs there and what ended lately, and how many have not answered in time.
func (s *Store) ask(ctx context.Context) (reports []report, silent int, err error) {
	channel := s.prefix + ":reply:" + rand.Text()
	sub := s.client.Subscribe(ctx, channel)
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		return nil, 0, fmt.Errorf("ask nodes: %w", err)
	}
	heard, err := s.client.Publish(ctx, s.controlChannel(), listWord+" "+channel).Result()
	if err != nil {
		return nil, 0, fmt.Errorf("ask nodes: %w", err)
	}
	patience, asked := askPatience, int(heard)
	if s.cluster {
		// A server of a cluster knows only its own listeners.
		patience, asked = askCluster, -1
	}
	enough, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	messages := sub.Channel(redis.WithChannelSize(1000))
	for len(reports) != asked {
		select {
		case m, ok := <-messages:
			var r report
			if ok && json.Unmarshal([]byte(m.Payload), &r) == nil {
				reports = append(reports, r)
			}
			if ok {
				continue
			}
		case <-enough.Done():
		}
		if ctx.Err() != nil {
			return nil, 0, fmt.Errorf("ask nodes: %w", context.Cause(ctx))
		}
		break
	}
	return reports, max(asked-len(reports), 0), nil
}
