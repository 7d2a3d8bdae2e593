package deadletter_test

import (
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/deadletter"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Errors that differ in numbers, identifiers and quotes are one group, and its command selects it and nothing else.
func TestGroups(t *testing.T) {
	kinds := []struct{ typ, err string }{
		{"mail.send", "connect to 10.0.%d.%d:443: refused after %dms"},
		{"mail.send", "no such customer %d"},
		{"report.make", "no such customer %d"},
		{"mail.send", "handler panicked: can't open '/tmp/%d': it's a \"file-%d\"\n\tgoroutine %d"},
		{"it's a type; rm -rf", "task 0199a2b4-7c1d-7e4f-9b3a-%012d (a.b*c) $HOME `%d` %%"},
		{"", "is no CloudEvent"},
	}
	on(t, 3, func(t *testing.T, g *ground) {
		var deaths []death
		for k, kind := range kinds {
			for i := range 10 - k {
				d := death{id: fmt.Sprintf("%d-%d", k, i), typ: kind.typ, died: epoch.Add(time.Duration(i) * time.Minute)}
				d.err = strings.ReplaceAll(strings.ReplaceAll(kind.err, "%%", "%"), "%d", fmt.Sprint(i*7))
				d.err = strings.ReplaceAll(d.err, "%012d", fmt.Sprintf("%012d", i))
				if kind.typ == "" {
					d.raw, d.origin = &kgo.Record{Value: []byte("?")}, fmt.Sprintf("q.pending/0/%d", i)
				}
				deaths = append(deaths, d)
			}
		}
		g.bury(deaths...)
		g.bury(death{id: "gone", err: "something else"})
		g.raise("gone", 0)
		groups, err := g.store.Groups(t.Context(), g.queue, deadletter.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		if len(groups) != len(kinds) {
			t.Fatalf("%d groups, want %d: %+v", len(groups), len(kinds), groups)
		}
		for k, group := range groups { // the largest first, as they are listed above
			last := time.Duration(9-k) * time.Minute
			if group.Type != kinds[k].typ || int(group.Letters) != 10-k || !group.First.Equal(epoch) || !group.Last.Equal(epoch.Add(last)) {
				t.Errorf("group %d: %+v", k, group)
			}
			if sample := fmt.Sprintf("%d-%d", k, 9-k); group.Sample != sample && k < 5 {
				t.Errorf("group %d has the sample %q, want %q", k, group.Sample, sample)
			}
			if n := len(g.list(group.Filter())); n != 10-k {
				t.Errorf("the filter of group %d takes %d letters, want %d", k, n, 10-k)
			}
			// What a shell makes of the command is what was meant.
			words := shell(t, group.Command())
			want := []string{"dead", "replay", "--queue", g.queue, "--type", group.Type, "--error-regexp", group.Pattern}
			if fmt.Sprintf("%q", words) != fmt.Sprintf("%q", want) {
				t.Errorf("group %d: a shell reads %q as %q, want %q", k, group.Command(), words, want)
			}
			f := deadletter.Filter{Types: []string{words[5]}, ErrorRegexp: regexp.MustCompile(words[7])}
			if n := len(g.list(f)); n != 10-k {
				t.Errorf("the command of group %d takes %d letters, want %d", k, n, 10-k)
			}
			if strings.ContainsAny(group.Pattern, "\n\x00") {
				t.Errorf("the command of group %d is more than a line: %q", k, group.Command())
			}
		}
		if got := groups[0].Error; got != "connect to <n>: refused after <d>" {
			t.Errorf("an error reads %q", got)
		}
	})
}

// shell returns the arguments that a shell gives the command tasktier.
func shell(t *testing.T, command string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `tasktier() { printf '%s\0' "$@"; }; `+command).Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

// Errors that have nothing in common can't fill the memory.
func TestManyGroups(t *testing.T) {
	g := newGround(t, kafkas["kfake"](t), 1, nil)
	var deaths []death
	for i := range 11_000 {
		word := strings.Map(func(r rune) rune { return r - '0' + 'a' }, fmt.Sprintf("%05d", i))
		deaths = append(deaths, death{id: fmt.Sprint(i), err: word})
	}
	g.bury(append(deaths, death{id: "twice", err: "aaaaa"})...)
	groups, err := g.store.Groups(t.Context(), g.queue, deadletter.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != deadletter.MaxGroups+1 {
		t.Fatalf("%d groups", len(groups))
	}
	total := int64(0)
	for _, g := range groups {
		total += g.Letters
	}
	if rest := groups[len(groups)-1]; total != 11_001 || groups[0].Letters != 2 || !rest.Rest || rest.Command() != "" || rest.Sample != "" {
		t.Errorf("%d letters; the first group %+v, the last %+v", total, groups[0], groups[len(groups)-1])
	}
}
