package bench

import (
	"context"
	"sync"
	"testing"

	"github.com/tasktier/tasktier/bench/internal/postgres"
	"github.com/tasktier/tasktier/task"
)

// concurrency is how many handlers may run at once, where a side has such a setting and more does not serve it.
const concurrency = 100

// mail is a payload of 95 bytes as JSON.
type mail struct {
	To      string `json:"to"`
	Subject string `json:"subject"`
	Count   int    `json:"count"`
}

const kind = "email.send"

var email = task.Define[mail](kind, task.Source("/bench"))

// newMail is the payload with the given number, whose eight digits make up the 95 bytes.
func newMail(number int) mail {
	return mail{To: "somebody.with.a.name@example.com", Subject: "the subject of this mail", Count: 10_000_000 + number}
}

// encoded is the payload as it is on the wire.
func (m mail) encoded() []byte { return email.New(m).Payload }

func (m mail) number() int { return m.Count - 10_000_000 }

// A side opens a system of its own for a benchmark, which b's cleanup closes.
type side struct {
	name string
	open func(b *testing.B, on *servers) system
}

// A system takes tasks in and hands them to a handler.
type system interface {
	// fill makes n tasks wait, as fast as it can.
	fill(b *testing.B, n int)
	// send takes one task in and returns when it is safe. It is called while run runs, from several goroutines.
	send(ctx context.Context, m mail) error
	// run hands the payload of every task, decoded, to handle until ctx ends. Then it stops in order.
	run(ctx context.Context, handle func(mail)) error
}

// servers are those that only some sides need. They start at first use and stop with the benchmark that made them.
type servers struct {
	startPostgres func() (*postgres.Server, error)
}

func newServers(b *testing.B) *servers {
	return &servers{startPostgres: sync.OnceValues(func() (*postgres.Server, error) {
		s, err := postgres.Start(b.Context(), postgresSettings()...)
		if err == nil {
			b.Cleanup(func() {
				if err := s.Stop(); err != nil {
					b.Error(err)
				}
			})
		}
		return s, err
	})}
}

// postgres is the address of the PostgreSQL server.
func (on *servers) postgres(b *testing.B) string {
	b.Helper()
	s, err := on.startPostgres()
	if err != nil {
		b.Fatal(err)
	}
	return s.URL()
}
