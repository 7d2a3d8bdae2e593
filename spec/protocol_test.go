package spec

import (
	"os"
	"strings"
	"testing"

	"github.com/tasktier/tasktier/internal/testenv/race"
)

// size says when a mix is explored.
type size uint8

const (
	small  size = iota // always
	medium             // not in a short run: some seconds each under the race detector
	large              // not under the race detector: the explorer has no second goroutine, so it would find nothing in ten times the time
	huge               // with SPEC=full in the environment: minutes, and some gigabytes
)

var mixes = []struct {
	name string
	size size
	model
}{
	{"nothing goes wrong", small, model{budget: budget{fail: 2}, limit: 2, attempts: 2}},
	{"crashes, a commit lost", small, model{budget: budget{crash: 2, uncommit: 1, fail: 2}, limit: 2, attempts: 2}},
	{"crashes up to a limit of three", small, model{budget: budget{crash: 3, fail: 1}, limit: 3, attempts: 2}},
	{"crash, lost lease, replay", large, model{budget: budget{crash: 1, lapse: 1, fail: 2, replay: 1}, limit: 2, attempts: 2}},
	{"crash, commit lost, death, replay", large, model{budget: budget{crash: 1, uncommit: 1, fail: 3, replay: 1}, limit: 2, attempts: 2}},
	{"crashes, commit lost, death, replay", huge, model{budget: budget{crash: 2, uncommit: 1, fail: 3, replay: 1}, limit: 2, attempts: 2}},
	{"crashes, lost lease, replay", huge, model{budget: budget{crash: 2, lapse: 1, replay: 1, fail: 2}, limit: 2, attempts: 2}},
	{"cancel, replay, duplicates", large, model{budget: budget{crash: 1, cancel: 1, replay: 1, fail: 2, dup: 1}, limit: 2, attempts: 2}},
	{"cancel, crash, lost lease, snooze", medium, model{budget: budget{cancel: 1, crash: 1, lapse: 1, snooze: 1, fail: 1}, limit: 2, attempts: 1}},
	{"cancel, crash, reply lost", small, model{budget: budget{cancel: 1, crash: 1, reply: 1, fail: 1}, limit: 2, attempts: 1}},
	{"cancels, replies lost, crash, lost lease, snooze", huge, model{budget: budget{cancel: 2, reply: 1, crash: 1, lapse: 1, snooze: 1, fail: 1}, limit: 2, attempts: 1}},
	{"cancel, replay, reply lost, rebalance", large, model{budget: budget{cancel: 1, replay: 1, reply: 1, fail: 1, rebalance: 1}, limit: 2, attempts: 1}},
	{"cancel, replay, reply lost, rebalance, crash", huge, model{budget: budget{cancel: 1, replay: 1, reply: 1, fail: 2, rebalance: 1, crash: 1}, limit: 2, attempts: 1}},
	{"snooze, crash, rebalance", small, model{budget: budget{snooze: 1, crash: 1, rebalance: 1, fail: 1}, limit: 2, attempts: 2}},
	{"rebalances, re-homing", small, model{budget: budget{rebalance: 2, fail: 2, rehome: 1}, limit: 2, attempts: 2}},
	{"re-homing twice, crash, reply lost", large, model{budget: budget{rehome: 2, crash: 1, reply: 1, fail: 1}, limit: 2, attempts: 2}},
	{"re-homing twice, crash, reply lost, rebalance", huge, model{budget: budget{rehome: 2, crash: 1, reply: 1, rebalance: 1, fail: 2}, limit: 2, attempts: 2}},
	{"lost leases", medium, model{budget: budget{lapse: 2, fail: 2}, limit: 2, attempts: 2}},
	{"reply lost, crash, rebalance, lost lease", medium, model{budget: budget{reply: 1, crash: 1, rebalance: 1, lapse: 1, fail: 1}, limit: 2, attempts: 1}},
	{"replies lost, crash, rebalance", large, model{budget: budget{reply: 2, crash: 1, rebalance: 1, fail: 1, snooze: 1}, limit: 2, attempts: 2}},
	{"replies lost, crash, rebalance, lost lease", huge, model{budget: budget{reply: 2, crash: 1, rebalance: 1, lapse: 1, fail: 1}, limit: 2, attempts: 2}},
	{"etcd away", small, model{budget: budget{lapse: 1, away: 1, crash: 1, rebalance: 1, fail: 1}, limit: 2, attempts: 1}},
	{"etcd away, reply lost, rebalances", large, model{budget: budget{lapse: 1, away: 1, reply: 1, rebalance: 2, snooze: 1}, limit: 2, attempts: 1}},
	{"etcd away twice, reply lost, crash, rebalance", huge, model{budget: budget{lapse: 2, away: 2, reply: 1, crash: 1, rebalance: 1}, limit: 2, attempts: 1}},
	{"etcd away, every run alone", small, model{budget: budget{lapse: 1, away: 1, rebalance: 1, reply: 1}, limit: 1, attempts: 1}},
	{"drain, reply lost, rebalance", small, model{budget: budget{drain: 1, reply: 1, fail: 1, rebalance: 1}, limit: 2, attempts: 2}},
	{"drains, cancel, crash, reply lost, rebalance", huge, model{budget: budget{drain: 2, cancel: 1, crash: 1, reply: 1, rebalance: 1, fail: 1}, limit: 2, attempts: 2}},
	{"flush, crash, lost lease", medium, model{budget: budget{flush: 1, crash: 1, lapse: 1, fail: 1}, limit: 2, attempts: 2}},
	{"flush, rebalance, lost lease", large, model{budget: budget{flush: 1, rebalance: 1, lapse: 1, fail: 2}, limit: 2, attempts: 1}},
	{"flush, rebalance, lost lease, replay", huge, model{budget: budget{flush: 1, rebalance: 1, lapse: 1, replay: 1, fail: 2}, limit: 2, attempts: 1}},
	{"flush, etcd away, rebalance", large, model{budget: budget{flush: 1, lapse: 1, away: 1, rebalance: 1, fail: 1}, limit: 2, attempts: 1}},
	{"fail-over, crash", small, model{budget: budget{rollback: 1, fail: 2, crash: 1}, limit: 2, attempts: 2}},
	{"fail-over, replay, rebalance, cancel", large, model{budget: budget{rollback: 1, fail: 1, replay: 1, rebalance: 1, cancel: 1}, limit: 2, attempts: 1}},
	{"fail-over, crash, lost lease", huge, model{budget: budget{rollback: 1, crash: 1, lapse: 1, fail: 1}, limit: 2, attempts: 2}},
	{"fail-over, lost lease, snooze", huge, model{budget: budget{rollback: 1, lapse: 1, snooze: 1, fail: 1}, limit: 2, attempts: 1}},
}

