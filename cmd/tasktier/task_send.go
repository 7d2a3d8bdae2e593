package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/producer"
	"github.com/tasktier/tasktier/task"
)

// A sending is what the flags of 'task send' say.
type sending struct {
	file              string
	data, contentType string
	id, source, key   string
	in, expires       time.Duration
	at                moment
	maxAttempts       int
	timeout           time.Duration
	headers           []string
	wait              bool
}

var (
	errFileAndType = errors.New("give a TYPE or --file, not both: a file names the type of each task")
	errNotRFC3339  = errors.New("must be a time like 2027-01-31T08:00:00Z (RFC 3339)")
)

// check refuses what makes no sense together, or on its own.
func (s *sending) check(cmd *cobra.Command) error {
	var err error
	refuse := func(format string, args ...any) {
		if err == nil {
			err = misused(cmd, fmt.Errorf(format, args...))
		}
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		global := cmd.InheritedFlags().Lookup(f.Name) != nil
		switch {
		case s.file != "" && f.Name != "file" && !global:
			refuse("--%s does not go with --file: a file says it of each task", f.Name)
		case f.Name == "in" && !s.at.IsZero():
			refuse("give --in or --at, not both")
		case f.Name == "in" && s.in < 0, f.Name == "expires" && s.expires <= 0, f.Name == "timeout" && s.timeout < time.Millisecond:
			refuse("--%s %s: must be longer", f.Name, f.Value)
		case f.Name == "max-attempts" && s.maxAttempts < 1:
			refuse("--%s %s: must be at least 1", f.Name, f.Value)
		}
	})
	for _, h := range s.headers {
		if name, _, ok := strings.Cut(h, "="); !ok || name == "" {
			refuse("--header %q: must be NAME=VALUE", h)
		}
	}
	return err
}

// payload is what -d says: the text, a file's content, or stdin's.
func (s *sending) payload(stdin io.Reader) ([]byte, error) {
	data, from := []byte(s.data), "-d"
	var err error
	switch path, isFile := strings.CutPrefix(s.data, "@"); {
	case s.data == "-":
		from = "stdin"
		data, err = io.ReadAll(stdin)
	case isFile:
		from = path
		data, err = os.ReadFile(path)
	}
	if err != nil {
		return nil, wrong("read the payload: %w", err)
	}
	if len(data) == 0 {
		return nil, nil
	}
	if s.contentType == "" && !json.Valid(data) {
		return nil, wrong("%s: the payload is not JSON: %w; say what it is with --content-type, or quote it: -d '\"text\"'", from, jsonError(data))
	}
	return data, nil
}

// options describe the task.
func (s *sending) options() []task.Option {
	opts := []task.Option{
		task.Source(s.source), task.Key(s.key), task.MaxAttempts(s.maxAttempts), task.Timeout(s.timeout),
		task.ContentType(s.contentType),
	}
	if s.contentType == "" && s.data != "" {
		opts = append(opts, task.ContentType("application/json"))
	}
	if s.id != "" {
		opts = append(opts, task.ID(s.id))
	}
	if !s.at.IsZero() {
		opts = append(opts, task.At(s.at.Time))
	}
	if s.in > 0 {
		opts = append(opts, task.In(s.in))
	}
	if s.expires > 0 {
		opts = append(opts, task.ExpiresIn(s.expires))
	}
	for _, h := range s.headers {
		name, value, _ := strings.Cut(h, "=")
		opts = append(opts, task.WithHeader(name, value))
	}
	return opts
}

// A receipt says where a task was written.
type receipt struct {
	ID        string `json:"id"`
	Source    string `json:"source"`
	Queue     string `json:"queue"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// sendPatience bounds the wait for the acknowledgement of one task.
const sendPatience = 30 * time.Second

func (c *cli) sendOne(ctx context.Context, typ string, s sending) error {
	cfg, err := c.loadForQueue()
	if err != nil {
		return err
	}
	payload, err := s.payload(c.stdin)
	if err != nil {
		return err
	}
	t := task.New(typ, payload, s.options()...)
	return c.publish(ctx, cfg, t, s.wait)
}

// publish sends a task to the queue to work with, prints where it was written, and waits for its end if it is told to.
func (c *cli) publish(ctx context.Context, cfg configuration, t *task.Task, wait bool) error {
	opts, err := cfg.Kafka.Options()
	if err != nil {
		return err
	}
	var store *claim.Store
	if wait { // before the task is sent: what can't be waited for is not begun
		var closeRedis func()
		if store, closeRedis, err = c.claims(ctx, cfg); err != nil {
			return err
		}
		defer closeRedis()
	}
	known := c.announce(ctx, cfg)
	defer known.end()
	p, err := producer.New(producer.Config{
		Brokers: cfg.Kafka.Brokers, Queue: c.queue, Prefix: cfg.Kafka.Prefix, MaxBytes: int(c.queueSettings(cfg).MaxBytes), Options: opts,
		Acknowledged: func(_ producer.Receipt, t *task.Task) { known.sent(t) },
	})
	if err != nil {
		return err
	}
	defer p.Close(ctx)
	// The client tries for as long as it may: a broker that is not there is found out by asking, in no time.
	client, err := connect(ctx, cfg.Kafka)
	if err != nil {
		return err
	}
	client.Close()
	patience, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	r, err := p.SendOne(patience, t)
	switch {
	case err == nil:
		err = c.object(receipt{r.ID, r.Source, r.Queue, r.Partition, r.Offset})
	case errors.Is(err, task.ErrInvalid):
		return &usageError{err: err}
	case ctx.Err() == nil && errors.Is(err, producer.ErrUnreachable):
		return &tasktier.UnreachableError{Server: "kafka", Addresses: cfg.Kafka.Brokers, Err: err}
	}
	if err != nil || !wait {
		return err
	}
	return c.awaitTasks(ctx, cfg, store, c.identities(r.Source, []string{r.ID}), 0)
}

// loadForQueue is load for those who publish to one queue, which need not be configured here.
func (c *cli) loadForQueue() (configuration, error) {
	if err := names.ValidQueue(c.queue); err != nil {
		return configuration{}, wrong("--queue: %w", err)
	}
	return c.load()
}
