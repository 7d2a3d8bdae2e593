// Command send publishes a task to queue "mail".
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/tasktier/tasktier/examples/welcome/mail"
	"github.com/tasktier/tasktier/producer"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	p, err := producer.New(producer.Config{Brokers: os.Args[1:], Queue: "mail"})
	if err != nil {
		return err
	}
	// When Send returns, all in-sync replicas have the task.
	err = p.Send(ctx, mail.Welcome.New(mail.Greeting{To: "ada@example.com", Name: "Ada"}))
	if closing := p.Close(ctx); err == nil {
		err = closing
	}
	return err
}
