package handler

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tasktier/tasktier/task"
)

const (
	attributePrefix = "TASKTIER_TASK_"
	headerPrefix    = "TASKTIER_HEADER_"

	// maxValue bounds one variable, in bytes. Linux takes 128 KiB, and others less.
	maxValue = 16 << 10
	// maxHeaderName and maxHeaders bound what headers add, so that with all else it stays far below what a system
	// takes of arguments and environment together: 2 MiB on Linux, 1 MiB on macOS.
	maxHeaderName = 256
	maxHeaders    = 128 << 10
)

// environment is what all runs of a command share: the node's own variables, except those that a run would take for its
// task's, and the configured ones.
func environment(node, configured []string) ([]string, error) {
	var env []string
	for _, v := range node {
		if !strings.HasPrefix(v, attributePrefix) && !strings.HasPrefix(v, headerPrefix) {
			env = append(env, v)
		}
	}
	for _, v := range configured {
		if i := strings.IndexByte(v, '='); i <= 0 || strings.Contains(v, "\x00") {
			return nil, fmt.Errorf("env %s must be NAME=value without NUL bytes", quote(v))
		}
		env = append(env, v)
	}
	return env, nil
}

// taskEnvironment is what a run adds: t's attributes and headers, and the run's fencing token, or nothing for 0. It fails if
// an attribute does not fit: a command that saw a shortened one would take the task for another.
func taskEnvironment(t *task.Task, by tokens) ([]string, error) {
	attributes := []struct{ name, value string }{
		{"ID", t.ID},
		{"SOURCE", t.Source},
		{"TYPE", t.Type},
		{"QUEUE", t.Queue},
		{"KEY", t.Key},
		{"CONTENT_TYPE", t.ContentType},
		{"TIME", timestamp(t.Time)},
		{"TRACEPARENT", t.TraceParent},
		{"TRACESTATE", t.TraceState},
		{"GENERATION", strconv.Itoa(t.Generation)},
		{"TURN", strconv.Itoa(t.Turn)},
		{"ATTEMPT", strconv.Itoa(t.Attempt)},
		{"FENCE", positive(by.fence)},
		{"SLOT", positive(by.slot)},
	}
	env := make([]string, 0, len(attributes)+len(t.Headers))
	for _, a := range attributes {
		if !fits(a.value) {
			return nil, fmt.Errorf("set %s%s to %s: a value must have at most %d bytes and no NUL",
				attributePrefix, a.name, quote(a.value), maxValue)
		}
		env = append(env, attributePrefix+a.name+"="+a.value)
	}
	left := maxHeaders
	for _, h := range t.Headers {
		if h.Key == "" || len(h.Key) > maxHeaderName || !fits(h.Value) {
			continue
		}
		name := strings.Map(variableRune, h.Key)
		if strings.HasPrefix(name, "CE_TT") { // a foreign one would pass for tasktier's own word
			continue
		}
		if left -= len(headerPrefix) + len(h.Key) + 1 + len(h.Value); left < 0 {
			break
		}
		env = append(env, headerPrefix+name+"="+h.Value)
	}
	return env, nil
}

func fits(value string) bool { return len(value) <= maxValue && !strings.Contains(value, "\x00") }

// variableRune maps a rune of a header's name to one that every shell takes in a variable's.
func variableRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z':
		return r - 'a' + 'A'
	case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return r
	}
	return '_'
}
