package retry

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap/zaptest"
)

// A record that fits into its topic only without the texts of its errors is written without them. One that does not fit
// either way is refused for good, and the caller dead-letters it. Pitfall 30 of docs/pitfalls.md.
func TestLargeRecordIsWrittenWithoutErrorsOrRefused(t *testing.T) {
	s := onKafka(t)
	limit := "4000"
	queue := s.queue + ".small"
	if _, err := kadm.NewClient(s.client).CreateTopic(s.context(), 1, 1, map[string]*string{"max.message.bytes": &limit, "compression.type": &[]string{"uncompressed"}[0]}, names.Pending(queue)); err != nil {
		t.Fatal(err)
	}
	write := func(size int) error {
		done := make(chan error, 1)
		payload := []byte(strings.Repeat("x", size))
		r := record.Encode(task.New("t", payload, task.ID("1"), task.Source("/s")), "")
		for i := range r.Value { // nothing that compresses
			r.Value[i] = byte(i*i>>3 ^ i*7919>>5)
		}
		s.writer.Write(s.context(), Wait{Queue: queue, Record: r, Due: time.Now(), Turn: 2, Attempt: 2, Err: randomText(), FirstErr: randomText()}, func(err error) { done <- err })
		return <-done
	}
	if err := write(3500); err != nil {
		t.Errorf("a record that fits without its errors: %v", err)
	}
	if err := write(8000); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a record that doesn't fit: %v, want ErrTooLarge", err)
	}
}

// Records that are too large only together come back, each of them: a broker refuses a batch as a whole, and the limit of a
// topic may be lower than that of the client.
func TestRecordsThatAreTooLargeTogether(t *testing.T) {
	onBoth(t, func(t *testing.T, s *stage) {
		limit, kind := "4000", "uncompressed"
		queue := s.queue + ".small"
		if _, err := kadm.NewClient(s.client).CreateTopic(s.context(), 1, 1, map[string]*string{"max.message.bytes": &limit, "compression.type": &kind}, names.Pending(queue)); err != nil {
			t.Fatal(err)
		}
		client := s.dial(append(OutOptions(s.kafka, s.prefix, 1<<20), kgo.ProducerBatchCompression(kgo.NoCompression()), kgo.ProducerLinger(50*time.Millisecond))...)
		w := NewWriter(client, s.prefix, zaptest.NewLogger(t))
		const n = 200
		done := make(chan error, n)
		for i := range n {
			r := record.Encode(task.New("t", []byte(randomText()), task.ID(strconv.Itoa(i)), task.Source("/s")), "")
			w.Write(s.context(), Wait{Queue: queue, Record: r, Due: time.Now(), Turn: 2, Attempt: 2}, func(err error) { done <- err })
		}
		for range n {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		client.Close()
		w.Close()
	})
}

// randomText compresses badly.
func randomText() string {
	var b strings.Builder
	for i := range 600 {
		b.WriteByte(byte('!' + (i*i*31>>4^i*7)%90))
	}
	return b.String()
}