// runs says whether mixes of a size are explored in this run.
func runs(s size) bool {
	switch s {
	case huge:
		return os.Getenv("SPEC") == "full" && !race.On
	case large:
		return !race.On
	case medium:
		return !testing.Short()
	default:
		return true
	}
}

// Every reachable state of every mix has all properties, and each has a way on that needs no luck.
func TestProtocol(t *testing.T) {
	for _, mix := range mixes {
		t.Run(mix.name, func(t *testing.T) {
			if !runs(mix.size) {
				t.Skip("medium mixes run without -short, large ones without the race detector, huge ones with SPEC=full: see doc.go")
			}
			got := explore(&mix.model)
			if got.violation != "" {
				t.Error(got)
			}
			t.Log(got.states, "states")
		})
	}
}

// watched collects the names of the steps that were possible.
type watched struct {
	*model
	seen map[string]bool
}

func (w watched) steps(s state, emit func(step[state])) {
	w.model.steps(s, func(st step[state]) {
		w.seen[st.label.what] = true
		emit(st)
	})
}

// A model in which something never happens proves nothing about it.
func TestEveryStepHappens(t *testing.T) {
	if race.On {
		t.Skip("the same mixes as in TestProtocol, once more")
	}
	seen := make(map[string]bool)
	for _, mix := range mixes {
		if mix.size <= medium {
			explore(watched{&mix.model, seen})
		}
	}
	explore(watched{&model{budget: budget{replay: 1, fail: 1, dup: 1, rehome: 1}, limit: 2, attempts: 1}, seen})
	calls := []string{"begins: run", "steals", "begins: canceled", "begins: bury", "writes that it runs alone", "finishes", "releases", "writes the intent to bury", "writes dead"}
	for _, call := range calls {
		calls = append(calls, call+", but the reply is lost")
	}
	for _, what := range append(calls,
		"polls", "begins: held", "begins: done or stale", "begins again: it has won already", "begins again: it may bury already",
		"reads the registry: owner gone", "learns that it has won, too late", "learns that it has to bury", "does not begin",
		"may not start what it has won", "starts the handler", "is alone already", "finds its run stolen",
		"handler succeeds", "handler fails", "handler fails for good", "handler snoozes",
		"handler is told of the cancel and stops", "handler stops with its session or process",
		"needs no successor", "sends its successor to the tiers", "finds its result written", "finishes: lost",
		"finds its intent written", "may not bury: lost", "writes the letter", "has buried what is no longer its own",
		"has nothing to release", "completes the offset", "re-homes: a copy to the tiers", "re-homes: completes the offset",
		"loses its partition", "crashes", "crashes before the commit of", "is paused past its lease",
		"loses its lease and keeps its partitions", "opens a new session", "goes on without etcd",
		"has etcd again and registers its session", "lease expires", "restarts", "is told to stop", "has drained and leaves",
		"forwarder sends", "forwarder sends, and will again", "operator replays", "operator is killed before the tombstone",
		"operator writes the tombstone", "operator cancels", "operator cancels what runs", "redis is flushed",
		"redis: the replica stops following", "redis fails over to the replica", "redis: nobody refreshes the claim, it expires",
	) {
		if !seen[what] {
			t.Errorf("no mix ever does: %s", what)
		}
		delete(seen, what)
	}
	for what := range seen {
		t.Errorf("a step that this list does not know: %s", strings.TrimSpace(what))
	}
}
