package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/deadletter/lock"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A replaying is what the flags of 'dead replay' say.
type replaying struct {
	letterFilter
	dryRun, force, undecodable, edit bool
	rate, canary                     int
	stopAt                           percent
	canaryTimeout                    time.Duration
}

func (c *cli) deadReplayCommand() *cobra.Command {
	r := replaying{stopAt: 10}
	cmd := &cobra.Command{
		Use:   "replay (filters or --all)",
		Short: "Bring the tasks of dead letters back to their queue",
		Long: `Bring the tasks of dead letters back to their queue, the oldest death first: each as it was published, with its
attempts counted anew and a generation more. A letter goes when its task is acknowledged. Killed anywhere and run again,
the command finishes the job; where Redis knows what was done, no task runs twice for it.

One operator at a time replays a queue: a second one is told who is at it, and --force takes over. With --canary a few
letters go first, and the others follow only if fewer than --stop-at of those tasks died again; what has not ended by
--canary-timeout counts as dead.

The result is printed as {"matched","replayed","skipped","failed"}. Skipped letters are those whose record can't be
obeyed (--undecodable sends them all the same) and those whose task is at work, has succeeded or was canceled. Exit 3
if letters were skipped or have failed, or the canary stopped the replay.`,
		Example: `  tasktier dead replay --type mail.send --since 2h
  tasktier dead replay --error-regexp 'connection refused' --canary 20 --stop-at 10%
  tasktier dead replay --all --rate 500
  tasktier dead replay --id order-7-confirmation --edit`,
		Args:    takes(),
		PreRunE: func(cmd *cobra.Command, _ []string) error { return r.check(cmd) },
		RunE:    c.does(func(ctx context.Context, _ []string) error { return c.deadReplay(ctx, r) }),
	}
	r.flags(cmd)
	r.limitFlag(cmd, 0, "at most `N` letters, the oldest first (default all)")
	r.allFlag(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&r.dryRun, "dry-run", false, "only say what would be done")
	flags.IntVar(&r.rate, "rate", 0, "at most `N` letters a second (default as many as go)")
	flags.BoolVar(&r.force, "force", false, "take over from another operator, and do without the lock if etcd does not answer")
	flags.IntVar(&r.canary, "canary", 0, "replay `N` letters first and see what becomes of them; needs Redis")
	flags.Var(&r.stopAt, "stop-at", "stop if `PERCENT` of the canary, or more, die again")
	flags.DurationVar(&r.canaryTimeout, "canary-timeout", time.Minute, "wait for the canary's ends for `DURATION`")
	flags.BoolVar(&r.undecodable, "undecodable", false, "also letters whose record can't be read or obeyed, for nodes that can by now")
	flags.BoolVar(&r.edit, "edit", false, "edit the payload of the one letter of --id in $VISUAL or $EDITOR before it goes back")
	return cmd
}

func (r *replaying) check(cmd *cobra.Command) error {
	flags := cmd.Flags()
	switch {
	case r.rate < 0, flags.Changed("rate") && r.rate == 0:
		return misused(cmd, fmt.Errorf("--rate %d: must be at least 1", r.rate))
	case r.canary < 0, flags.Changed("canary") && r.canary == 0:
		return misused(cmd, fmt.Errorf("--canary %d: must be at least 1", r.canary))
	case r.canary == 0 && (flags.Changed("stop-at") || flags.Changed("canary-timeout")):
		return misused(cmd, errors.New("--stop-at and --canary-timeout go with --canary"))
	case r.canaryTimeout <= 0:
		return misused(cmd, fmt.Errorf("--canary-timeout %v: must be longer", r.canaryTimeout))
	case r.edit && (len(r.ids) != 1 || r.dryRun || r.canary > 0 || r.undecodable):
		return misused(cmd, errors.New("--edit is for one letter: it goes with a single --id, and not with --dry-run, --canary or --undecodable"))
	}
	return r.checkChosen(cmd)
}

