package storm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// rest waits until all that lies in pending topics and tiers is committed, some looks in a row: between a record that is
// done and its successor is a moment in which neither is counted.
func rest(ctx context.Context, adm *kadm.Client, prefix string) error {
	const looks, every = 4, 400 * time.Millisecond
	var err error
	for calm := 0; calm < looks; calm++ {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the system has not come to rest: %w", errors.Join(err, context.Cause(ctx)))
		case <-time.After(every):
		}
		if err = restless(ctx, adm, prefix); err != nil {
			calm = -1
		}
	}
	return nil
}

// restless says what is not committed.
func restless(ctx context.Context, adm *kadm.Client, prefix string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var left []string
	for group, topics := range groups(prefix) {
		ends, err := adm.ListEndOffsets(ctx, topics...)
		if err == nil {
			err = ends.Error()
		}
		if err != nil {
			return err
		}
		committed, err := adm.FetchOffsets(ctx, group)
		if err != nil {
			return err
		}
		ends.Each(func(end kadm.ListedOffset) {
			done := int64(0)
			if o, ok := committed.Lookup(end.Topic, end.Partition); ok {
				done = max(0, o.At)
			}
			if done < end.Offset {
				left = append(left, fmt.Sprintf("%s/%d is committed up to %d of %d", end.Topic, end.Partition, done, end.Offset))
			}
		})
	}
	if len(left) > 0 {
		return errors.New(strings.Join(left, ", "))
	}
	return nil
}
