package task_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/task"
)

func TestNewMintsUUIDv7(t *testing.T) {
	v7 := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	before := time.Now().UnixMilli()
	seen := make(map[string]bool)
	for range 1000 {
		id := task.New("t", nil).ID
		if !v7.MatchString(id) || seen[id] {
			t.Fatalf("%s is no fresh UUIDv7", id)
		}
		seen[id] = true
		var ms int64
		if _, err := fmt.Sscanf(id[:8]+id[9:13], "%x", &ms); err != nil || ms < before || ms > time.Now().UnixMilli() {
			t.Fatalf("%s says %d ms, it was minted at %d or a little later", id, ms, before)
		}
	}
}

func TestOptions(t *testing.T) {
	at := time.Date(2026, 10, 1, 2, 3, 4, 5e6, time.UTC)
	got := task.New("t", []byte("x"), task.ID("i"), task.Source("/s"), task.Queue("q"), task.Key("k"), task.At(at), task.Expires(at.Add(1)),
		task.MaxAttempts(3), task.Timeout(time.Second), task.ContentType("text/plain"), task.Trace("p", "s"), task.WithHeader("ce_tenant", "a"))
	got.Headers = append(got.Headers, task.Header{Key: "ce_tenant", Value: "b"})
	want := task.Task{ID: "i", Source: "/s", Type: "t", Queue: "q", Payload: []byte("x"), ContentType: "text/plain", Key: "k", NotBefore: at,
		Expires: at.Add(1), MaxAttempts: 3, Timeout: time.Second, TraceParent: "p", TraceState: "s", Turn: 1, Attempt: 1,
		Headers: []task.Header{{Key: "ce_tenant", Value: "a"}, {Key: "ce_tenant", Value: "b"}}}
	if g, w := fmt.Sprintf("%+v", *got), fmt.Sprintf("%+v", want); g != w {
		t.Errorf("got  %s\nwant %s", g, w)
	}
	if got.Header("ce_tenant") != "b" || got.Header("ce_other") != "" {
		t.Error("Header is the last of its name, or empty")
	}
	if n := task.New("t", nil, task.In(time.Hour), task.In(0)).NotBefore; !n.IsZero() {
		t.Errorf("a delay of 0 starts at %v, want at once", n)
	}
	if n := time.Until(task.New("t", nil, task.In(time.Hour)).NotBefore); n <= 59*time.Minute || n > time.Hour {
		t.Errorf("a delay of an hour ends in %v", n)
	}
}

func TestOncePer(t *testing.T) {
	day := func(key string) string { return task.New("report", nil, task.OncePer(24*time.Hour, key)).ID }
	first, again := day("a"), day("a")
	if first != again && first[:len("report/a/")] == "report/a/" {
		again = day("a") // midnight has passed between the two
		first = again
	}
	if first != again {
		t.Errorf("the same key in the same window has ids %s and %s", first, again)
	}
	if day("b") == first {
		t.Error("another key has the same id")
	}
	if err := task.New("t", nil, task.Source("/s"), task.OncePer(0, "a")).Validate(); !errors.Is(err, task.ErrInvalid) {
		t.Errorf("a window of 0: %v", err)
	}
}

func TestValidate(t *testing.T) {
	now := time.Now()
	ok := []task.Option{task.Source("/s")}
	tests := []struct {
		name string
		task *task.Task
		want string // part of the error; "": valid
	}{
		{"minimal", task.New("t", nil, ok...), ""},
		{"no type", task.New("", nil, ok...), "type"},
		{"no source", task.New("t", nil), "source"},
		{"identity at the limit", task.New("t", nil, task.Source("/s"), task.ID(strings.Repeat("x", task.MaxIdentity-2))), ""},
		{"identity too long", task.New("t", nil, task.Source("/s"), task.ID(strings.Repeat("x", task.MaxIdentity-1))), "1025 bytes"},
		{"id not UTF-8", task.New("t", nil, task.Source("/s"), task.ID("\xff")), "UTF-8"},
		{"negative attempts", task.New("t", nil, task.Source("/s"), task.MaxAttempts(-1)), "attempts"},
		{"timeout below a millisecond", task.New("t", nil, task.Source("/s"), task.Timeout(time.Microsecond)), "timeout"},
		{"expires before it may start", task.New("t", nil, task.Source("/s"), task.At(now.Add(2)), task.Expires(now.Add(1))), "expires"},
		{"reserved header", task.New("t", nil, task.Source("/s"), task.WithHeader("ce_id", "x")), "reserved"},
		{"header of ours", task.New("t", nil, task.Source("/s"), task.WithHeader("ce_ttattempt", "x")), "reserved"},
		{"payload that can't be encoded", task.Define[float64]("t").New(math.NaN(), ok...), "encode payload"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.task.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("validate: %v", err)
			case tt.want != "" && (!errors.Is(err, task.ErrInvalid) || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("validate: %v, want an ErrInvalid about %s", err, tt.want)
			}
		})
	}
}

