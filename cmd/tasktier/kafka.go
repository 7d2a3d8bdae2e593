package main

import (
	"context"
	"fmt"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"github.com/twmb/franz-go/pkg/kgo"
)

// connect returns a client of a cluster that answers; the caller closes it. An error for one that does not is a
// [*tasktier.UnreachableError].
func connect(ctx context.Context, kafka config.Kafka, more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := kafka.Options()
	if err != nil {
		return nil, err
	}
	client, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("configure kafka: %w", err)
	}
	if err := tasktier.Reach(ctx, client, kafka); err != nil {
		client.Close()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, err
	}
	return client, nil
}
