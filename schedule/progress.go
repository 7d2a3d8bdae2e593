package schedule

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/schedule/cron"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A Progress is what etcd remembers of a schedule.
type Progress struct {
	// Cron and Zone are what it holds for. It is void for another expression or zone.
	Cron string `json:"cron"`
	Zone string `json:"zone,omitempty"`
	// Settled is the time up to which every tick was sent, or dropped because it was missed.
	Settled time.Time `json:"settled"`
	// Last is the newest tick that was sent. Zero: none was.
	Last time.Time `json:"last,omitzero"`
}

// Duty is the name under which the leader of a queue's schedules is elected.
func Duty(queue string) string { return "schedules." + queue }

// Read reads the progress of a queue's schedules, by name. prefix is that of all keys, "" the default. What can't be read
// is left out. The caller bounds ctx.
func Read(ctx context.Context, client *clientv3.Client, prefix, queue string) (map[string]Progress, error) {
	all, err := readKeys(ctx, client, folder(prefix, queue))
	if err != nil {
		return nil, err
	}
	progress := make(map[string]Progress, len(all))
	for name, text := range all {
		var p Progress
		if json.Unmarshal(text, &p) == nil {
			progress[name] = p
		}
	}
	return progress, nil
}

func readKeys(ctx context.Context, client *clientv3.Client, folder string) (map[string][]byte, error) {
	reply, err := client.Get(ctx, folder, clientv3.WithPrefix())
	if err != nil {
		return nil, fmt.Errorf("read schedules %s of etcd at %s: %w", folder, strings.Join(client.Endpoints(), ","), err)
	}
	all := make(map[string][]byte, len(reply.Kvs))
	for _, kv := range reply.Kvs {
		all[strings.TrimPrefix(string(kv.Key), folder)] = kv.Value
	}
	return all, nil
}

// folder begins the keys of a queue's schedules.
func folder(prefix, queue string) string {
	return names.EtcdPrefix(prefix) + "/schedules/" + queue + "/"
}

// Ticks are the newest tick whose task was sent, zero if none was, and the next one from now on, in the
// schedule's zone. when is the entry's expression.
func (p Progress) Ticks(e Entry, when cron.Expression, now time.Time) (last, next time.Time) {
	if p.of(e) && p.Settled.After(now) {
		now = p.Settled // by a clock that was ahead
	}
	next = when.Next(now)
	if !p.Last.IsZero() {
		last = p.Last.In(next.Location())
	}
	return last, next
}

// of says whether p was written for an entry as it is now.
func (p Progress) of(e Entry) bool {
	return p.Cron == e.Cron && p.Zone == e.Zone && !p.Settled.IsZero()
}
