package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/control"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A nodeRow is a node as JSON shows it.
type nodeRow struct {
	Name        string    `json:"name"`
	Session     string    `json:"session,omitempty"` // empty: it is drained, and not up
	Host        string    `json:"host,omitempty"`
	PID         int       `json:"pid,omitempty"`
	Version     string    `json:"version,omitempty"`
	ClaimFormat int       `json:"claim_format,omitempty"`
	Queues      []string  `json:"queues"`
	Types       []string  `json:"types"`
	Concurrency int       `json:"concurrency,omitempty"`
	Started     time.Time `json:"started,omitzero"`
	State       string    `json:"state"`  // running or drained, as it is told to be
	Duties      []string  `json:"duties"` // that it leads in
	By          string    `json:"drained_by,omitempty"`
	Since       time.Time `json:"drained_since,omitzero"`
}

func (c *cli) nodeList(ctx context.Context, _ []string) error {
	return c.asking(ctx, func(ctx context.Context, cfg configuration, client *clientv3.Client) error {
		members, err := coord.Members(ctx, client, cfg.Etcd.Prefix)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		leaders, err := coord.Leaders(ctx, client, cfg.Etcd.Prefix)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		state, err := control.Read(ctx, client, cfg.Etcd.Prefix)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		c.warnIgnored(state)
		return c.showNodes(nodeRows(members, leaders, state), time.Now())
	})
}

// nodeRows are the nodes that are up or drained, by name.
func nodeRows(members []coord.Member, leaders map[string]coord.Leader, state control.State) []nodeRow {
	drained := maps.Clone(state.Nodes)
	rows := make([]nodeRow, 0, len(members))
	for _, m := range members {
		row := nodeRow{
			Name: m.Name, Session: m.Session, Host: m.Host, PID: m.PID, Version: m.Version, ClaimFormat: m.ClaimFormat,
			Queues: listed(m.Queues), Types: listed(m.Types), Concurrency: m.Concurrency, Started: m.Started, State: "running", Duties: []string{},
		}
		if said := state.Nodes[m.Name]; said.Drained {
			row.State, row.By, row.Since = "drained", said.By, said.At
			delete(drained, m.Name)
		}
		for duty, leader := range leaders {
			if leader.Session == m.Session {
				row.Duties = append(row.Duties, duty)
			}
		}
		slices.Sort(row.Duties)
		rows = append(rows, row)
	}
	for name, said := range drained {
		rows = append(rows, nodeRow{Name: name, Queues: []string{}, Types: []string{}, State: "drained", Duties: []string{}, By: said.By, Since: said.At})
	}
	slices.SortStableFunc(rows, func(a, b nodeRow) int { return cmp.Compare(a.Name, b.Name) })
	return rows
}

// listed is a sorted list that JSON shows as one also if it is empty.
func listed(names []string) []string {
	return append([]string{}, slices.Sorted(slices.Values(names))...)
}

// widest is how many characters of a list a table shows.
const widest = 60

func (c *cli) showNodes(rows []nodeRow, now time.Time) error {
	if c.json() {
		for _, row := range rows {
			if err := c.object(row); err != nil {
				return err
			}
		}
		return nil
	}
	w := newTable("name", "state", "session", "host", "pid", "version", "concurrency", "started", "queues", "types", "leads in")
	for _, r := range rows {
		if r.Session == "" {
			w.AppendRow([]any{printable(r.Name), r.State, "-", "-", "-", "-", "-", "-", "-", "-", "-"})
			continue
		}
		w.AppendRow([]any{
			printable(r.Name), r.State, r.Session, printable(r.Host), r.PID, printable(r.Version), r.Concurrency, ago(r.Started, now),
			commas(r.Queues), commas(r.Types), commas(r.Duties),
		})
	}
	return c.data([]byte(w.Render() + "\n"))
}

// commas is a list for a table.
func commas(names []string) string {
	if len(names) == 0 {
		return "-"
	}
	return shortened(printable(strings.Join(names, ",")), widest)
}

// ago is how long ago something was, for people.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return amount(now.Sub(t)) + " ago"
}

// amount is a duration for people.
func amount(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Hour:
		return d.Round(time.Second).String()
	case d < 72*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	default:
		return fmt.Sprintf("%d days", d/(24*time.Hour))
	}
}
