package config

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/schedule/cron"
)

// What becomes of ticks that passed while nobody could enqueue their tasks.
const (
	Skip = "skip" // nothing
	Once = "once" // the newest one is made up for
	All  = "all"  // each is
)

// Schedule enqueues a task at each tick of a clock. It is run by the nodes of its queue, which should agree on it.
type Schedule struct {
	// Cron says when: the five fields of crontab, six with seconds, or one of the words of package schedule/cron.
	Cron string `yaml:"cron"`
	// Zone is the IANA time zone that Cron is read in. Empty: UTC.
	Zone string `yaml:"zone,omitempty"`
	// Type is the type of the tasks.
	Type string `yaml:"type"`
	// Queue is where the tasks go: one of the configured queues. Empty: the one that is configured if there is only one,
	// else "tasks".
	Queue string `yaml:"queue,omitempty"`
	// Data is their payload, sent as JSON. Nil: no payload.
	Data any `yaml:"data,omitempty"`
	// Missed says what becomes of ticks that passed while nothing ran: [Skip], [Once] or [All]. Empty: skip.
	Missed string `yaml:"missed,omitempty"`
}

// Payload is Data as JSON, nil if there is none.
func (s Schedule) Payload() ([]byte, error) {
	if s.Data == nil {
		return nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s.Data); err != nil {
		return nil, fmt.Errorf("encode data: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// QueueOf is the queue of a schedule, whether or not it says so itself.
func (c *Config) QueueOf(s Schedule) string {
	if s.Queue != "" {
		return s.Queue
	}
	if len(c.Queues) == 1 {
		for only := range c.Queues {
			return only
		}
	}
	return "tasks"
}

func (v *validator) schedule(c *Config, name string) {
	key, s := "schedules."+name, c.Schedules[name]
	// The name is part of its tasks' ids and of a key.
	v.must(names.ValidQueue(name) == nil, key, "%q can't be the name of a schedule; use ASCII letters, digits, '_', '-', and '.' inside", name)
	if _, err := cron.Zone(s.Zone); err != nil {
		v.must(false, key+".zone", "%v", err)
	} else if s.Cron == "" {
		v.must(false, key+".cron", "is empty; say when, as in \"0 2 * * *\"")
	} else if _, err := cron.Parse(s.Cron, s.Zone); err != nil {
		v.must(false, key+".cron", "%v", err)
	}
	v.must(s.Type != "", key+".type", "is empty; name the type of task to send")
	v.must(s.Missed == "" || s.Missed == Skip || s.Missed == Once || s.Missed == All, key+".missed", "is %q; use skip, once or all", s.Missed)

	queue := c.QueueOf(s)
	q, ok := c.Queues[queue]
	v.must(ok, key+".queue", "is %q, which is none of the configured queues", queue)
	payload, err := s.Payload()
	if err != nil {
		v.must(false, key+".data", "%v", err)
	}
	v.must(!ok || Bytes(len(payload)) <= q.MaxBytes-scheduleRoom, key+".data", "is %v as JSON; with its attributes it does not fit queues.%s.max_bytes, which is %v",
		Bytes(len(payload)), queue, q.MaxBytes)
}

// scheduleRoom is what a scheduled task has beside its payload, generously.
const scheduleRoom = KiB / 2
