package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/internal/embedded"
	"github.com/tasktier/tasktier/internal/topic"
	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// A devOptions is what the flags of 'dev' say.
type devOptions struct {
	data, tasks        string
	exitWhenDone       bool
	http               string
	kafka, etcd, redis string
}

func (c *cli) devCommand() *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run Kafka, Redis, etcd and a node in this one process",
		Long: `Run Kafka, Redis, etcd and a node in this one process, with nothing to install: the same code as in
production, only the servers are embedded. For development; nothing is replicated.

It prints the addresses, writes a configuration that reaches them, and then a line to stdout for each task as its end
is recorded (with -o json an object). It handles the types of the configuration, if there is one, and these:

  demo.echo                  succeeds
  demo.sleep  {"ms":n}       takes n milliseconds
  demo.fail   {"times":n}    fails n attempts, then succeeds
  demo.dead                  fails for good

With --tasks it sends a file, as 'task send --file' does, and prints what became of it. A task that dies is an outcome;
bad lines make the exit code 3.`,
		Example: `  tasktier dev
  tasktier dev --data ./tasktier-data --http 127.0.0.1:9400
  tasktier dev --tasks examples/tasks.ndjson --exit-when-done`,
		Args: takes(),
		PreRunE: func(cmd *cobra.Command, _ []string) error {
			if o.exitWhenDone && o.tasks == "" {
				return misused(cmd, errors.New("--exit-when-done needs --tasks: there is nothing to be done"))
			}
			return nil
		},
		RunE: c.does(func(ctx context.Context, _ []string) error { return c.dev(ctx, o) }),
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "keep everything in `DIR`, for the next start (default nothing is kept)")
	flags.StringVar(&o.tasks, "tasks", "", "send the tasks of NDJSON `FILE`, or of stdin with -")
	flags.BoolVar(&o.exitWhenDone, "exit-when-done", false, "stop when all tasks of --tasks have ended")
	flags.StringVar(&o.http, "http", "", "serve /healthz, /readyz and /metrics on `ADDRESS` (default off)")
	flags.StringVar(&o.kafka, "kafka", "", "`ADDRESS` Kafka listens on (default a free port)")
	flags.StringVar(&o.etcd, "etcd", "", "`ADDRESS` etcd listens on (default a free port)")
	flags.StringVar(&o.redis, "redis", "", "`ADDRESS` Redis listens on (default a free port)")
	return cmd
}

// A dev is a running 'tasktier dev'.
type dev struct {
	*cli
	options devOptions
	cfg     configuration // with the addresses of the stack
	log     *zap.Logger
	bar     *bar
	feed    *feed
	tally   *tally
	reach   string // the configuration that was written, for others
}

func (c *cli) dev(ctx context.Context, o devOptions) (err error) {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if err := c.narrow(&cfg); err != nil {
		return err
	}
	log := c.logger(zapcore.WarnLevel)
	stackLog := log
	if c.logLevel.value == "" {
		log, stackLog = untold(log), graveOnly(log)
	}
	d := &dev{cli: c, options: o, cfg: cfg, log: log, bar: &bar{}, tally: newTally()}
	var tasks io.ReadCloser
	if o.tasks != "" {
		if _, ok := cfg.Queues[c.queue]; !ok {
			return wrong("--tasks: the node would not consume queue %q; choose another with --queue", c.queue)
		}
		var whole int64
		if tasks, whole, err = c.openCounted(o.tasks); err != nil {
			return err
		}
		defer tasks.Close()
		d.bar = c.newBar("tasks", whole, false)
		defer d.bar.finish()
	}

	stack, err := embedded.Start(ctx, embedded.Config{DataDir: o.data, Kafka: o.kafka, Etcd: o.etcd, Redis: o.redis, Log: stackLog})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := stack.Close(); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("stop the embedded stack: %w", closeErr))
		}
	}()
	if err := d.use(stack); err != nil {
		return err
	}
	if err := d.createTopics(ctx); err != nil {
		return err
	}
	forget, err := d.writeConfig()
	if err != nil {
		return err
	}
	defer forget()
	return d.serve(ctx, tasks)
}

// use points the configuration at the stack. What it says about logins and certificates is not for these servers.
func (d *dev) use(stack *embedded.Stack) error {
	cfg, usual := &d.cfg.Config, config.Default()
	cfg.Kafka = config.Kafka{Brokers: stack.KafkaAddrs(), Prefix: cfg.Kafka.Prefix, CreateTopics: true}
	if cfg.Redis != nil {
		usual.Redis.WhenAway = cfg.Redis.WhenAway
	}
	if cfg.Etcd != nil {
		usual.Etcd.Prefix = cfg.Etcd.Prefix
	}
	cfg.Redis, cfg.Etcd = usual.Redis, usual.Etcd
	cfg.Redis.Addresses, cfg.Etcd.Endpoints = []string{stack.RedisAddr()}, stack.EtcdEndpoints()
	cfg.Node.HTTP = d.options.http
	return cfg.Validate()
}

// createTopics does what the node would do, so that tasks can be sent while it starts.
func (d *dev) createTopics(ctx context.Context) error {
	client, err := connect(ctx, d.cfg.Kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	return topic.Ensure(ctx, kadm.NewClient(client), tasktier.Topics(d.cfg.Config), true)
}
