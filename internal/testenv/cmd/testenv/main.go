// Command testenv prepares the real servers that tests use, and runs them.
//
//	go run ./internal/testenv/cmd/testenv       fetch and build all pieces
//	go run ./internal/testenv/cmd/testenv up    run Kafka, Redis and etcd until interrupted
//	go run ./internal/testenv/cmd/testenv with go test ./...
//	                                            run them while a command runs, whose tests share them
//
// up prints a config file for the tasktier command on stdout when all three
// answer. with ends with the exit code of the command.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/tasktier/tasktier/internal/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		os.Exit(max(exit.ExitCode(), 1)) // the command has said why
	}
	if err != nil {
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
	case len(args) > 1 && args[0] == "with":
		return with(ctx, args[1:])
	}
	return fmt.Errorf("read arguments: want none (prepare), up (run the servers) or with COMMAND, got %q", args)
}

// with runs a command while the servers run. An interrupt reaches the command too, which has the same terminal.
func with(ctx context.Context, command []string) error {
	stack, err := testenv.Up()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), stack.Environment()...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return errors.Join(cmd.Run(), stack.Close())
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
