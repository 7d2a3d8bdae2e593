package names_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/internal/names"
)

func TestNames(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{names.Pending("tasks"), "tasks.pending"},
		{names.Dead("tasks"), "tasks.dead"},
		{names.RetryMinute("tasktier"), "tasktier.retry.minute"},
		{names.RetryHour("tasktier"), "tasktier.retry.hour"},
		{names.Group("tasktier", "tasks"), "tasktier.tasks"},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestValidQueue(t *testing.T) {
	long := strings.Repeat("q", names.MaxQueue)
	for name, ok := range map[string]bool{
		"tasks": true, "a": true, "mail.bulk": true, "mail_bulk-2": true, "A9": true, "..x": false, long: true,
		"": false, ".": false, "..": false, ".mail": false, "mail.": false, long + "q": false,
		"a b": false, "a/b": false, "ä": false, "a\x00": false, "a\n": false, "a:b": false,
		"mail.pending": false, "mail.dead": false, "mail.deadly": true,
	} {
		err := names.ValidQueue(name)
		if (err == nil) != ok {
			t.Errorf("ValidQueue(%.20q) = %v, want ok=%v", name, err, ok)
		}
		if err != nil && !errors.Is(err, names.ErrInvalid) {
			t.Errorf("ValidQueue(%.20q) = %v, want one that wraps ErrInvalid", name, err)
		}
	}
	if n := len(names.Pending(long)); n > 249 {
		t.Errorf("the topic of the longest queue has %d bytes, Kafka takes 249", n)
	}
}

func TestEtcdPrefix(t *testing.T) {
	for given, want := range map[string]string{"": "/tasktier", "/a/b": "/a/b", "/a/b/": "/a/b", "/": ""} {
		if got := names.EtcdPrefix(given); got != want {
			t.Errorf("%q begins keys with %q, want %q", given, got, want)
		}
	}
}
