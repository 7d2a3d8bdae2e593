package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"
)

func (c *cli) configCommand() *cobra.Command {
	cmd := noun(&cobra.Command{
		Use:   "config",
		Short: "Check and print the configuration",
	})
	cmd.AddCommand(
		&cobra.Command{
			Use:   "check",
			Short: "Say what is wrong with the configuration; exit 2 if anything is",
			Long: `Say what is wrong with the configuration, each problem with its file, line and key; exit 2 if
anything is. No server is reached: 'tasktier doctor' does that.`,
			Example: `  tasktier -c tasktier.yaml config check`,
			Args:    takes(),
			RunE:    c.does(c.configCheck),
		},
		&cobra.Command{
			Use:   "print",
			Short: "Print the configuration in effect, defaults and environment included",
			Long: `Print the configuration in effect, with defaults and environment, as a file that can be used again.
Passwords are files and stand there by path; secrets in URLs are shown as xxxxx.`,
			Example: `  tasktier config print > tasktier.yaml
  TASKTIER_KAFKA_BROKERS=kafka-1:9092,kafka-2:9092 tasktier config print`,
			Args: takes(),
			RunE: c.does(c.configPrint),
		},
	)
	return cmd
}

func (c *cli) configCheck(context.Context, []string) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if c.json() {
		return c.object(struct {
			OK   bool   `json:"ok"`
			File string `json:"file"`
		}{true, cfg.file})
	}
	source := cfg.file
	if source == "" {
		source = "no configuration file; defaults and environment"
	}
	return c.data(fmt.Appendf(nil, "ok: %s\n", source))
}

func (c *cli) configPrint(context.Context, []string) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	text, err := cfg.YAML()
	if err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	if !c.json() {
		return c.data(text)
	}
	object, err := yaml.YAMLToJSON(text)
	if err != nil {
		return fmt.Errorf("print configuration: %w", err)
	}
	return c.object(json.RawMessage(object))
}
