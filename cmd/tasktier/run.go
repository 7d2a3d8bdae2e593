package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/config"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func (c *cli) runCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run a node: execute tasks until SIGTERM",
		Long: `Run a node: execute the tasks of the configured queues, or of --queue alone, with the handlers of the
configuration (types), until SIGTERM or SIGINT. Then it drains: it starts nothing more, lets running tasks finish for up
to node.drain, and leaves the rest to other nodes. A second signal cancels the running handlers.

Exit code 0 after SIGTERM, 130 after SIGINT. /healthz, /readyz and /metrics are served on node.http.`,
		Example: `  tasktier -c tasktier.yaml run
  tasktier -c tasktier.yaml run --name node-1 --log-format json`,
		Args: takes(),
		RunE: c.does(func(ctx context.Context, _ []string) error { return c.run(ctx, name) }),
	}
	cmd.Flags().StringVar(&name, "name", "", "`NODE` name in logs and dead letters (default the host's name)")
	return cmd
}

func (c *cli) run(ctx context.Context, name string) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if err := c.narrow(&cfg); err != nil {
		return err
	}
	if name != "" {
		cfg.Node.Name = name
	}
	log := c.logger(zapcore.InfoLevel)
	defer log.Sync() //nolint:errcheck // stderr can't always be synced
	node, err := tasktier.New(cfg.Config, nil, tasktier.WithLogger(log))
	if err != nil {
		return err
	}
	if !hasHandler(cfg.Types) {
		log.Warn("no type has a handler: tasks will wait for one, and be dead as unhandled in the end; add types to the configuration")
	}
	c.signals.handle(func(sig os.Signal) {
		log.Info("draining; a second signal cancels running handlers", zap.String("signal", sig.String()), zap.Duration("drain", cfg.Node.Drain))
	}, func() {
		log.Warn("second signal: canceling running handlers")
		node.Abort()
	})
	if err := node.Run(ctx); err != nil {
		return err
	}
	if c.signals.interrupted() {
		return errInterrupted
	}
	return nil
}

func hasHandler(types map[string]config.Type) bool {
	for _, t := range types {
		if t.HTTP != nil || t.Exec != nil {
			return true
		}
	}
	return false
}
