package claim

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tasktier/tasktier/task"
)

// Details are what is known of a task beside its claim, kept as long as the claim. They are written only when there is
// something to say, as a JSON object whose keys are the tags below.
type Details struct {
	Queue  string `json:"queue"`
	Source string `json:"source"`
	ID     string `json:"id"`
	// Error is that of the last attempt, FirstError that of the first.
	Error      string `json:"error,omitempty"`
	FirstError string `json:"first_error,omitempty"`
	// Reason is why the task is dead, or dying.
	Reason task.Reason `json:"reason,omitempty"`
	// Result is what the handler left; in JSON as base64.
	Result []byte `json:"result,omitempty"`
	// Progress is the fraction done, 0 to 1, and Note what the handler says to it.
	Progress float64 `json:"progress,omitempty"`
	Note     string  `json:"note,omitempty"`
	// Node is the name of the node that wrote this.
	Node string `json:"node,omitempty"`
}

// ErrDetails is wrapped by the error of details that are there and can't be read.
var ErrDetails = errors.New("details of a claim can't be read")

func parseDetails(text string) (*Details, error) {
	var d Details
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDetails, err)
	}
	return &d, nil
}

// render is the text in Redis.
func (d *Details) render(t *task.Task) string {
	d.Queue, d.Source, d.ID = t.Queue, t.Source, t.ID
	text, err := json.Marshal(d)
	if err != nil {
		// A progress that is no number is the only value that JSON lacks.
		d.Progress = 0
		text, _ = json.Marshal(d) //nolint:errchkjson // nothing that can fail is left
	}
	return string(text)
}
