// Command testenv prepares the real servers that tests use, and runs them.
//
//	go run ./internal/testenv/cmd/testenv       fetch and build all pieces
//	go run ./internal/testenv/cmd/testenv up    run Kafka, Redis and etcd until interrupted
//
// up prints a config file for the tasktier command on stdout when all three
// answer.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "testenv:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return testenv.Install()
	case len(args) == 1 && args[0] == "up":
		return up(ctx)
	}
	return fmt.Errorf("read arguments: want none (prepare) or up (run the servers), got %q", args)
}

func up(ctx context.Context) error {
	start := time.Now()
	stack, err := testenv.Up()
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "testenv: up after %.1f s; interrupt to stop\n", time.Since(start).Seconds())
	fmt.Printf("kafka: {brokers: [%s]}\nredis: {addresses: [%s]}\netcd: {endpoints: [%s]}\n",
		stack.Kafka.Addr(), stack.Redis.Addr(), stack.Etcd.Endpoint())
	<-ctx.Done()
	return stack.Close()
}
