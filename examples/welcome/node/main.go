// Command node executes the tasks of queue "mail".
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/consumer"
	"github.com/tasktier/tasktier/examples/welcome/mail"
	"github.com/tasktier/tasktier/task"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	cfg, err := config.Load("", os.Environ()) // TASKTIER_CONFIG, else tasktier.yaml, else local Kafka, Redis and etcd
	if err != nil {
		return err
	}
	cfg.Queues = map[string]config.Queue{"mail": config.DefaultQueue()}

	mux := consumer.NewMux()
	if err := consumer.Handle(mux, mail.Welcome, welcome); err != nil {
		return err
	}
	return tasktier.Run(ctx, cfg, mux) // until the first signal; then it drains
}

func welcome(ctx context.Context, g mail.Greeting) error {
	if !strings.Contains(g.To, "@") {
		return task.Permanent(errors.New("no address")) // no attempt would help
	}
	_, err := fmt.Printf("%s: hello %s <%s>\n", task.From(ctx).ID, g.Name, g.To)
	return err
}
