package deadletter_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
)

// A service looks after its own dead letters: it tells what is wrong, and gives up what is out of date.
func ExampleStore() {
	ctx := context.Background()
	brokers, stop := someLetters(ctx) // those of the cluster, in a service
	defer stop()

	letters, err := deadletter.Open(deadletter.Config{Kafka: []kgo.Opt{kgo.SeedBrokers(brokers...)}})
	if err != nil {
		panic(err)
	}
	defer letters.Close()

	groups, err := letters.Groups(ctx, "mail", deadletter.Filter{Since: time.Now().Add(-24 * time.Hour)})
	if err != nil {
		panic(err)
	}
	for _, g := range groups {
		fmt.Printf("%d of %s: %s\n", g.Letters, g.Type, g.Error)
	}
	for l, err := range letters.List(ctx, "mail", deadletter.Filter{Types: []string{"mail.send"}, Limit: 1}) {
		if err != nil {
			panic(err)
		}
		fmt.Printf("%s died of: %s; its payload is %s\n", l.ID(), l.Err, l.Task.Payload)
	}
	purged, err := letters.Purge(ctx, "mail", deadletter.Filter{Reasons: []task.Reason{task.ReasonExpired}})
	if err != nil {
		panic(err)
	}
	fmt.Printf("%d have expired and are given up\n", purged.Purged)
	// Output:
	// 2 of mail.send: no such customer: <n>
	// 1 of mail.news: its expiry passed
	// order-1 died of: no such customer: 17; its payload is {"to":17}
	// 1 have expired and are given up
}

// someLetters starts a Kafka in this process that has a few.
func someLetters(ctx context.Context) (brokers []string, stop func()) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "mail.dead"))
	if err != nil {
		panic(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		panic(err)
	}
	defer client.Close()
	w := deadletter.NewWriter(client, "node-1", zap.NewNop())
	defer w.Close()
	for _, l := range []struct {
		id, typ, payload, err string
		reason                task.Reason
	}{
		{"order-1", "mail.send", `{"to":17}`, "no such customer: 17", task.ReasonFailed},
		{"order-2", "mail.send", `{"to":4711}`, "no such customer: 4711", task.ReasonFailed},
		{"october", "mail.news", `{}`, "its expiry passed", task.ReasonExpired},
	} {
		done := make(chan error, 1)
		w.Write(ctx, deadletter.Death{
			Queue: "mail", Reason: l.reason, Err: errors.New(l.err), Origin: "mail.pending/0/1",
			Task: &task.Task{ID: l.id, Source: "/shop", Turn: 1, Attempt: 1},
			Record: &kgo.Record{Value: []byte(l.payload), Headers: []kgo.RecordHeader{
				{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(l.id)},
				{Key: "ce_source", Value: []byte("/shop")}, {Key: "ce_type", Value: []byte(l.typ)},
			}},
		}, func(err error) { done <- err })
		if err := <-done; err != nil {
			panic(err)
		}
		time.Sleep(time.Millisecond) // so that one dies after the other
	}
	return cluster.ListenAddrs(), cluster.Close
}
