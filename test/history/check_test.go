package history

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// A trial is a history and the rule that it violates; "" if it is lawful.
type trial struct {
	name    string
	history string
	guilty  Rule
	because string // what the violation says
}

// rules of the tests: a lease of 10 s, and small slacks.
var rules = Rules{Unrecorded: time.Second, Zombie: time.Second, Rewritten: 5 * time.Second}

// try checks histories. Each begins with one task x that is sent and acknowledged at 0, unless it sends by itself.
func try(t *testing.T, with Rules, trials []trial) {
	t.Helper()
	for _, c := range trials {
		t.Run(c.name, func(t *testing.T) {
			text := c.history
			if !strings.Contains(text, " sends ") && !strings.Contains(text, " gives ") {
				text = "0 p sends x\n" + text
			}
			report, err := Check(All(parse(t, text)...), with)
			must(t, err)
			var want []Rule
			if c.guilty != "" {
				want = []Rule{c.guilty}
			}
			var told strings.Builder
			report.Print(&told)
			if got := slices.Collect(maps.Keys(report.Violated)); !slices.Equal(got, want) {
				t.Fatalf("violated: %q, want %q\n%s", got, want, told.String())
			}
			if c.guilty != "" && !strings.Contains(report.Violations[0].Text, c.because) {
				t.Errorf("it says %q, want %q", report.Violations[0].Text, c.because)
			}
		})
	}
}
