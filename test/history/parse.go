package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var errLine = errors.New("not an event")

// A parser reads lines. What repeats from line to line it keeps once.
type parser struct {
	seen map[string]string
}

// maxSeen bounds what a parser keeps; values beyond stand for themselves.
const maxSeen = 4096

// parse reads a line, without its end.
func (p *parser) parse(line string, e *Event) error {
	*e = Event{}
	at, rest, ok := strings.Cut(line, " ")
	micros, err := strconv.ParseInt(at, 10, 64)
	if err != nil || !ok {
		return fmt.Errorf("%w: %.100q", errLine, line)
	}
	e.At = Moment(micros)
	kind, rest, _ := strings.Cut(rest, " ")
	if e.Kind = Kind(kindOf[kind]); e.Kind == 0 {
		return fmt.Errorf("%w: %q is no kind", errLine, kind)
	}
	for rest != "" {
		name, value, ok := strings.Cut(rest, "=")
		if !ok {
			return fmt.Errorf("%w: %.100q", errLine, rest)
		}
		if value, rest, err = cutValue(value); err == nil {
			err = p.set(e, name, value)
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}

func cutValue(s string) (value, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		value, rest, _ = strings.Cut(s, " ")
		return value, rest, nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", err
	}
	if value, err = strconv.Unquote(quoted); err != nil {
		return "", "", err
	}
	return value, strings.TrimPrefix(s[len(quoted):], " "), nil
}

func (p *parser) set(e *Event, name, value string) (err error) {
	if f := fieldOf[name]; f != nil {
		if f.text != nil {
			f.takeText(e, p.keep(name, value))
			return nil
		}
		v, err := strconv.ParseInt(value, 10, 64)
		f.take(e, v)
		return err
	}
	switch name {
	case "hash":
		e.Hash, err = strconv.ParseUint(value, 16, 64)
	case "outcome":
		if e.Outcome = Outcome(outcomeOf[value]); e.Outcome == 0 {
			err = errLine
		}
	case "forgets":
		if e.Forgets = Forgets(forgetsOf[value]); e.Forgets == 0 {
			err = errLine
		}
	case "plan":
		e.Plan = new(Plan)
		err = json.Unmarshal([]byte(value), e.Plan)
	default:
		err = fmt.Errorf("%w: no such field", errLine)
	}
	return err
}

// keep returns value in memory of its own: a line is not to be kept for a word of it.
func (p *parser) keep(name, value string) string {
	if name == "id" || name == "key" {
		return strings.Clone(value) // hardly two are the same
	}
	if kept, ok := p.seen[value]; ok {
		return kept
	}
	value = strings.Clone(value)
	if len(p.seen) < maxSeen {
		p.seen[value] = value
	}
	return value
}