func (c *cli) deadReplay(ctx context.Context, r replaying) error {
	cfg, err := c.loadForQueue()
	if err != nil {
		return err
	}
	if r.canary > 0 && cfg.Redis == nil {
		return wrong("--canary needs Redis, which knows what becomes of tasks: add a redis section (redis.addresses) to the configuration, of the nodes too")
	}
	var claims *claim.Store
	if cfg.Redis == nil {
		c.prose("Redis is not configured: tasks run at least once, and one whose letter a killed replay has left may run twice.")
	} else {
		var closeRedis func()
		if claims, closeRedis, err = c.claims(ctx, cfg); err != nil {
			return err
		}
		defer closeRedis()
	}
	store, err := c.letters(ctx, cfg, claims)
	if err != nil {
		return err
	}
	defer store.Close()
	if !r.dryRun {
		held, release, err := c.lockReplay(ctx, cfg, r.force)
		if err != nil {
			return err
		}
		defer release()
		ctx = held
	}
	watch := &replayWatch{c: c}
	reading, read := c.progress("reading")
	defer read()
	o := deadletter.ReplayOptions{
		Rate: r.rate, DryRun: r.dryRun, Undecodable: r.undecodable,
		Canary:   deadletter.Canary{Letters: r.canary, StopAt: float64(r.stopAt), Timeout: r.canaryTimeout},
		Progress: func(p deadletter.ReplayResult) { read(); watch.progress(p) }, Left: watch.left,
	}
	if r.edit {
		o.Edit = c.editLetter
	}
	result, err := store.Replay(ctx, c.queue, r.filter(), o, deadletter.WithProgress(reading))
	read()
	watch.end()
	return c.replayed(ctx, cfg, result, err)
}

// replayed prints the result and says how the command ends.
func (c *cli) replayed(ctx context.Context, cfg configuration, result deadletter.ReplayResult, err error) error {
	if err != nil && result.Matched == 0 {
		return err // it came to nothing
	}
	if errors.Is(err, deadletter.ErrSeveral) {
		return wrong("%d letters match, and one can be edited: choose it with --source, --since and --until", result.Matched)
	}
	if unwritten := c.object(result); unwritten != nil {
		return unwritten
	}
	if n := result.SkippedFor[deadletter.SkipUndecodable]; n > 0 {
		c.prose("%d letters can't be obeyed as they are. When the nodes can read them, replay them with --undecodable.", n)
	}
	away := (*deadletter.AwayError)(nil)
	cause := context.Cause(ctx)
	switch {
	case errors.Is(err, deadletter.ErrCanary), errors.Is(cause, lock.ErrTaken), errors.Is(cause, lock.ErrExpired):
		return partly("done in part: %d of %d letters were replayed: %v", result.Replayed, result.Matched, err)
	case errors.As(err, &away) && away.Server == "redis":
		return &tasktier.UnreachableError{Server: "redis", Addresses: cfg.Redis.Addresses, Err: rootCause(away.Err)}
	case errors.As(err, &away):
		return &tasktier.UnreachableError{Server: "kafka", Addresses: cfg.Kafka.Brokers, Err: rootCause(away.Err)}
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w when %d of %d letters were replayed", errInterrupted, result.Replayed, result.Matched)
	case err != nil && result.Replayed > 0:
		return partly("done in part: %d of %d letters were replayed: %v", result.Replayed, result.Matched, err)
	case err != nil:
		return err
	case result.DryRun:
		return nil
	case result.Skipped+result.Failed > 0:
		return partly("done in part: of %d letters %s", result.Matched, tellLeft(result))
	}
	return nil
}

// tellLeft says how many letters are left, and why.
func tellLeft(r deadletter.ReplayResult) string {
	var words []string
	if r.Failed > 0 {
		words = append(words, fmt.Sprintf("%d failed", r.Failed))
	}
	for _, reason := range slices.Sorted(maps.Keys(r.SkippedFor)) {
		words = append(words, fmt.Sprintf("%d were skipped (%s)", r.SkippedFor[reason], reason))
	}
	return strings.Join(words, ", ")
}

// lockReplay keeps other operators off the queue's letters until release is called. The context that it returns ends with
// ctx, or when the lock is lost.
func (c *cli) lockReplay(ctx context.Context, cfg configuration, force bool) (held context.Context, release func(), err error) {
	if cfg.Etcd == nil {
		c.prose("etcd is not configured: nothing keeps another operator from replaying at the same time.")
		return ctx, func() {}, nil
	}
	client, err := tasktier.EtcdClient(*cfg.Etcd)
	if err != nil {
		return nil, nil, err
	}
	l, err := takeLock(ctx, cfg, client, c.queue, force)
	if err != nil {
		client.Close()
		if away := (*tasktier.UnreachableError)(nil); force && errors.As(err, &away) && ctx.Err() == nil {
			c.prose("etcd does not answer: nothing keeps another operator from replaying at the same time.")
			return ctx, func() {}, nil
		}
		return nil, nil, err
	}
	held, end := context.WithCancelCause(ctx)
	lost := context.AfterFunc(l.Context(), func() { end(context.Cause(l.Context())) })
	return held, func() {
		lost()
		_ = l.Release(ctx) // else it runs out
		end(nil)
		client.Close()
	}, nil
}

