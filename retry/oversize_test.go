package retry

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/internal/record"
	"github.com/tasktier/tasktier/internal/testenv"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A record that fills its topic comes back without its errors, and one that doesn't fit even so is refused for good: the
// caller makes it a letter.
func TestPitfall30LargeRecordsComeBackOrAreRefused(t *testing.T) {
	s := newStage(t, nil, kgo.SeedBrokers(testenv.Kafka(t)...))
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

// randomText compresses badly.
func randomText() string {
	var b strings.Builder
	for i := range 600 {
		b.WriteByte(byte('!' + (i*i*31>>4^i*7)%90))
	}
	return b.String()
}
