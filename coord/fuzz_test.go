package coord

import (
	"testing"

	"go.etcd.io/etcd/api/v3/mvccpb"
)

// FuzzRegistry: whatever stands in a member's or a leader's key, that there is one counts, and its name is the key's.
func FuzzRegistry(f *testing.F) {
	for _, value := range []string{
		`{"name":"n","host":"h","pid":7,"queues":["a"],"types":["x"]}`, `{"session":"another","revision":9,"term":9}`, ``, `null`, `[]`, `{"pid":"x"}`, `{"queues":{}}`, `{"name":1,"host":"h"}`,
	} {
		f.Add([]byte(value), int64(5))
	}
	f.Fuzz(func(t *testing.T, value []byte, revision int64) {
		m := newMember("session", &mvccpb.KeyValue{Value: value, CreateRevision: revision})
		if m.Session != "session" || m.Revision != revision {
			t.Fatalf("%q is read as %+v", value, m)
		}
		if l := newLeader(&mvccpb.KeyValue{Value: value, CreateRevision: revision}); l.Term != revision {
			t.Fatalf("%q is read as %+v", value, l)
		}
	})
}
