package limit

import (
	"strings"
	"testing"
)

func TestTypesHaveKeysOfTheirOwn(t *testing.T) {
	k := keysUnder("/p/")
	if k != "/p/limits/" || keysUnder("") != "/tasktier/limits/" {
		t.Errorf("keys are under %q and by default %q", k, keysUnder(""))
	}
	names := []string{"", "a", "a/slots/000000", "a/waiting", "ab", "/", "//", ".", "..", "../..", "%2F", "a%2Fslots", "a b", "é中文🙂", "\x00\xff", "report.make", "slots", "waiting"}
	seen := make(map[string]string)
	for _, typ := range names {
		slot, ticket := k.slot(typ, 7), k.ticket(typ, "s1")
		for _, key := range []string{slot, ticket} {
			if other, doubled := seen[key]; doubled {
				t.Errorf("%q and %q share the key %q", typ, other, key)
			}
			seen[key] = typ
		}
		if at, ok := k.parse(slot); !ok || at != (spot{typ: typ, folder: slotsFolder, number: 7}) {
			t.Errorf("%q is read as %+v", slot, at)
		}
		if at, ok := k.parse(ticket); !ok || at != (spot{typ: typ, folder: waitingFolder, session: "s1"}) {
			t.Errorf("%q is read as %+v", ticket, at)
		}
		for _, other := range names { // or a condition on one's folder would be about another's
			if other != typ && strings.HasPrefix(k.folder(other, slotsFolder), k.folder(typ, slotsFolder)) {
				t.Errorf("the keys of %q are among those of %q", other, typ)
			}
		}
	}
}

func TestForeignKeysAreNone(t *testing.T) {
	k := keysUnder("/p")
	for _, key := range []string{"", "/p/limits/", "/p/limits/a", "/p/limits/a/slots/", "/p/limits/a/slots/1", "/p/limits/a/slots/-00001", "/p/limits/a/slots/x",
		"/p/limits/a/other/000001", "/p/limits/a/b/slots/000001", "/p/limits/%zz/slots/000001", "/q/limits/a/slots/000001"} {
		if at, ok := k.parse(key); ok {
			t.Errorf("%q is taken for %+v", key, at)
		}
	}
}

func TestNumbersSortAsTheyCount(t *testing.T) {
	k := keysUnder("")
	for _, n := range []int{1, 9, 10, 99, 100, maxN - 1} {
		if k.slot("a", n-1) >= k.slot("a", n) {
			t.Errorf("slot %d does not sort after the one before", n)
		}
	}
}

// FuzzKeys: a key that is read as a slot or a ticket is the key of that, and of nothing else.
func FuzzKeys(f *testing.F) {
	k := keysUnder("/p")
	for _, rest := range []string{"a/slots/000001", "a/waiting/s", "a/slots/1", "a/slots/1000000", "a/slots/+00001", "%2F/slots/000000", "a/other/x", "a//", "//", ""} {
		f.Add(rest)
	}
	f.Fuzz(func(t *testing.T, rest string) {
		key := string(k) + rest
		at, ok := k.parse(key)
		switch {
		case !ok:
		case at.folder == slotsFolder && at.number >= 0 && at.session == "" && k.slot(at.typ, at.number) == key:
		case at.folder == waitingFolder && at.number == 0 && k.ticket(at.typ, at.session) == key:
		default:
			t.Fatalf("%q is read as %+v", key, at)
		}
	})
}
