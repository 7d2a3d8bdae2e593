package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/internal/names"
	"github.com/tasktier/tasktier/task"
	"github.com/twmb/franz-go/pkg/kadm"
)

// A queueDetail is a queue with its partitions, as JSON shows it.
type queueDetail struct {
	queueRow
	Leaders    map[string]string `json:"leaders,omitempty"` // node by duty
	Partitions []partitionRow    `json:"partitions"`
}

func (c *cli) queueShow(ctx context.Context, args []string) error {
	if len(args) > 0 {
		c.queue = args[0]
	}
	cfg, err := c.loadForQueue()
	if err != nil {
		return err
	}
	s, err := c.survey(ctx, cfg, []string{c.queue}, false)
	if err != nil {
		return err
	}
	detail := queueDetail{queueRow: s.rows[0], Partitions: append([]partitionRow{}, s.logs[0].partitions...)} // a list, also in JSON
	if len(detail.Partitions) > 0 {
		s.note(c.nameReaders(ctx, cfg, detail.Partitions))
	}
	detail.Leaders, err = c.leaders(ctx, cfg, c.queue)
	if len(s.trouble) == 0 { // else etcd is named already
		s.note(err)
	}
	if c.json() {
		err = c.object(detail)
	} else {
		err = c.data([]byte(detail.text(time.Now())))
	}
	if err != nil {
		return err
	}
	return s.end(c)
}

// nameReaders says who reads the partitions of the queue.
func (c *cli) nameReaders(ctx context.Context, cfg configuration, partitions []partitionRow) error {
	client, err := connect(ctx, cfg.Kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	return name(ctx, kadm.NewClient(client), cfg.Kafka.Prefix, c.queue, partitions)
}

// leaders are the nodes that lead in a queue's duties, by duty; none without etcd.
func (c *cli) leaders(ctx context.Context, cfg configuration, queue string) (map[string]string, error) {
	if cfg.Etcd == nil {
		return nil, nil
	}
	client, err := openEtcd(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	bounded, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	all, err := coord.Leaders(bounded, client, cfg.Etcd.Prefix)
	if err != nil {
		return nil, etcdTrouble(bounded, cfg, err)
	}
	return dutiesOf(queue, all), nil
}

// dutiesOf are a queue's duties and the nodes that lead in them. A queue's duty is called "what.queue".
func dutiesOf(queue string, leaders map[string]coord.Leader) map[string]string {
	of := map[string]string{}
	for duty, leader := range leaders {
		if what, q, ok := strings.Cut(duty, "."); ok && q == queue {
			of[what] = leader.Node
		}
	}
	return of
}

func (d queueDetail) text(now time.Time) string {
	var b strings.Builder
	say := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	say("queue", "%s", d.Queue)
	say("topic", "%s", names.Pending(d.Queue))
	switch {
	case d.Paused != nil && *d.Paused:
		say("paused", "yes, by %s, %s", printable(d.By), moments(d.Since, now))
	default:
		say("paused", "%s", yesNo(d.Paused))
	}
	say("lag", "%s", figure(d.Lag))
	if !d.Oldest.IsZero() {
		say("oldest", "%s", moments(d.Oldest, now))
	}
	say("scheduled", "%s", d.count(task.Scheduled, d.Scheduled))
	say("retrying", "%s", d.count(task.Retrying, d.Retrying))
	say("running", "%s", d.count(task.Running, d.Running))
	say("dead", "%s", figure(d.Dead))
	if d.Rates != nil {
		var rates []string
		for _, outcome := range sorted(d.Rates) {
			rates = append(rates, d.rate(outcome)+" "+printable(outcome))
		}
		say("per minute", "%s", strings.Join(rates, ", "))
	}
	for _, duty := range sorted(d.Leaders) {
		say("leads in", "%s: %s", printable(duty), printable(d.Leaders[duty]))
	}
	if len(d.Partitions) == 0 {
		return b.String()
	}
	w := newTable("partition", "start", "committed", "end", "lag", "member", "host")
	for _, p := range d.Partitions {
		member, host := "-", "-"
		if p.Member != "" {
			member, host = printable(p.Member), printable(p.Host)
		}
		w.AppendRow([]any{p.Partition, p.Start, figure(p.Committed), p.End, p.Lag, member, host})
	}
	b.WriteString("\n" + w.Render() + "\n")
	return b.String()
}
