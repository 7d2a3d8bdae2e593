package handler

import (
	"slices"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/task"
)

func TestEnvironmentKeepsTheNodesOwnButNothingThatLooksLikeATask(t *testing.T) {
	got, err := environment(
		[]string{"PATH=/bin", "TASKTIER_KAFKA_BROKERS=a", "TASKTIER_TASK_ID=stale", "TASKTIER_HEADER_X=stale"},
		[]string{"A=1", "B=", "C==x"})
	if want := []string{"PATH=/bin", "TASKTIER_KAFKA_BROKERS=a", "A=1", "B=", "C==x"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("environment is %q, %v, want %q", got, err, want)
	}
	for _, bad := range []string{"", "A", "=x", "A=\x00"} {
		if _, err := environment(nil, []string{bad}); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestTaskEnvironmentRefusesAttributesThatDoNotFit(t *testing.T) {
	for name, tt := range map[string]*task.Task{
		"NUL in id":         {ID: "a\x00b"},
		"NUL in source":     {Source: "\x00"},
		"long key":          {Key: strings.Repeat("x", maxValue+1)},
		"long content type": {ContentType: strings.Repeat("x", maxValue+1)},
		"NUL in tracestate": {TraceState: "a=\x00"},
	} {
		if env, err := taskEnvironment(tt, tokens{}); err == nil {
			t.Errorf("%s: got %.80q", name, env)
		}
	}
	if _, err := taskEnvironment(&task.Task{Key: strings.Repeat("x", maxValue)}, tokens{}); err != nil {
		t.Errorf("the longest value that fits: %v", err)
	}
}

func TestTaskEnvironmentHeaders(t *testing.T) {
	for _, c := range []struct {
		key, value string
		want       string // empty: left out
	}{
		{"ce_tenant", "a b", "TASKTIER_HEADER_CE_TENANT=a b"},
		{"X-Request-Id", "1\n2", "TASKTIER_HEADER_X_REQUEST_ID=1\n2"},
		{"a=b", "", "TASKTIER_HEADER_A_B="},
		{"LD_PRELOAD", "/evil.so", "TASKTIER_HEADER_LD_PRELOAD=/evil.so"},
		{"é\xff\x00\n", "v", "TASKTIER_HEADER_____=v"},
		{"", "v", ""},
		{"nul", "\x00", ""},
		{"long", strings.Repeat("x", maxValue+1), ""},
		{strings.Repeat("x", maxHeaderName+1), "v", ""},
		{"ce_ttfence", "99", ""},
		{"ce-ttfence", "99", ""},
		{"CE_TTFENCE", "99", ""},
	} {
		env, err := taskEnvironment(&task.Task{Headers: []task.Header{{Key: c.key, Value: c.value}}}, tokens{})
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(slices.DeleteFunc(env, func(s string) bool { return !strings.HasPrefix(s, "TASKTIER_HEADER") }), "|")
		if got != c.want {
			t.Errorf("header %.50q: %.80q, want %q", c.key, got, c.want)
		}
	}
}

// The headers of a task add a bounded number of bytes to the environment of a command. Pitfall 12 of docs/pitfalls.md.
func TestHeadersInTheEnvironmentAreBounded(t *testing.T) {
	tt := &task.Task{}
	for range 100 {
		tt.Headers = append(tt.Headers, task.Header{Key: "big", Value: strings.Repeat("x", maxValue)})
	}
	env, err := taskEnvironment(tt, tokens{})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(strings.Join(env, "")); n > maxHeaders+1024 {
		t.Errorf("the environment has %d bytes", n)
	}
}
