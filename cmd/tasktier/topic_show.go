package main

import (
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/tasktier/tasktier/internal/topic"
)

// A topicRow is a topic as JSON shows it.
type topicRow struct {
	Topic       string       `json:"topic"`
	Queue       string       `json:"queue"`
	Action      topic.Action `json:"action"` // ok, create, alter or unsafe
	Partitions  int32        `json:"partitions"`
	Replication int16        `json:"replication"`
	Findings    []findingRow `json:"findings"`
	// Foreign are consumer groups of others that read the topic; only check looks for them.
	Foreign []string `json:"foreign_groups,omitempty"`
}

type findingRow struct {
	Setting string `json:"setting"`
	Have    string `json:"have"`
	Want    string `json:"want"`
	Unsafe  bool   `json:"unsafe"`
	Why     string `json:"why"`
}

func rowOf(t topic.Topic, foreign []string) topicRow {
	row := topicRow{
		Topic: t.Spec.Name, Queue: t.Spec.Queue, Action: t.Action(),
		Partitions: t.Partitions, Replication: t.Replication, Findings: []findingRow{}, Foreign: foreign,
	}
	if t.Missing {
		row.Partitions, row.Replication = t.Spec.Partitions, t.Spec.Replication
	}
	for _, f := range t.Findings {
		row.Findings = append(row.Findings, findingRow{f.Setting, f.Have, f.Want, f.Unsafe, f.Why})
	}
	return row
}

// showPlan prints topics and what differs; foreign are other readers by topic.
func (c *cli) showPlan(plan topic.Plan, foreign map[string][]string) error {
	if c.json() {
		for _, t := range plan.Topics {
			if err := c.object(rowOf(t, foreign[t.Spec.Name])); err != nil {
				return err
			}
		}
		return nil
	}
	w := newTable("topic", "is", "partitions", "replicas", "setting", "have", "want")
	var notes []string
	for _, t := range plan.Topics {
		row := rowOf(t, foreign[t.Spec.Name])
		is := string(row.Action)
		if t.Missing {
			is = "missing"
		}
		first := table.Row{row.Topic, is, row.Partitions, row.Replication}
		for _, f := range row.Findings {
			w.AppendRow(append(first, f.Setting, f.Have, f.Want))
			first = table.Row{"", "", "", ""}
		}
		if len(row.Findings) == 0 {
			w.AppendRow(first)
		}
		if len(row.Foreign) > 0 {
			notes = append(notes, fmt.Sprintf("%s is also read by %s, which would miss tasks once finished ones are trimmed",
				row.Topic, strings.Join(row.Foreign, ", ")))
		}
	}
	if err := c.data([]byte(w.Render() + "\n")); err != nil {
		return err
	}
	for _, n := range notes {
		c.prose("%s", n)
	}
	return nil
}
