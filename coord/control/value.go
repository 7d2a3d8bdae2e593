package control

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// format is the version of values that is written here, and the latest that is read.
const format = 1

// MaxLimit is the highest limit of a type. Package coord/limit can tell no more slots apart.
const MaxLimit = 1_000_000

// ErrNewer says that a key was written by a later version of tasktier, in a form that this one can't read and will not
// overwrite.
var ErrNewer = errors.New("a later version of tasktier has written it")

// A said is the value of a key.
type said struct {
	V       int       `json:"v"`
	Paused  bool      `json:"paused,omitempty"`
	Limit   *int      `json:"limit,omitempty"`
	Drained bool      `json:"drained,omitempty"`
	By      string    `json:"by,omitempty"`
	At      time.Time `json:"at,omitzero"`
}

// nothing says whether it says nothing.
func (v said) nothing() bool { return !v.Paused && v.Limit == nil && !v.Drained }

// agrees says whether two values say the same, whoever said it.
func (v said) agrees(w said) bool {
	limits := v.Limit == w.Limit || v.Limit != nil && w.Limit != nil && *v.Limit == *w.Limit
	return limits && v.Paused == w.Paused && v.Drained == w.Drained
}

func (v said) encode() (string, error) {
	v.V = format
	text, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode: %w", err)
	}
	return string(text), nil
}

// decode reads what encode wrote, here or in an earlier version. An error says why that can't be, and wraps [ErrNewer] if it
// is a later one's.
func decode(text []byte) (said, error) {
	var version struct{ V int }
	if err := json.Unmarshal(text, &version); err != nil { // before the rest, whose form a later version may have changed
		return said{}, fmt.Errorf("read the value: %w", err)
	}
	switch {
	case version.V > format:
		return said{}, fmt.Errorf("%w (form %d, this one knows %d)", ErrNewer, version.V, format)
	case version.V < 1:
		return said{}, errors.New(`read the value: it does not say of which version it is ("v")`)
	}
	var v said
	if err := json.Unmarshal(text, &v); err != nil {
		return said{}, fmt.Errorf("read the value: %w", err)
	}
	if v.Limit != nil && (*v.Limit < 0 || *v.Limit > MaxLimit) {
		return said{}, fmt.Errorf("read the value: a limit of %d", *v.Limit)
	}
	return v, nil
}
