package outbox

import (
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestClientsOfTheSameOptions: outboxes of one client build theirs at the same instant. Kafka's client writes to the
// codecs that it is given, which the race detector would see.
func TestClientsOfTheSameOptions(t *testing.T) {
	like, err := kgo.NewClient(kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.GzipCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer like.Close()
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() {
			a := alone{like: like}
			defer a.close()
			if _, err := a.client(); err != nil {
				t.Error(err)
			}
		})
	}
	both.Wait()
}
