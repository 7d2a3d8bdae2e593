package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/tasktier/tasktier/deadletter"
)

func (c *cli) deadShowCommand() *cobra.Command {
	var source string
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show a dead letter with its payload and headers; exit 1 if there is none",
		Long: `Show a dead letter with its payload and headers. ID is that of the task; a record that is no task is called by where
it was read, as topic/partition/offset; the key of a letter is taken too. A task that was replayed and died again may have
several letters: all are shown, the oldest first. Exit 1 if there is none.`,
		Example: `  tasktier dead show order-7-confirmation
  tasktier dead show tasks.pending/3/1742
  tasktier dead show 42 --source /shop --queue mail -o json`,
		Args: takes("ID"),
		RunE: c.does(func(ctx context.Context, args []string) error {
			return c.deadShow(ctx, deadletter.Filter{IDs: args, Source: source})
		}),
	}
	cmd.Flags().StringVar(&source, "source", "", "only the task that comes from `URI`")
	return cmd
}

func (c *cli) deadShow(ctx context.Context, f deadletter.Filter) error {
	n := 0
	for l, err := range c.eachLetter(ctx, f) {
		if err != nil {
			return err
		}
		if c.json() {
			err = c.object(newShownLetter(l))
		} else {
			err = c.data([]byte(strings.Repeat("\n", min(n, 1)) + letterText(l, time.Now())))
		}
		if err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return fmt.Errorf("there is no dead letter of %q in queue %s: it was replayed or purged, or its task is not dead (see 'tasktier task get')", f.IDs[0], c.queue)
	}
	return nil
}

// A shownLetter is a dead letter with all that it has.
type shownLetter struct {
	letterRow
	RecordKey   *string         `json:"record_key,omitempty"` // that the original had
	ContentType string          `json:"content_type,omitempty"`
	Headers     []shownHeader   `json:"headers"`           // of the original
	Payload     json.RawMessage `json:"payload,omitempty"` // JSON if it is, else a string if it is text
	Binary      []byte          `json:"payload_base64,omitempty"`
}

type shownHeader struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Binary []byte `json:"value_base64,omitempty"` // if it is no text
}

func newShownLetter(l *deadletter.Letter) shownLetter {
	s := shownLetter{letterRow: newLetterRow(l), ContentType: l.Task.ContentType, Headers: []shownHeader{}}
	if key := l.OriginalKey(); key != nil {
		text := string(key)
		s.RecordKey = &text
	}
	for _, h := range l.Headers() {
		shown := shownHeader{Name: h.Key, Value: string(h.Value)}
		if !utf8.Valid(h.Value) {
			shown.Binary = h.Value
		}
		s.Headers = append(s.Headers, shown)
	}
	switch payload := payloadOf(l); {
	case len(payload) == 0:
	case json.Valid(payload) && utf8.Valid(payload):
		s.Payload = payload
	case utf8.Valid(payload):
		s.Payload, _ = json.Marshal(string(payload)) //nolint:errchkjson // a string that is valid
	default:
		s.Binary = payload
	}
	return s
}

// payloadOf is what there is to show: the payload, or all of a record that is no task.
func payloadOf(l *deadletter.Letter) []byte {
	if l.Bad != nil {
		return l.Record.Value
	}
	return l.Task.Payload
}

// letterText is a letter for people. Nothing in it drives the terminal.
func letterText(l *deadletter.Letter, now time.Time) string {
	var b strings.Builder
	say := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, printable(fmt.Sprintf(format, args...)))
	}
	say("letter", "%s", l.ID())
	if l.Task.Source != "" {
		say("source", "%s", l.Task.Source)
	}
	say("queue", "%s", l.Queue)
	if l.Task.Type != "" {
		say("type", "%s", l.Task.Type)
	}
	say("reason", "%s", l.Reason)
	say("error", "%s", l.Err)
	if l.FirstErr != "" && l.FirstErr != l.Err {
		say("first error", "%s", l.FirstErr)
	}
	if l.Bad != nil {
		say("no task", "%v", l.Bad)
	}
	if l.Attempts > 0 {
		say("attempts", "%d", l.Attempts)
	}
	say("generation", "%d", l.Generation)
	if l.Crashes > 0 {
		say("crashes", "%d", l.Crashes)
	}
	say("died", "%s", moments(l.Died, now))
	if l.Node != "" {
		say("node", "%s", l.Node)
	}
	if l.Origin != "" {
		say("origin", "%s", l.Origin)
	}
	say("lies in", "%s/%d, offset %d, key %s", l.Record.Topic, l.Partition, l.Offset, l.Key)
	if key := l.OriginalKey(); key != nil {
		say("record key", "%s", quotedUnlessText(key))
	}
	for _, h := range l.Headers() {
		say("header", "%s: %s", h.Key, quotedUnlessText(h.Value))
	}
	b.WriteString(payloadText(payloadOf(l), l.Bad != nil))
	return b.String()
}

// maxDump is how much of a payload that is no text is shown.
const maxDump = 4 << 10

// payloadText shows a payload: as it is if it is text, else as a dump.
func payloadText(payload []byte, whole bool) string {
	what := "payload"
	if whole {
		what = "value"
	}
	switch {
	case len(payload) == 0:
		return fmt.Sprintf("%-12s empty\n", what)
	case readable(payload):
		return fmt.Sprintf("%-12s %d bytes\n\n%s\n", what, len(payload), strings.TrimSuffix(string(payload), "\n"))
	}
	shown, note := payload, ""
	if len(payload) > maxDump {
		shown, note = payload[:maxDump], fmt.Sprintf("… the first %d bytes; -o json has all of them\n", maxDump)
	}
	return fmt.Sprintf("%-12s %d bytes, not text\n\n%s%s", what, len(payload), hex.Dump(shown), note)
}

// readable says whether b is text that does nothing to a terminal but fill it.
func readable(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	for _, r := range string(b) {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return false
		}
	}
	return true
}

// quotedUnlessText is b, quoted where it is not plain text.
func quotedUnlessText(b []byte) string {
	if readable(b) && !strings.ContainsAny(string(b), "\n\t") {
		return string(b)
	}
	return fmt.Sprintf("%q", b)
}
