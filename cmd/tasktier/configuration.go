package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/tasktier/tasktier/config"
)

// A configuration is what the command was told, and whether a file told it.
type configuration struct {
	config.Config
	file string // empty: built-in defaults and environment alone
}

// load reads and checks the configuration. All access to it goes through here.
func (c *cli) load() (configuration, error) {
	cfg, err := config.Load(c.configPath, os.Environ())
	if err != nil {
		return configuration{}, err
	}
	if err := cfg.Validate(); err != nil {
		return configuration{}, err
	}
	return configuration{cfg, c.configFile()}, nil
}

// configFile is the file that [config.Load] reads.
func (c *cli) configFile() string {
	if c.configPath != "" {
		return c.configPath
	}
	if path := os.Getenv("TASKTIER_CONFIG"); path != "" {
		return path
	}
	if _, err := os.Stat("tasktier.yaml"); err == nil {
		return "tasktier.yaml"
	}
	return ""
}

// narrow leaves only the queue that --queue names, if it was given, and its schedules. A queue that the file does not have is taken for a
// slip of the pen; without a file it has the default settings.
func (c *cli) narrow(cfg *configuration) error {
	if !c.queueGiven {
		return nil
	}
	q, ok := cfg.Queues[c.queue]
	switch {
	case !ok && cfg.file != "":
		return wrong("queue %q is not in %s, which has %s", c.queue, cfg.file, strings.Join(slices.Sorted(maps.Keys(cfg.Queues)), ", "))
	case !ok:
		q = config.DefaultQueue()
	}
	all := cfg.Config
	cfg.Schedules = maps.Clone(cfg.Schedules)
	maps.DeleteFunc(cfg.Schedules, func(_ string, s config.Schedule) bool { return all.QueueOf(s) != c.queue })
	cfg.Queues = map[string]config.Queue{c.queue: q}
	if err := cfg.Validate(); err != nil {
		return fmt.Errorf("--queue: %w", err)
	}
	return nil
}

// queueSettings are those of the queue to work with: the configured ones, else the defaults.
func (c *cli) queueSettings(cfg configuration) config.Queue {
	if q, ok := cfg.Queues[c.queue]; ok {
		return q
	}
	return config.DefaultQueue()
}