func takeLock(ctx context.Context, cfg configuration, client *clientv3.Client, queue string, force bool) (*lock.Lock, error) {
	// The client tries for as long as it may: a connection tells at once.
	var gone error
	for _, endpoint := range cfg.Etcd.Endpoints {
		if gone = dial(ctx, hostOf(endpoint)); gone == nil {
			break
		}
	}
	if gone != nil {
		return nil, etcdAway(ctx, cfg, gone)
	}
	host, err := os.Hostname()
	if err != nil {
		host = "an unknown host"
	}
	me := lock.Holder{Host: host, PID: os.Getpid(), Since: time.Now()}
	l, err := lock.Take(ctx, client, cfg.Etcd.Prefix, queue, me, force)
	held := (*lock.HeldError)(nil)
	switch {
	case err == nil:
		return l, nil
	case errors.As(err, &held):
		return nil, fmt.Errorf("%w; wait for it, or take over with --force", held)
	default:
		return nil, etcdAway(ctx, cfg, err)
	}
}

func etcdAway(ctx context.Context, cfg configuration, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return &tasktier.UnreachableError{Server: "etcd", Addresses: cfg.Etcd.Endpoints, Err: rootCause(err)}
}

// A replayWatch tells how a replay is going.
type replayWatch struct {
	c *cli

	mu      sync.Mutex
	bar     *bar
	settled int
	told    int // letters that were left and named
	beyond  int // and those that were not named
}

// maxNamed is how many letters that are left are named.
const maxNamed = 10

func (w *replayWatch) progress(p deadletter.ReplayResult) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bar == nil {
		verb := "Replaying"
		if p.DryRun {
			verb = "Looking at"
		}
		letters := "1 letter"
		if p.Matched != 1 {
			letters = strconv.Itoa(p.Matched) + " letters"
		}
		w.c.prose("%s %s of queue %s, the oldest first.", verb, letters, w.c.queue)
		w.bar = w.c.newBar("replaying", int64(p.Matched), false)
	}
	w.bar.describe(replayOutcomes(p))
	settled := p.Replayed + p.Skipped + p.Failed
	w.bar.add(settled - w.settled)
	w.settled = settled
}

// replayOutcomes is what a bar says beside its count.
func replayOutcomes(p deadletter.ReplayResult) string {
	text := "replaying"
	if p.Skipped+p.Failed > 0 {
		text += fmt.Sprintf(" (%d skipped, %d failed)", p.Skipped, p.Failed)
	}
	if o := p.Canary; o != nil {
		text += fmt.Sprintf(" (canary: %d succeeded, %d died, %d to come)", o.Succeeded+o.Canceled, o.Dead, o.Waiting)
	}
	return text
}

// left names a letter that is left.
func (w *replayWatch) left(l *deadletter.Letter, why error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told == maxNamed {
		w.beyond++
		return
	}
	w.told++
	tell := func() { w.c.prose("Letter %s is left: %s", printable(l.ID()), printable(why.Error())) }
	if w.bar == nil {
		tell()
		return
	}
	w.bar.around(tell)
}

func (w *replayWatch) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.bar != nil {
		w.bar.finish()
	}
	if w.beyond > 0 {
		w.c.prose("And %d more are left.", w.beyond)
	}
}

// describe says something beside the bar.
func (b *bar) describe(text string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.shown != nil {
		b.shown.Describe(text)
	}
}

// A percent is a flag that takes a percentage, with or without the sign.
type percent float64

func (p *percent) String() string { return strconv.FormatFloat(float64(*p), 'f', -1, 64) + "%" }
func (p *percent) Type() string   { return "percent" }

// Set reads one.
func (p *percent) Set(text string) error {
	v, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(text, "%")), 64)
	if err != nil || !(v > 0 && v <= 100) {
		return errors.New("must be a percentage like 10%, more than 0 and at most 100")
	}
	*p = percent(v)
	return nil
}
