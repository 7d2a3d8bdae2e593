package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/tasktier/tasktier"
	"github.com/tasktier/tasktier/claim"
	"github.com/tasktier/tasktier/config"
	"github.com/tasktier/tasktier/coord"
	"github.com/tasktier/tasktier/coord/control"
	"github.com/tasktier/tasktier/coord/limit"
)

// etcd-put CONFIG KEY VALUE writes a key as others would.
func etcdPut(ts *testscript.TestScript, _ bool, args []string) {
	cfg, err := config.Load(ts.MkAbs(args[0]), nil)
	ts.Check(err)
	client, err := tasktier.EtcdClient(*cfg.Etcd)
	ts.Check(err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, err = client.Put(ctx, args[1], args[2])
	ts.Check(err)
}

func TestNodeRows(t *testing.T) {
	member := func(name, session string) coord.Member {
		return coord.Member{Session: session, Entry: coord.Entry{Name: name, Queues: []string{"b", "a"}}}
	}
	members := []coord.Member{member("n1", "s1"), member("n1", "s2"), member("n2", "s3")}
	leaders := map[string]coord.Leader{
		"upkeep.a": {Session: "s3", Node: "n2"}, "upkeep": {Session: "s3", Node: "n2"}, "schedules.a": {Session: "s2", Node: "n1"},
	}
	state := control.State{Nodes: map[string]control.Node{"n1": {Drained: true, By: "ann"}, "n0": {Drained: true, By: "bob"}}}
	var got []string
	for _, r := range nodeRows(members, leaders, state) {
		got = append(got, fmt.Sprint(r.Name, " ", r.Session, " ", r.State, " ", r.By, " ", r.Queues, " ", r.Duties))
	}
	want := []string{
		"n0  drained bob [] []",
		"n1 s1 drained ann [a b] []",
		"n1 s2 drained ann [a b] [schedules.a]",
		"n2 s3 running  [a b] [upkeep upkeep.a]",
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if len(state.Nodes) != 2 {
		t.Error("what was said is changed")
	}
}

func TestTypeRows(t *testing.T) {
	number := func(n int) *int { return &n }
	members := []coord.Member{
		{Entry: coord.Entry{Name: "n1", Types: []string{"mail", "both"}}}, {Entry: coord.Entry{Name: "n1", Types: []string{"mail"}}},
		{Entry: coord.Entry{Name: "n0", Types: []string{"mail", "lifted"}}},
	}
	configured := map[string]config.Type{"both": {Limit: 2}, "lifted": {Limit: 3}, "file": {}}
	state := control.State{Types: map[string]control.Type{
		"both": {Limit: number(5)}, "lifted": {Limit: number(0)}, "said": {Paused: true},
	}}
	usage := []limit.Usage{{Type: "old", Holders: []limit.Holder{{Number: 1}}}, {Type: "both", Waiting: []limit.Waiter{{Node: "n1"}}}}
	var got []string
	for _, r := range typeRows(members, configured, state, usage) {
		got = append(got, fmt.Sprint(r.Type, " ", r.Nodes, " ", r.Paused, " ", r.Limit, " ", r.From, " ", len(r.Holders), " ", len(r.Waiting)))
	}
	want := []string{
		"both [n1] false 5 operator 0 1",
		"file [] false 0  0 0",
		"lifted [n0] false 0 operator 0 0",
		"mail [n0 n1] false 0  0 0",
		"old [] false 0  1 0",
		"said [] true 0  0 0",
	}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestRates(t *testing.T) {
	now := time.Date(2027, 1, 31, 8, 5, 30, 0, time.UTC)
	counts := []claim.Count{ // five minutes and a half
		{Queue: "q", Type: "a", Outcome: "succeeded", Tasks: 10}, {Queue: "q", Type: "b", Outcome: "succeeded", Tasks: 45},
		{Queue: "q", Type: "b", Outcome: "snoozed", Tasks: 1}, {Queue: "other", Type: "b", Outcome: "dead", Tasks: 7},
	}
	got := ratesOf(counts, "q", now)
	if want := (map[string]float64{"succeeded": 10, "snoozed": 0.182, "dead": 0, "retrying": 0}); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	row := queueRow{Rates: map[string]float64{"a": 0, "b": 0.182, "c": 9.96, "d": 1234.5}}
	for outcome, want := range map[string]string{"a": "0", "b": "0.2", "c": "10.0", "d": "1234", "e": "-"} {
		if got := row.rate(outcome); got != want {
			t.Errorf("%v is shown as %s, want %s", row.Rates[outcome], got, want)
		}
	}
}

func TestDutiesOfQueue(t *testing.T) {
	leaders := map[string]coord.Leader{
		"upkeep": {Node: "n0"}, "upkeep.a": {Node: "n1"}, "schedules.a": {Node: "n2"}, "trim.b.a": {Node: "n3"}, "upkeep.a.b": {Node: "n4"},
	}
	for queue, want := range map[string]string{"a": "map[schedules:n2 upkeep:n1]", "a.b": "map[upkeep:n4]", "c": "map[]"} {
		if got := fmt.Sprint(dutiesOf(queue, leaders)); got != want {
			t.Errorf("%s: got %s, want %s", queue, got, want)
		}
	}
}

func TestAmountsOfTime(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 1234 * time.Millisecond: "1.2s", 83 * time.Second: "1m23s",
		time.Hour + 20*time.Second: "1h0m", 50 * time.Hour: "50h0m", 80 * time.Hour: "3 days",
	} {
		if got := amount(d); got != want {
			t.Errorf("%s: got %s, want %s", d, got, want)
		}
	}
}
