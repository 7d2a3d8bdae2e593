package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/schedule"
	"github.com/tasktier/tasktier/schedule/cron"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A scheduleRow is a schedule as JSON shows it.
type scheduleRow struct {
	Name   string          `json:"name"`
	Cron   string          `json:"cron"`
	Zone   string          `json:"zone"`
	Type   string          `json:"type"`
	Queue  string          `json:"queue"`
	Missed schedule.Missed `json:"missed"`
	Last   time.Time       `json:"last,omitzero"`    // the newest tick whose task was sent
	Next   time.Time       `json:"next,omitzero"`    // the next one
	Leader string          `json:"leader,omitempty"` // the node that sends them; none does if it is empty
}

func (c *cli) scheduleList(ctx context.Context, _ []string) error {
	cfg, queues, err := c.schedules()
	if err != nil {
		return err
	}
	if cfg.Etcd == nil {
		return wrong("etcd is not configured, and only there is kept who runs the schedules and how far they are: add an etcd section (etcd.endpoints) to the configuration, of the nodes too")
	}
	client, err := openEtcd(ctx, cfg)
	if err != nil {
		return err
	}
	defer client.Close()
	asking, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	var rows []scheduleRow
	for _, queue := range slices.Sorted(maps.Keys(queues)) {
		some, err := scheduleRows(asking, client, cfg.Etcd.Prefix, queue, queues[queue], time.Now())
		if err != nil {
			return etcdAway(ctx, cfg, err)
		}
		rows = append(rows, some...)
	}
	slices.SortFunc(rows, func(a, b scheduleRow) int { return strings.Compare(a.Name, b.Name) })
	return c.showSchedules(rows, time.Now())
}

// openEtcd returns a client of an etcd that can be connected to; the caller closes it.
func openEtcd(ctx context.Context, cfg configuration) (*clientv3.Client, error) {
	// The client tries for as long as it may: a connection tells at once.
	var gone error
	for _, endpoint := range cfg.Etcd.Endpoints {
		if gone = dial(ctx, hostOf(endpoint)); gone == nil {
			return tasktier.EtcdClient(*cfg.Etcd)
		}
	}
	return nil, etcdAway(ctx, cfg, gone)
}

func scheduleRows(ctx context.Context, client *clientv3.Client, prefix, queue string, entries []schedule.Entry, now time.Time) ([]scheduleRow, error) {
	progress, err := schedule.Read(ctx, client, prefix, queue)
	if err != nil {
		return nil, err
	}
	leader, _, err := coord.ReadLeader(ctx, client, prefix, schedule.Duty(queue))
	if err != nil {
		return nil, err
	}
	var rows []scheduleRow
	for _, e := range entries {
		when, err := cron.Parse(e.Cron, e.Zone)
		if err != nil {
			return nil, err
		}
		row := scheduleRow{Name: e.Name, Cron: e.Cron, Zone: e.Zone, Type: e.Type, Queue: queue, Missed: e.Missed, Leader: leader.Node}
		if row.Zone == "" {
			row.Zone = "UTC"
		}
		if row.Missed == "" {
			row.Missed = schedule.Skip
		}
		row.Last, row.Next = progress[e.Name].Ticks(e, when, now)
		rows = append(rows, row)
	}
	return rows, nil
}

func (c *cli) showSchedules(rows []scheduleRow, now time.Time) error {
	if c.json() {
		for _, row := range rows {
			if err := c.object(row); err != nil {
				return err
			}
		}
		return nil
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return "-"
		}
		return momentsIn(t, now)
	}
	w := newTable("name", "cron", "zone", "type", "queue", "missed", "last", "next", "leader")
	orphans := map[string]bool{}
	for _, row := range rows {
		leader := row.Leader
		if leader == "" {
			leader, orphans[row.Queue] = "-", true
		}
		w.AppendRow([]any{row.Name, row.Cron, row.Zone, printable(row.Type), row.Queue, row.Missed, at(row.Last), at(row.Next), printable(leader)})
	}
	if err := c.data([]byte(w.Render() + "\n")); err != nil {
		return err
	}
	for _, queue := range slices.Sorted(maps.Keys(orphans)) {
		c.prose("Nobody runs the schedules of queue %s: no node of it is up that has them.", queue)
	}
	return nil
}
