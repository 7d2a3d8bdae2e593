package testenv

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// CreateTopics creates topics with so many partitions and settings, which may be nil, and waits until the broker knows
// every partition of theirs: for some milliseconds after it has answered it does not.
func CreateTopics(t testing.TB, client *kgo.Client, partitions int32, settings map[string]*string, topics ...string) {
	t.Helper()
	adm := kadm.NewClient(client)
	created, err := adm.CreateTopics(t.Context(), partitions, 1, settings, topics...)
	if err == nil {
		err = created.Error()
	}
	if err != nil {
		t.Fatalf("create topics %v: %v", topics, err)
	}
	for {
		ends, err := adm.ListEndOffsets(t.Context(), topics...)
		if err == nil {
			err = ends.Error()
		}
		known := 0
		ends.Each(func(kadm.ListedOffset) { known++ })
		if err == nil && known == len(topics)*int(partitions) {
			return
		}
		select {
		case <-t.Context().Done():
			t.Fatalf("wait for topics %v: %d partitions are known: %v", topics, known, err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
