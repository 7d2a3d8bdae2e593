package main

import (
	"context"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/tasktier/tasktier/task"
	"go.uber.org/zap/zapcore"
)

func (c *cli) deadCommand() *cobra.Command {
	cmd := noun(&cobra.Command{
		Use:   "dead",
		Short: "See what can't succeed, bring it back, or give it up",
		Long: `See what can't succeed, bring it back, or give it up.

A task that can't succeed rests in the dead-letter topic of its queue, byte for byte, with the reason, until it is
replayed or purged. What each reason means, and what to do, is in docs/runbook.md.`,
	})
	cmd.AddCommand(c.deadListCommand(), c.deadShowCommand(), c.deadStatsCommand(), c.deadGroupsCommand(), c.deadReplayCommand(), c.deadPurgeCommand(), c.deadExportCommand())
	return cmd
}

// A letterFilter is what the flags say that choose letters.
type letterFilter struct {
	types   []string
	reasons reasonList
	text    string
	pattern pattern
	since   since
	until   since
	ids     []string
	source  string
	limit   int
	all     bool
}

// flags adds them to a command.
func (f *letterFilter) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringArrayVar(&f.types, "type", nil, "only letters of tasks of `TYPE`; may be repeated")
	flags.Var(&f.reasons, "reason", "only letters with `REASON`: "+oneOf(f.reasons.known())+"; may be repeated")
	flags.StringVar(&f.text, "error", "", "only letters whose last error has `TEXT` in it")
	flags.Var(&f.pattern, "error-regexp", "only letters whose last error matches `RE`, a regular expression (RE2)")
	flags.Var(&f.since, "since", "only letters that died since `TIME`, or at most a duration like 2h ago")
	flags.Var(&f.until, "until", "only letters that died before `TIME`, or longer than a duration like 2h ago")
	flags.StringArrayVar(&f.ids, "id", nil, "only the letter with `ID`, or with that key; may be repeated")
	flags.StringVar(&f.source, "source", "", "only letters of tasks that come from `URI`")
}

// limitFlag adds --limit.
func (f *letterFilter) limitFlag(cmd *cobra.Command, least int, usage string) {
	cmd.Flags().IntVar(&f.limit, "limit", least, usage)
}

// allFlag adds --all, for commands that change something.
func (f *letterFilter) allFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.all, "all", false, "all letters of the queue")
}

// check refuses flags that make no sense together.
func (f *letterFilter) check(cmd *cobra.Command) error {
	if f.limit < 0 {
		return misused(cmd, fmt.Errorf("--limit %d: must be at least 0, which is no limit", f.limit))
	}
	if !f.since.IsZero() && !f.until.IsZero() && !f.since.Before(f.until.Time) {
		return misused(cmd, fmt.Errorf("--since %s is not before --until %s: nothing lies between them", f.since.text, f.until.text))
	}
	return nil
}

// checkChosen is check for commands that change something: they want to be told which letters.
func (f *letterFilter) checkChosen(cmd *cobra.Command) error {
	chosen := f.filter()
	chosen.Limit = 0
	switch {
	case chosen.All() && !f.all:
		return misused(cmd, fmt.Errorf("which letters? Choose them with --type, --reason, --error, --error-regexp, --since, --until, --id or --source, or say --all"))
	case !chosen.All() && f.all:
		return misused(cmd, fmt.Errorf("--all does not go with flags that choose letters"))
	}
	return f.check(cmd)
}

func (f *letterFilter) filter() deadletter.Filter {
	return deadletter.Filter{
		Types: f.types, Reasons: f.reasons, Error: f.text, ErrorRegexp: f.pattern.Regexp, Since: f.since.Time, Until: f.until.Time,
		IDs: f.ids, Source: f.source, Limit: f.limit,
	}
}

// letters opens the store of dead letters of an installation that answers; the caller closes it. claims may be nil. An
// error for a Kafka that does not answer is a [*tasktier.UnreachableError].
func (c *cli) letters(ctx context.Context, cfg configuration, claims *claim.Store) (*deadletter.Store, error) {
	client, err := connect(ctx, cfg.Kafka)
	if err != nil {
		return nil, err
	}
	client.Close()
	opts, err := cfg.Kafka.Options()
	if err != nil {
		return nil, err
	}
	return deadletter.Open(deadletter.Config{
		Kafka: opts, Prefix: cfg.Kafka.Prefix, MaxBytes: int(c.queueSettings(cfg).MaxBytes), Claims: claims, Log: c.logger(zapcore.WarnLevel),
	})
}

// readLetters is letters for commands that only read.
func (c *cli) readLetters(ctx context.Context) (*deadletter.Store, error) {
	cfg, err := c.loadForQueue()
	if err != nil {
		return nil, err
	}
	return c.letters(ctx, cfg, nil)
}

// eachLetter reads the letters that match, with a bar until the first one comes. The store is open as long as the range over
// them lasts.
func (c *cli) eachLetter(ctx context.Context, f deadletter.Filter) iter.Seq2[*deadletter.Letter, error] {
	return func(yield func(*deadletter.Letter, error) bool) {
		store, err := c.readLetters(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		defer store.Close()
		told, finish := c.progress("reading")
		defer finish()
		for l, err := range store.List(ctx, c.queue, f, deadletter.WithProgress(told)) {
			if err == nil {
				finish()
			}
			if !yield(l, err) {
				return
			}
		}
	}
}

// progress shows a bar for something whose size is known only when it is under way; finish takes it away.
func (c *cli) progress(what string) (told func(done, total int64), finish func()) {
	var b *bar
	last := int64(0)
	told = func(done, total int64) {
		if b == nil {
			b = c.newBar(what, total, false)
		}
		b.add(int(done - last))
		last = done
	}
	return told, func() {
		if b != nil {
			b.finish()
		}
	}
}

// A reasonList is a flag that takes reasons.
type reasonList []task.Reason

func (r *reasonList) known() []string {
	return []string{
		string(task.ReasonFailed), string(task.ReasonExhausted), string(task.ReasonPoison), string(task.ReasonExpired),
		string(task.ReasonUnhandled), string(task.ReasonUndecodable), string(task.ReasonInvalid), string(task.ReasonOversize),
	}
}

func (r *reasonList) String() string {
	words := make([]string, len(*r))
	for i, reason := range *r {
		words[i] = string(reason)
	}
	return strings.Join(words, ",")
}

func (r *reasonList) Type() string { return "word" }

// Set adds reasons, one or several with commas between them.
func (r *reasonList) Set(text string) error {
	for word := range strings.SplitSeq(text, ",") {
		if !slices.Contains(r.known(), word) {
			return fmt.Errorf("must be %s", oneOf(r.known()))
		}
		*r = append(*r, task.Reason(word))
	}
	return nil
}

// A pattern is a flag that takes a regular expression.
type pattern struct{ *regexp.Regexp }

func (p *pattern) String() string {
	if p.Regexp == nil {
		return ""
	}
	return p.Regexp.String()
}

func (p *pattern) Type() string { return "regexp" }

// Set compiles it.
func (p *pattern) Set(text string) (err error) {
	if p.Regexp, err = regexp.Compile(text); err != nil {
		return fmt.Errorf("is no regular expression: %s", strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return nil
}
