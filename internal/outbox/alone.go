package outbox

import (
	"fmt"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// mostBytes is as large as a batch may be for Kafka's client; how large is too large, brokers say.
const mostBytes = 1 << 29

// An alone makes a client that sends one record at a time. A broker that refuses a batch as too large refuses all its
// records, and doesn't say whether one of them is too large or all of them together.
type alone struct {
	like *kgo.Client

	mu     sync.Mutex
	made   *kgo.Client // nil until it is needed
	closed bool
}

// building is held while a client is built: kgo writes to the list of codecs that an option has, and outboxes of one client
// build theirs from the same options.
var building sync.Mutex

// client returns it.
func (a *alone) client() (*kgo.Client, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.closed:
		return nil, kgo.ErrClientClosed
	case a.made != nil:
		return a.made, nil
	}
	building.Lock()
	defer building.Unlock()
	// A record counts as buffered until it is acknowledged.
	client, err := kgo.NewClient(slices.Concat(a.like.Opts(), []kgo.Opt{ // a copy: the list is the client's own
		kgo.MaxBufferedRecords(1), kgo.MaxBufferedBytes(2 * mostBytes), kgo.ProducerBatchMaxBytes(mostBytes), kgo.BrokerMaxWriteBytes(2 * mostBytes),
	})...)
	if err != nil {
		return nil, fmt.Errorf("configure client for single records: %w", err)
	}
	a.made = client
	return client, nil
}

func (a *alone) close() {
	a.mu.Lock()
	client := a.made
	a.closed = true
	a.mu.Unlock()
	if client != nil {
		client.Close()
	}
}
