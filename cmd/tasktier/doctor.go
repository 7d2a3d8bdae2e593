package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier"
)

func (c *cli) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check configuration, servers, topics and permissions; a line each with the remedy",
		Long: `Check the configuration, reach each server, and check what tasktier needs of it: versions, topics and
permissions of Kafka, the eviction policy and the clock of Redis, the alarms of etcd. Nothing is changed.

Exit code 0 if all is well or only warned of, 1 if something has to be mended, 4 if a server is not reachable.`,
		Example: `  tasktier doctor
  tasktier -c tasktier.yaml doctor -o json`,
		Args: takes(),
		RunE: c.does(c.doctor),
	}
}

// A status is the result of one check.
type status string

const (
	fine status = "ok"
	warn status = "warn"
	fail status = "fail"
)

// A diagnosis is what one check found.
type diagnosis struct {
	Check   string `json:"check"` // what was checked, as in "kafka broker 1"
	Status  status `json:"status"`
	Message string `json:"message"`
	Remedy  string `json:"remedy,omitempty"`

	away *tasktier.UnreachableError // the server, if it did not answer
}

func ok(check, format string, args ...any) diagnosis {
	return diagnosis{Check: check, Status: fine, Message: fmt.Sprintf(format, args...)}
}

// bad is a failure with its remedy.
func bad(check, remedy, format string, args ...any) diagnosis {
	return diagnosis{Check: check, Status: fail, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

// doubtful is a warning.
func doubtful(check, remedy, format string, args ...any) diagnosis {
	return diagnosis{Check: check, Status: warn, Message: fmt.Sprintf(format, args...), Remedy: remedy}
}

// away is a server that does not answer.
func away(server string, addresses []string, err error) diagnosis {
	d := bad(server, fmt.Sprintf("start it, or correct its address in the configuration (%s)", addressKeys[server]),
		"not reachable at %s: %v", strings.Join(addresses, ", "), err)
	d.away = &tasktier.UnreachableError{Server: server, Addresses: addresses, Err: err}
	return d
}

var addressKeys = map[string]string{"kafka": "kafka.brokers", "redis": "redis.addresses", "etcd": "etcd.endpoints"}

// probePatience bounds the checks of one server.
const probePatience = 10 * time.Second

func (c *cli) doctor(ctx context.Context, _ []string) error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if err := c.narrow(&cfg); err != nil {
		return err
	}
	source := cfg.file
	if source == "" {
		source = "no file: defaults and environment"
	}
	var found []diagnosis
	show := func(some ...diagnosis) error {
		found = append(found, some...)
		for _, d := range some {
			if err := c.showDiagnosis(d); err != nil {
				return err
			}
		}
		return nil
	}
	if err := show(ok("config", "%s", source)); err != nil {
		return err
	}
	probes := []func(context.Context) []diagnosis{
		func(ctx context.Context) []diagnosis { return examineKafka(ctx, cfg.Config) },
		func(ctx context.Context) []diagnosis { return examineRedis(ctx, cfg.Redis) },
		func(ctx context.Context) []diagnosis { return examineEtcd(ctx, cfg.Config) },
	}
	for _, probe := range probes {
		patience, cancel := context.WithTimeout(ctx, probePatience)
		some := probe(patience)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err := show(some...); err != nil {
			return err
		}
	}
	return prognosis(found)
}

// prognosis is the command's error: servers that don't answer say most, then how many checks failed.
func prognosis(found []diagnosis) error {
	var silent []error
	failed := 0
	for _, d := range found {
		if d.away != nil {
			silent = append(silent, d.away)
		}
		if d.Status == fail {
			failed++
		}
	}
	switch {
	case len(silent) > 0:
		return errors.Join(silent...)
	case failed > 0:
		return fmt.Errorf("%d of %d checks failed", failed, len(found))
	}
	return nil
}

func (c *cli) showDiagnosis(d diagnosis) error {
	if c.json() {
		return c.object(d)
	}
	line := fmt.Sprintf("%-4s  %-28s  %s", d.Status, d.Check, d.Message)
	if d.Remedy != "" {
		line += "; " + d.Remedy
	}
	return c.data([]byte(printable(line) + "\n"))
}
