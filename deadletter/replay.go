package deadletter

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tasktier/tasktier/internal/names"
)

// ReplayOptions say how letters are replayed. The zero value replays all that match, as fast as it goes.
type ReplayOptions struct {
	// Rate is how many letters are sent a second at most. 0: as many as go.
	Rate int
	// DryRun writes nothing: the result says what would be done now. There is no canary then, and nothing is edited.
	DryRun bool
	// Undecodable replays also letters whose record this program can't read or obey ([Letter.Bad]). They die again unless
	// the nodes can by now. Those without an identity have no claim: killed and run again, a replay may send them twice.
	Undecodable bool
	// Edit, if not nil, is given the one letter that matches and returns the payload that its task is to have. An error
	// ends the replay. It is an error, which wraps [ErrSeveral], if more than one letter matches.
	Edit func(l *Letter) (payload []byte, err error)
	// Canary, if Letters is not 0, is replayed first. It needs claims: see [ErrNoClaims].
	Canary Canary
	// Patience is for how long Kafka or Redis may be away before the replay gives up with an [*AwayError]; for Kafka at least
	// 1 s, and up to half a minute more to hear of what is under way. 0: 30 s.
	Patience time.Duration
	// Progress, if not nil, is told how far the replay is: first when it is known how many letters match, then a few times
	// a second, and last what is returned. It is called from one goroutine at a time, and everything waits for it.
	Progress func(ReplayResult)
	// Left, if not nil, is told of each letter that is not replayed, and why: a [*SkipError], or what went wrong. It is
	// called from one goroutine at a time.
	Left func(l *Letter, why error)
}

// A ReplayResult counts what became of the letters that matched.
type ReplayResult struct {
	// Matched is how many letters were meant.
	Matched int `json:"matched"`
	// Replayed are back in their queue, acknowledged, and their letters are gone.
	Replayed int `json:"replayed"`
	// Skipped were left where they are, see [SkipReason].
	Skipped int `json:"skipped"`
	// Failed could not be sent, or it is not known whether they were. Their letters are still there: replay again.
	Failed int `json:"failed"`
	// Finished are those of Replayed that an earlier replay had sent, which was ended before it could take their letters
	// away.
	Finished int `json:"finished,omitempty"`
	// SkippedFor is Skipped by reason; nil if there are none.
	SkippedFor map[SkipReason]int `json:"skipped_for,omitempty"`
	// Canary is what became of the canary; nil if there was none.
	Canary *CanaryResult `json:"canary,omitempty"`
	// DryRun says that all this was not done.
	DryRun bool `json:"dry_run,omitempty"`
}

// A SkipReason says why a letter is left where it is.
type SkipReason string

// The reasons to leave a letter.
const (
	// SkipUndecodable: its record can't be read or obeyed, see [ReplayOptions.Undecodable].
	SkipUndecodable SkipReason = "undecodable"
	// SkipAtWork: its task waits or runs, in the letter's generation or an earlier one.
	SkipAtWork SkipReason = "at work"
	// SkipSucceeded: its task succeeded in the letter's generation.
	SkipSucceeded SkipReason = "succeeded"
	// SkipCanceled: its task was canceled, and what is replayed would be dropped, until its claim is forgotten.
	SkipCanceled SkipReason = "canceled"
	// SkipForeign: a later version of tasktier wrote the claim of its task.
	SkipForeign SkipReason = "foreign claim"
)

// A SkipError says why a letter was left where it is.
type SkipError struct {
	Reason SkipReason
	Err    error // what is wrong with the record; nil for other reasons
}

func (e *SkipError) Error() string {
	switch e.Reason {
	case SkipUndecodable:
		return fmt.Sprintf("its record can't be obeyed: %v", e.Err)
	case SkipAtWork:
		return "its task is at work"
	case SkipSucceeded:
		return "its task has succeeded since"
	case SkipCanceled:
		return "its task was canceled"
	default:
		return "its claim is of a later version of tasktier"
	}
}

func (e *SkipError) Unwrap() error { return e.Err }

var (
	// ErrSeveral says that more than one letter matches where one was meant.
	ErrSeveral = errors.New("more than one letter matches")
	// ErrNoClaims says that what was asked for needs [Config.Claims].
	ErrNoClaims = errors.New("without claims nobody knows what becomes of a task")
)

// An AwayError says that a server did not answer for as long as [ReplayOptions.Patience].
type AwayError struct {
	Server string // kafka or redis
	For    time.Duration
	Err    error
}

func (e *AwayError) Error() string {
	return fmt.Sprintf("%s has not answered for %v: %v", e.Server, e.For, e.Err)
}

func (e *AwayError) Unwrap() error { return e.Err }

// defaultPatience is that of [ReplayOptions.Patience].
const defaultPatience = 30 * time.Second

func (o ReplayOptions) withDefaults() ReplayOptions {
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	if o.Progress == nil {
		o.Progress = func(ReplayResult) {}
	}
	if o.Left == nil {
		o.Left = func(*Letter, error) {}
	}
	if o.DryRun {
		o.Canary = Canary{}
	}
	o.Canary = o.Canary.withDefaults()
	return o
}

func (s *Store) checkReplay(queue string, o ReplayOptions) error {
	if err := names.ValidQueue(queue); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if o.Rate < 0 {
		return fmt.Errorf("replay: Rate is %d, must be 0 or more", o.Rate)
	}
	if err := o.Canary.check(); err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if o.Canary.Letters > 0 && s.cfg.Claims == nil {
		return fmt.Errorf("replay with a canary: %w", ErrNoClaims)
	}
	return nil
}

// Replay brings the tasks of the letters that match back to their queue with the next generation, the oldest death first,
// and takes each letter away when its task is acknowledged there. Ended anywhere and called again it finishes the job: the
// package says how.
//
// The result counts what was done in any case. The error is nil when all letters were looked at, though some may be
// skipped or have failed; it wraps [ErrCanary] when the canary stopped the replay, [ErrNoTopic] or an [*AwayError] when
// it could not go on, and ctx's cause when that ended: then nothing more is sent, and what was under way is waited for,
// 10 s at most.
func (s *Store) Replay(ctx context.Context, queue string, f Filter, o ReplayOptions, opts ...ReadOption) (ReplayResult, error) {
	o = o.withDefaults()
	if err := s.checkReplay(queue, o); err != nil {
		return ReplayResult{}, err
	}
	src, places, err := s.find(ctx, queue, f, opts)
	if err != nil {
		return ReplayResult{DryRun: o.DryRun}, err
	}
	if o.Edit != nil && len(places) > 1 {
		return ReplayResult{Matched: len(places), DryRun: o.DryRun}, fmt.Errorf("edit a letter: %w: %d do", ErrSeveral, len(places))
	}
	r, err := s.newReplay(ctx, queue, o, len(places))
	if err != nil {
		return ReplayResult{}, err
	}
	defer r.close()
	stopTelling := r.tell()
	err = r.run(ctx, func(ctx context.Context, yield func(*Letter, error) bool) { src.each(ctx, places, yield) })
	stopTelling()
	result := r.end(err == nil)
	o.Progress(result)
	return result, err
}
