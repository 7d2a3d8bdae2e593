package claim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// A Spare says that a node has nothing to do, so that one that has too much can hand it some.
type Spare struct {
	Session    string  `json:"session"`
	Slots      int     `json:"slots"`      // that are free
	Partitions []int32 `json:"partitions"` // of the queue, that are its
}

// spareFor is how long an offer stands.
const spareFor = 3 * time.Second

func (s *Store) spareKey(queue string) string { return s.prefix + ":spare:" + queue }

// Offer makes a node's spare slots known for 3 s. Of several offers to a queue the last one stands.
func (s *Store) Offer(ctx context.Context, queue string, spare Spare) error {
	text, err := json.Marshal(spare)
	if err == nil {
		err = s.client.Set(ctx, s.spareKey(queue), text, spareFor).Err()
	}
	if err != nil {
		return fmt.Errorf("offer spare slots: %w", err)
	}
	return nil
}

// Accept takes an offer, which nobody else gets then; false if there is none.
func (s *Store) Accept(ctx context.Context, queue string) (Spare, bool, error) {
	text, err := s.client.GetDel(ctx, s.spareKey(queue)).Bytes()
	if errors.Is(err, redis.Nil) {
		return Spare{}, false, nil
	}
	var spare Spare
	if err == nil {
		err = json.Unmarshal(text, &spare)
	}
	if err != nil {
		return Spare{}, false, fmt.Errorf("look for spare slots: %w", err)
	}
	return spare, true, nil
}
