package control

import (
	"errors"
	"strings"
	"testing"
)

// What stands in etcd may have been written by anybody, and by later versions.

// FuzzDecode: a value is understood in full, and says the same when it is written anew; or it says why not.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{"v":1,"paused":true,"by":"ann","at":"2026-01-02T03:04:05Z"}`, `{"v":1,"limit":0}`, `{"v":1,"limit":1000001}`, `{"v":1,"limit":-1}`, `{"v":1,"drained":true}`,
		`{"v":2,"paused":{"from":1}}`, `{}`, `{"v":"1"}`, `null`, ``, `{"v":1,"v":2}`, `{"v":1e9}`, `{"v":1,"at":"soon"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		v, err := decode(text)
		if err != nil {
			if err.Error() == "" || v != (said{}) {
				t.Fatalf("read %q: %+v, %v", text, v, err)
			}
			return
		}
		if v.Limit != nil && (*v.Limit < 0 || *v.Limit > MaxLimit) || v.V != format {
			t.Fatalf("read %q: %+v", text, v)
		}
		written, err := v.encode()
		if err != nil {
			t.Fatalf("read %q, and can't write it: %v", text, err)
		}
		if again, err := decode([]byte(written)); err != nil || !again.agrees(v) || again.By != v.By || !again.At.Equal(v.At) {
			t.Fatalf("read %q: %+v, written %q and read: %+v, %v", text, v, written, again, err)
		}
		newer := strings.Replace(written, `"v":1`, `"v":2`, 1)
		if _, err := decode([]byte(newer)); !errors.Is(err, ErrNewer) {
			t.Fatalf("read %q: %v, want ErrNewer", newer, err)
		}
	})
}

// FuzzKey: every name has one key, and every key at most one name.
func FuzzKey(f *testing.F) {
	folder := folderOf("")
	for _, k := range []string{"queues/tasks", "types/report.make", "types/a%2Fb", "types/a/b", "nodes/", "nodes/%zz", "nodes/%61", "other/x", "queues", "types/%00", ""} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, k string) {
		about, name, err := parseKey(folder, folder+k)
		if err != nil {
			return
		}
		if again := key(folder, about, name); again != folder+k {
			t.Fatalf("%q is about %s %q, whose key is %q", k, about, name, again)
		}
		if name == "" || about != queues && about != types && about != nodes {
			t.Fatalf("%q is about %q %q", k, about, name)
		}
	})
}
