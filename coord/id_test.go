package coord

import "testing"

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 1000 {
		for _, k := range []kind{registeredFirst, usedFirst} {
			id := newID(k)
			if len(id) != 13 || !validID(id) || kindOf(id) != k || seen[id] {
				t.Fatalf("drew %q", id)
			}
			seen[id] = true
		}
	}
	for _, id := range []string{"", "a b", "a/b", "..", "ä", "a\x00"} {
		if validID(id) {
			t.Errorf("%q is taken for an id", id)
		}
	}
}
