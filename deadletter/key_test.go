package deadletter_test

import (
	"testing"

	"github.com/tasktier/tasktier/deadletter"
	"pgregory.net/rapid"
)

func TestKey(t *testing.T) {
	if got := string(deadletter.Key("/shop", "order 7", 2)); got != "5:/shoporder 7#2" {
		t.Errorf("key %q", got)
	}
	if got := string(deadletter.OriginKey("tasks.pending/3/99")); got != "tasks.pending/3/99" {
		t.Errorf("origin key %q", got)
	}
}

// Two identities, or two generations of one, never share a key, whatever they are made of.
func TestKeyIsUnique(t *testing.T) {
	text := rapid.StringMatching(`[0-9:#/a]{1,6}`)
	rapid.Check(t, func(t *rapid.T) {
		s1, i1, g1 := text.Draw(t, "source"), text.Draw(t, "id"), rapid.IntRange(0, 11).Draw(t, "generation")
		s2, i2, g2 := text.Draw(t, "source"), text.Draw(t, "id"), rapid.IntRange(0, 11).Draw(t, "generation")
		same := s1 == s2 && i1 == i2 && g1 == g2
		if (string(deadletter.Key(s1, i1, g1)) == string(deadletter.Key(s2, i2, g2))) != same {
			t.Fatalf("(%q, %q, %d) and (%q, %q, %d)", s1, i1, g1, s2, i2, g2)
		}
	})
}
