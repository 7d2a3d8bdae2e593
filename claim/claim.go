package claim

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tasktier/tasktier/task"
)

// Format is the version of the claim's text that this package writes. A claim of another version is treated as held by
// somebody: never as absent, never overwritten.
const Format = 1

// A State is where a claim is in its life.
type State byte

// The states of a claim. The last three are terminal.
const (
	Pending   State = 'p'
	Running   State = 'x'
	Retrying  State = 'r'
	Dying     State = 'y' // its letter is being written
	Succeeded State = 's'
	Dead      State = 'd'
	Canceled  State = 'c'
)

// Terminal says whether the claim's generation is over.
func (s State) Terminal() bool { return s == Succeeded || s == Dead || s == Canceled }

// waits says whether the claim speaks of a turn that has not begun.
func (s State) waits() bool { return s == Pending || s == Retrying }

func (s State) valid() bool { return s.waits() || s == Running || s == Dying || s.Terminal() }

// Flags of a claim.
type Flags uint8

// What a claim remembers beside its state.
const (
	CancelAsked Flags = 1 << iota // an operator wants the running task canceled
	Alone                         // this run has its node for itself
	TakenOver                     // some run of the task was taken over from a process that was gone
	Delayed                       // its producer delayed the first attempt
)

const flagLetters = "cakd"

// AllGenerations is the generation of a claim that was canceled before it ran: no replay that was under way runs either.
const AllGenerations = math.MaxInt32

// A Claim is what Redis knows of a task. It speaks of the turn at work; or, when pending or retrying, of the turn to come.
type Claim struct {
	State            State
	Generation, Turn int
	Attempt          int
	Crashes          int // processes that died while they ran it
	Flags            Flags
	Owner            string // the session that runs it, or ran it last; "" before the first run
	Fence            int64  // grows with every run of the task; 0 before the first. With Owner it names the run
	At               int64  // Unix ms: pending and retrying: from when it may start; running and dying: since; terminal: ended
	Type             string
}

// ErrFormat says that a claim is of a version, or a shape, that this program does not know.
var ErrFormat = errors.New("claim of an unknown format")

// Parse reads a claim's text.
func Parse(text string) (Claim, error) {
	rest, ok := strings.CutPrefix(text, "1")
	if !ok || len(rest) < 2 || rest[1] != ' ' {
		return Claim{}, ErrFormat
	}
	c := Claim{State: State(rest[0])}
	rest = rest[2:]
	var numbers [4]int64
	for i := range numbers {
		var n string
		if n, rest, ok = strings.Cut(rest, " "); !ok {
			return Claim{}, ErrFormat
		}
		v, err := strconv.ParseInt(n, 10, 32)
		if err != nil || v < 0 {
			return Claim{}, ErrFormat
		}
		numbers[i] = v
	}
	c.Generation, c.Turn, c.Attempt, c.Crashes = int(numbers[0]), int(numbers[1]), int(numbers[2]), int(numbers[3])
	fields := strings.SplitN(rest, " ", 5)
	if len(fields) != 5 || !c.State.valid() {
		return Claim{}, ErrFormat
	}
	if fields[0] != "-" {
		for _, letter := range fields[0] {
			i := strings.IndexRune(flagLetters, letter)
			if i < 0 {
				return Claim{}, ErrFormat
			}
			c.Flags |= 1 << i
		}
	}
	if fields[1] != "-" {
		c.Owner = fields[1]
	}
	var err, err2 error
	c.Fence, err = strconv.ParseInt(fields[2], 36, 64)
	if since, after := strings.CutPrefix(fields[3], "+"); after {
		c.At, err2 = strconv.ParseInt(since, 36, 64)
		c.At += c.Fence / 1000
	} else {
		c.At, err2 = strconv.ParseInt(fields[3], 10, 64)
	}
	if err != nil || err2 != nil {
		return Claim{}, ErrFormat
	}
	c.Type = fields[4]
	return c, nil
}

// String is the claim's text in Redis:
//
//	1<state> <generation> <turn> <attempt> <crashes> <flags> <owner> <fence> <at> <type>
//
// with "-" for no flags and for no owner. The fence is in base 36. It was microseconds of Unix time when it was drawn, and
// at is mostly the milliseconds since then, "+" and a number in base 36; otherwise, as before the first run, it is Unix ms in
// base 10. That keeps the text below the 64 bytes up to which Redis reuses the strings of its scripts. The type comes last
// because it may contain spaces.
func (c Claim) String() string {
	var stack [192]byte
	b := append(stack[:0], '0'+Format, byte(c.State), ' ')
	for _, n := range [...]int{c.Generation, c.Turn, c.Attempt, c.Crashes} {
		b = strconv.AppendInt(b, int64(n), 10)
		b = append(b, ' ')
	}
	if c.Flags == 0 {
		b = append(b, '-')
	}
	for i := range len(flagLetters) {
		if c.Flags&(1<<i) != 0 {
			b = append(b, flagLetters[i])
		}
	}
	b = append(b, ' ')
	if c.Owner == "" {
		b = append(b, '-')
	}
	b = append(b, c.Owner...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, c.Fence, 36)
	b = append(b, ' ')
	if began := c.Fence / 1000; c.Fence > 0 && c.At >= began {
		b = append(b, '+')
		b = strconv.AppendInt(b, c.At-began, 36)
	} else {
		b = strconv.AppendInt(b, c.At, 10)
	}
	b = append(b, ' ')
	return string(append(b, c.Type...))
}

// Time is At as a time.
func (c Claim) Time() time.Time { return time.UnixMilli(c.At) }

// atWork says whether a process is at it.
func (c Claim) atWork() bool { return c.State == Running || c.State == Dying }

// before says whether the claim speaks of a turn before (g,t).
func (c Claim) before(g, t int) bool {
	return c.Generation < g || c.Generation == g && c.Turn < t
}

// after says whether the claim speaks of a turn behind (g,t).
func (c Claim) after(g, t int) bool {
	return c.Generation > g || c.Generation == g && c.Turn > t
}

// TaskState is the state of the task, as the vocabulary names it: a delayed task is scheduled until its time has come,
// and one whose letter is being written is still running.
func (c Claim) TaskState(now time.Time) task.State {
	switch c.State {
	case Pending:
		if c.Flags&Delayed != 0 && now.UnixMilli() < c.At {
			return task.Scheduled
		}
		return task.Pending
	case Retrying:
		return task.Retrying
	case Succeeded:
		return task.Succeeded
	case Dead:
		return task.Dead
	case Canceled:
		return task.Canceled
	default:
		return task.Running
	}
}
