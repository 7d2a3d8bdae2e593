package interop

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/task"
)

// An event is one of cases.json: what every publisher is told to send.
type event struct {
	ID, Type, Source, Subject, DataContentType string

	Time       time.Time
	Data       json.RawMessage
	Base64     []byte
	Extensions map[string]any
}

func readCases(t *testing.T) []event {
	t.Helper()
	b, err := os.ReadFile("cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var events []event
	if err := json.Unmarshal(b, &events); err != nil {
		t.Fatalf("read cases.json: %v", err)
	}
	return events
}

// expected is the task that a handler must be given, but for its payload and headers.
func (e event) expected(mode, prefix string) *task.Task {
	want := &task.Task{ID: prefix + e.ID, Type: e.Type, Turn: 1, Attempt: 1}
	if mode == "plain" {
		want.Source, want.ContentType = "/plain", "application/json"
		return want
	}
	want.Source, want.ContentType, want.Time = e.Source, e.DataContentType, e.Time.UTC()
	for name, v := range e.Extensions {
		switch name {
		case "partitionkey":
			want.Key = v.(string)
		case "maxattempts":
			want.MaxAttempts = int(v.(float64))
		case "timeoutms":
			want.Timeout = time.Duration(v.(float64)) * time.Millisecond
		case "traceparent":
			want.TraceParent = v.(string)
		case "tracestate":
			want.TraceState = v.(string)
		}
	}
	return want
}

// headers are the attributes that are none of tasktier's and must reach the handler as they are.
func (e event) headers(mode string) map[string]string {
	want := map[string]string{}
	if mode == "plain" {
		return want
	}
	if e.Subject != "" {
		want["ce_subject"] = e.Subject
	}
	for _, name := range []string{"tenant", "urgent", "label"} {
		if v, ok := e.Extensions[name]; ok {
			want["ce_"+name] = fmt.Sprint(v)
		}
	}
	return want
}

// checkPayload compares bytes where the case gives bytes or text, and meaning where the SDK writes the JSON.
func (e event) checkPayload(t *testing.T, mode string, got []byte) {
	t.Helper()
	switch {
	case mode == "plain" && e.Base64 != nil:
		text, err := json.Marshal(e.Base64) // a script has no other way to send bytes as JSON
		if err != nil {
			t.Fatal(err)
		}
		sameJSON(t, got, text)
	case e.Base64 != nil:
		if !bytes.Equal(got, e.Base64) {
			t.Errorf("payload is %q, want %q", got, e.Base64)
		}
	case e.Data == nil:
		if len(got) != 0 {
			t.Errorf("payload is %q, want none", got)
		}
	case mode == "plain" || strings.Contains(e.DataContentType, "json"):
		sameJSON(t, got, e.Data)
	default:
		var text string
		if err := json.Unmarshal(e.Data, &text); err != nil {
			t.Fatal(err)
		}
		if string(got) != text {
			t.Errorf("payload is %q, want %q", got, text)
		}
	}
}

// sameJSON compares values; of numbers it compares every digit.
func sameJSON(t *testing.T, got, want []byte) {
	t.Helper()
	var values [2]any
	for i, b := range [][]byte{got, want} {
		d := json.NewDecoder(bytes.NewReader(b))
		d.UseNumber()
		if err := d.Decode(&values[i]); err != nil || d.More() {
			t.Errorf("payload %q is not one JSON value: %v", b, err)
			return
		}
	}
	if !reflect.DeepEqual(values[0], values[1]) {
		t.Errorf("payload is %s, want %s", got, want)
	}
}
