package interop

import (
	"fmt"
	"slices"
	"testing"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestTransactions: tasks of aborted transactions never run, those of committed ones run once, also where the two lie
// between each other. The markers of transactions leave gaps in the offsets, which must hold nothing up.
func TestTransactions(t *testing.T) {
	s := newStage(t, 1)
	s.handle("interop.good")
	await := s.consume(1)
	var committed []string
	for i, outcome := range []kgo.TransactionEndTry{
		kgo.TryAbort, kgo.TryCommit, kgo.TryAbort, kgo.TryAbort, kgo.TryCommit, kgo.TryCommit, kgo.TryAbort,
	} {
		ids := []string{fmt.Sprintf("%d-a", i), fmt.Sprintf("%d-b", i)}
		s.transact(outcome, ids...)
		if outcome == kgo.TryCommit {
			committed = append(committed, ids...)
		}
	}
	// A record behind the last marker, so that the committed offset reaches the log's end.
	s.produce(&kgo.Record{Headers: binary("last"), Value: []byte("{}")})
	committed = append(committed, "last")

	await(len(committed))
	s.finished()
	if got := s.ids(); !slices.Equal(got, committed) {
		t.Errorf("ran %v, want %v", got, committed)
	}
	s.letters(0)
}

// transact publishes tasks in one transaction.
func (s *stage) transact(outcome kgo.TransactionEndTry, ids ...string) {
	s.t.Helper()
	cl := s.connect(kgo.TransactionalID(testenv.Unique(s.t)), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := cl.BeginTransaction(); err != nil {
		s.t.Fatal(err)
	}
	var records []*kgo.Record
	for _, id := range ids {
		records = append(records, &kgo.Record{Topic: names.Pending(s.queue), Headers: binary(id), Value: []byte("{}")})
	}
	// Acknowledged, so that an abort takes back what is in the log and not what was still buffered.
	if err := cl.ProduceSync(s.context(), records...).FirstErr(); err != nil {
		s.t.Fatal(err)
	}
	if err := cl.EndTransaction(s.context(), outcome); err != nil {
		s.t.Fatal(err)
	}
}
