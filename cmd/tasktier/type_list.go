package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/control"
	"github.com/tasktier/tasktier/coord/limit"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// A limitedRow is a type as JSON shows it.
type limitedRow struct {
	Type   string    `json:"type"`
	Nodes  []string  `json:"nodes"` // that handle it
	Paused bool      `json:"paused"`
	Limit  int       `json:"limit"`                // 0: none
	From   string    `json:"limit_from,omitempty"` // config or operator
	By     string    `json:"by,omitempty"`         // the operator who spoke last
	Since  time.Time `json:"since,omitzero"`
	// Holders have the places that the limit leaves, and Waiting are the nodes that want one, the next one first.
	Holders []limit.Holder `json:"holders"`
	Waiting []limit.Waiter `json:"waiting"`
}

func (c *cli) typeList(ctx context.Context, _ []string) error {
	return c.asking(ctx, func(ctx context.Context, cfg configuration, client *clientv3.Client) error {
		members, err := coord.Members(ctx, client, cfg.Etcd.Prefix)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		state, err := control.Read(ctx, client, cfg.Etcd.Prefix)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		usage, err := limit.Read(ctx, client, cfg.Etcd.Prefix)
		if err != nil {
			return etcdTrouble(ctx, cfg, err)
		}
		c.warnIgnored(state)
		return c.showTypes(typeRows(members, cfg.Types, state, usage))
	})
}

// typeRows are all types that anybody knows, by name.
func typeRows(members []coord.Member, configured map[string]config.Type, state control.State, usage []limit.Usage) []limitedRow {
	nodes := map[string][]string{}
	for typ := range configured {
		nodes[typ] = nil
	}
	for typ := range state.Types {
		nodes[typ] = nil
	}
	used := map[string]limit.Usage{}
	for _, u := range usage {
		used[u.Type], nodes[u.Type] = u, nil
	}
	for _, m := range members {
		for _, typ := range m.Types {
			if !slices.Contains(nodes[typ], m.Name) {
				nodes[typ] = append(nodes[typ], m.Name)
			}
		}
	}
	rows := make([]limitedRow, 0, len(nodes))
	for _, typ := range sorted(nodes) {
		said := state.Types[typ]
		row := limitedRow{
			Type: typ, Nodes: listed(nodes[typ]), Paused: said.Paused, By: said.By, Since: said.At,
			Holders: append([]limit.Holder{}, used[typ].Holders...), Waiting: append([]limit.Waiter{}, used[typ].Waiting...),
		}
		if n := configured[typ].Limit; n > 0 {
			row.Limit, row.From = n, "config"
		}
		if said.Limit != nil {
			row.Limit, row.From = *said.Limit, "operator"
		}
		rows = append(rows, row)
	}
	return rows
}

func (c *cli) showTypes(rows []limitedRow) error {
	if c.json() {
		for _, row := range rows {
			if err := c.object(row); err != nil {
				return err
			}
		}
		return nil
	}
	w := newTable("type", "nodes", "paused", "limit", "from", "taken", "waiting")
	for _, r := range rows {
		most, from := "-", "-"
		if r.Limit > 0 {
			most = fmt.Sprint(r.Limit)
		}
		if r.From != "" {
			from = r.From
		}
		taken, waiting := "-", "-"
		if r.Limit > 0 || len(r.Holders)+len(r.Waiting) > 0 {
			taken, waiting = fmt.Sprint(len(r.Holders)), fmt.Sprint(len(r.Waiting))
		}
		w.AppendRow([]any{printable(r.Type), len(r.Nodes), yesNo(&r.Paused), most, from, taken, waiting})
	}
	return c.data([]byte(w.Render() + "\n"))
}
