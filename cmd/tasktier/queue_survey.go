package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/coord/control"
	"github.com/tasktier/tasktier/deadletter"
	"github.com/twmb/franz-go/pkg/kadm"
	"go.uber.org/zap/zapcore"
)

const (
	// rateOver is how long rates are averaged over.
	rateOver = 5 * time.Minute
	// countPatience bounds the counting of dead letters, of all queues together.
	countPatience = 5 * time.Second
)

// A survey is what the servers know of queues.
type survey struct {
	rows    []queueRow
	logs    []backlog // one for each row
	trouble []error   // why figures are missing that should be there
}

func (s *survey) note(err error) {
	if err != nil {
		s.trouble = append(s.trouble, err)
	}
}

// survey asks all servers how queues are, and those that are paused besides if others is true. Kafka must answer.
func (c *cli) survey(ctx context.Context, cfg configuration, queues []string, others bool) (*survey, error) {
	client, err := connect(ctx, cfg.Kafka)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	s := &survey{}
	state, err := c.said(ctx, cfg)
	s.note(err)
	knowsPaused := cfg.Etcd != nil && err == nil
	for _, q := range sorted(state.Queues) {
		if others && !slices.Contains(queues, q) {
			queues = append(queues, q)
		}
	}
	s.rows, s.logs = make([]queueRow, len(queues)), make([]backlog, len(queues))
	adm := kadm.NewClient(client)
	for i, q := range queues {
		r := &s.rows[i]
		r.Queue = q
		if said := state.Queues[q]; knowsPaused {
			r.Paused, r.By, r.Since = &said.Paused, said.By, said.At
		}
		s.logs[i], err = backlogOf(ctx, adm, cfg.Kafka.Prefix, q)
		switch {
		case errors.Is(err, errNoQueueTopic):
			r.Problem = fmt.Sprintf("%v; the first node creates it, or: tasktier topic apply --queue %s", err, q)
		case err != nil:
			s.note(err)
		default:
			lag := s.logs[i].lag()
			r.Lag = &lag
		}
	}
	s.note(date(ctx, cfg.Kafka, s.logs))
	for i := range s.rows {
		s.rows[i].Oldest = s.logs[i].oldest
	}
	s.note(c.countTasks(ctx, cfg, s.rows))
	s.note(c.countLetters(ctx, cfg, s.rows))
	return s, ctx.Err()
}

// end says which figures are missing and why.
func (s *survey) end(c *cli) error {
	for _, r := range s.rows {
		if r.Problem != "" && !c.json() {
			c.prose("Queue %s: %s.", r.Queue, r.Problem)
		}
	}
	if len(s.trouble) > 0 {
		return partly("done in part: %v", errors.Join(s.trouble...))
	}
	return nil
}

// said is what operators have said, nothing without etcd.
func (c *cli) said(ctx context.Context, cfg configuration) (control.State, error) {
	if cfg.Etcd == nil {
		return control.State{}, nil
	}
	client, err := openEtcd(ctx, cfg)
	if err != nil {
		return control.State{}, err
	}
	defer client.Close()
	bounded, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	state, err := control.Read(bounded, client, cfg.Etcd.Prefix)
	if err != nil {
		return state, etcdTrouble(bounded, cfg, err)
	}
	c.warnIgnored(state)
	return state, nil
}

// countTasks adds what Redis and the nodes know.
func (c *cli) countTasks(ctx context.Context, cfg configuration, rows []queueRow) error {
	if cfg.Redis == nil {
		return nil
	}
	store, closeRedis, err := c.claims(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeRedis()
	queues := make([]string, len(rows))
	for i, r := range rows {
		queues[i] = r.Queue
	}
	census, silent, err := store.Census(ctx, queues...)
	if err != nil {
		return c.claimTrouble(ctx, cfg, err)
	}
	if silent > 0 {
		c.prose("%d nodes did not say in time what they run.", silent)
	}
	now := time.Now()
	counts, err := store.Counts(ctx, rateOver)
	if err != nil {
		return c.claimTrouble(ctx, cfg, err)
	}
	for i := range rows {
		n := census[rows[i].Queue]
		rows[i].Scheduled, rows[i].Retrying, rows[i].Running, rows[i].More = &n.Scheduled, &n.Retrying, &n.Running, n.Open
		rows[i].Rates = ratesOf(counts, rows[i].Queue, now)
	}
	return nil
}

// ratesOf are a queue's outcomes per minute. The first minute is counted in full and the last one is under way.
func ratesOf(counts []claim.Count, queue string, now time.Time) map[string]float64 {
	over := now.Sub(now.Add(-rateOver).Truncate(time.Minute)).Minutes()
	rates := map[string]float64{}
	for _, outcome := range rated {
		rates[outcome] = 0
	}
	for _, n := range counts {
		if n.Queue == queue {
			rates[n.Outcome] += float64(n.Tasks)
		}
	}
	for outcome, n := range rates {
		rates[outcome] = math.Round(1000*n/over) / 1000
	}
	return rates
}

// countLetters adds how many dead letters there are, of as many queues as can be read in time.
func (c *cli) countLetters(ctx context.Context, cfg configuration, rows []queueRow) error {
	opts, err := cfg.Kafka.Options()
	if err != nil {
		return err
	}
	store, err := deadletter.Open(deadletter.Config{Kafka: opts, Prefix: cfg.Kafka.Prefix, Log: c.logger(zapcore.WarnLevel)})
	if err != nil {
		return err
	}
	defer store.Close()
	bounded, cancel := context.WithTimeout(ctx, countPatience)
	defer cancel()
	for i := range rows {
		stats, err := store.Stats(bounded, rows[i].Queue, deadletter.Filter{})
		switch {
		case err == nil:
			rows[i].Dead = &stats.Letters
		case errors.Is(err, deadletter.ErrNoTopic):
			if rows[i].Problem == "" {
				rows[i].Problem = err.Error()
			}
		case errors.Is(bounded.Err(), context.DeadlineExceeded):
			problem := "its dead letters are too many to be counted in passing: tasktier dead stats --queue " + rows[i].Queue
			rows[i].Problem = strings.TrimPrefix(rows[i].Problem+"; "+problem, "; ")
		default:
			return err
		}
	}
	return nil
}
