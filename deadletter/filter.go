package deadletter

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tasktier/tasktier/task"
)

// A Filter says which letters are meant. What is left zero takes them all; what is set must hold together.
type Filter struct {
	// Types are the types of task, one of which it must have. "" is that of records without one.
	Types []string
	// Reasons are the reasons, one of which it must have.
	Reasons []task.Reason
	// Error is a part of the last error's text, in this case of letters.
	Error string
	// ErrorRegexp matches the last error's text, anywhere unless it has anchors.
	ErrorRegexp *regexp.Regexp
	// Since is the earliest time of death, and Until the first one that is too late.
	Since, Until time.Time
	// IDs are those of [Letter.ID], or whole keys of letters; one of them it must have.
	IDs []string
	// Source is the source of the task.
	Source string
	// Limit is how many letters are meant at most, the oldest deaths first. 0: all. [Store.Stats] and [Store.Groups]
	// look at all.
	Limit int
}

// Match says whether a letter is meant, but for Limit.
func (f Filter) Match(l *Letter) bool {
	switch {
	case len(f.Types) > 0 && !slices.Contains(f.Types, l.Task.Type),
		len(f.Reasons) > 0 && !slices.Contains(f.Reasons, l.Reason),
		!f.Since.IsZero() && l.Died.Before(f.Since),
		!f.Until.IsZero() && !l.Died.Before(f.Until),
		f.Source != "" && l.Task.Source != f.Source,
		len(f.IDs) > 0 && !slices.Contains(f.IDs, l.ID()) && !slices.Contains(f.IDs, string(l.Key)),
		f.Error != "" && !strings.Contains(l.Err, f.Error),
		f.ErrorRegexp != nil && !f.ErrorRegexp.MatchString(l.Err):
		return false
	}
	return true
}

// All says whether no letter is left out.
func (f Filter) All() bool {
	return len(f.Types) == 0 && len(f.Reasons) == 0 && f.Error == "" && f.ErrorRegexp == nil && f.Since.IsZero() && f.Until.IsZero() &&
		len(f.IDs) == 0 && f.Source == "" && f.Limit == 0
}