func TestDefinition(t *testing.T) {
	type mail struct {
		To string `json:"to"`
		N  json.Number
	}
	d := task.Define[mail]("mail.send", task.MaxAttempts(5), task.Source("/shop"), task.WithHeader("ce_a", "1"))
	first := d.New(mail{To: "ada", N: "123456789012345678901234567890"}, task.MaxAttempts(2), task.WithHeader("ce_b", "2"))
	second := d.New(mail{}, task.WithHeader("ce_c", "3"))
	if d.Name() != "mail.send" || first.Type != "mail.send" || first.MaxAttempts != 2 || second.MaxAttempts != 5 || first.ContentType != "application/json" {
		t.Errorf("got %+v and %+v", first, second)
	}
	if first.Header("ce_b") != "2" || first.Header("ce_c") != "" || second.Header("ce_b") != "" {
		t.Error("tasks of one definition share headers")
	}
	if p, err := d.Decode(first); err != nil || p.To != "ada" || p.N != "123456789012345678901234567890" {
		t.Errorf("decode: %+v, %v", p, err)
	}
	if p, err := d.Decode(&task.Task{}); err != nil || p != (mail{}) {
		t.Errorf("decode nothing: %+v, %v", p, err)
	}
	if _, err := d.Decode(&task.Task{Payload: []byte(`{"to":7}`)}); err == nil || !strings.Contains(err.Error(), "mail.send") {
		t.Errorf("decode something else: %v", err)
	}
	raw := task.Define[[]byte]("raw")
	if p, err := raw.Decode(raw.New([]byte{0, 255})); err != nil || string(p) != "\x00\xff" {
		t.Errorf("raw bytes: %q, %v", p, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a definition without a name does not panic")
		}
	}()
	task.Define[mail]("")
}

func TestWord(t *testing.T) {
	cause := errors.New("cause")
	tests := []struct {
		name string
		err  error
		want string // its type
	}{
		{"nil", nil, "<nil>"},
		{"plain", cause, "<nil>"},
		{"permanent", task.Permanent(cause), "*task.PermanentError"},
		{"wrapped", fmt.Errorf("x: %w", task.Snooze(1)), "*task.SnoozeError"},
		{"outermost wins", task.Permanent(task.RetryAfter(1, cause)), "*task.PermanentError"},
		{"outermost wins, the other way", task.RetryAfter(1, fmt.Errorf("x: %w", task.Permanent(cause))), "*task.RetryAfterError"},
		{"first of joined", errors.Join(cause, task.Snooze(1), task.Permanent(cause)), "*task.SnoozeError"},
		{"joined without one", errors.Join(cause, cause), "<nil>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := fmt.Sprintf("%T", task.Word(tt.err)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if task.Permanent(nil) != nil || task.RetryAfter(1, nil) != nil {
		t.Error("marking no error makes one")
	}
	if !errors.Is(task.Permanent(cause), cause) || !errors.Is(task.RetryAfter(1, cause), cause) {
		t.Error("a marked error hides its cause")
	}
}

func TestContext(t *testing.T) {
	if task.From(context.Background()) != nil {
		t.Error("there is a task outside a handler")
	}
	want := task.New("t", nil)
	if task.From(task.NewContext(context.Background(), want)) != want {
		t.Error("the task is not found")
	}
}

func ExampleDefine() {
	type greeting struct {
		To string `json:"to"`
	}
	welcome := task.Define[greeting]("mail.welcome", task.MaxAttempts(5))

	t := welcome.New(greeting{To: "ada@example.com"}, task.ID("customer-7"))
	fmt.Println(t.Type, t.ID, string(t.Payload))
	// Output: mail.welcome customer-7 {"to":"ada@example.com"}
}
