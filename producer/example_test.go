package producer_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kfake"
)

type WelcomeMail struct {
	To string `json:"to"`
}

// Welcome is what the service that sends and the node that executes share.
var Welcome = task.Define[WelcomeMail]("email.welcome", task.MaxAttempts(5))

func Example() {
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "mail.pending")) // yours is elsewhere
	if err != nil {
		panic(err)
	}
	defer kafka.Close()

	p, err := producer.New(producer.Config{Brokers: kafka.ListenAddrs(), Queue: "mail", Source: "/shop/accounts"})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	defer p.Close(ctx)

	receipt, err := p.SendOne(ctx, Welcome.New(WelcomeMail{To: "ada@example.org"}, task.ID("welcome-4711")))
	if err != nil {
		panic(err)
	}
	fmt.Printf("%s is in %s at %d/%d\n", receipt.ID, receipt.Topic, receipt.Partition, receipt.Offset)

	err = p.Send(ctx, Welcome.New(WelcomeMail{To: "bob@example.org"}), task.New("", nil))
	var failed *producer.SendError
	if errors.As(err, &failed) {
		for _, f := range failed.Failures {
			fmt.Printf("task %d: %v\n", f.Index, f.Err)
		}
	}
	// Output:
	// welcome-4711 is in mail.pending at 0/0
	// task 1: invalid task: type is empty
}
