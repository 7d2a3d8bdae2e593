package claim_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
)

// A service makes the tasks it sends known as pending at once, and waits for one of them.
func ExampleAnnouncer() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:6379", MaxRetries: -1, ContextTimeoutEnabled: true})
	defer client.Close()
	store := claim.NewStore(client, "tasktier")

	announcer := claim.NewAnnouncer(store, nil)
	go func() { _ = announcer.Run(ctx) }() // it returns nil, when ctx ends

	p, err := producer.New(producer.Config{
		Brokers:      []string{"127.0.0.1:9092"},
		Source:       "/shop",
		Acknowledged: func(_ producer.Receipt, t *task.Task) { announcer.Sent(t) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close(ctx)

	sent, err := p.SendOne(ctx, task.New("report.make", []byte(`{"month":"2026-10"}`)))
	if err != nil {
		fmt.Println(err)
		return
	}
	id := claim.Identity{Queue: sent.Queue, Source: sent.Source, ID: sent.ID}
	err = store.Wait(ctx, []claim.Identity{id}, func(s claim.Status) { fmt.Println(s.State, s.Details.Error) })
	if errors.Is(err, context.Canceled) {
		fmt.Println("still at work")
	}
}
