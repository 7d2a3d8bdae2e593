package main

import "strings"

// A plan is a benchmark and the sides that take part.
type plan struct {
	name, title string
	sides       []side
	units       []unit // measured: shown with their range over the rounds, and drawn
	steady      []unit // counted, or hardly varying: shown as medians
	bases       []string
	log         bool // whether the plot has a logarithmic axis
	axis        string
	env         []string
}

// A side runs with so many tasks that it takes some seconds.
type side struct {
	name, label string
	tasks       int
}

// own is whether the side is tasktier.
func (s side) own() bool { return strings.HasPrefix(s.name, "tasktier") }

// A unit is what the benchmark reports, and what readers see.
type unit struct{ name, label string }

var (
	rate      = []unit{{"tasks/s", "tasks/s"}}
	latencies = []unit{{"ms-p50", "p50, ms"}, {"ms-p99", "p99, ms"}, {"ms-max", "max, ms"}}
	costs     = []unit{{"allocs/op", "allocations per task"}, {"own-cpu-us/task", "µs of the process per task"}}
)

// plans are all benchmarks, in the order of a task's life. All sides of all plans run for about six minutes on two cores, so
// that three rounds fit into twenty.
var plans = []plan{
	{
		name: "enqueue", title: "Enqueue: tasks taken in per second",
		sides: []side{
			{"bare", "bare franz-go, 100 callers", 300_000},
			{"bare-async", "bare franz-go, async", 1_000_000},
			{"bare-async-keyed", "bare franz-go, async, keyed", 500_000},
			{"tasktier", "tasktier, 100 callers", 300_000},
			{"tasktier-batches", "tasktier, 1,000 a call", 500_000},
			{"tasktier-async", "tasktier, async", 1_000_000},
			{"watermill", "Watermill, 100 callers", 200_000},
			{"watermill-crowd", "Watermill, 2,000 callers", 300_000},
			{"asynq", "asynq, 100 callers", 100_000},
			{"river", "River, 100 callers", 20_000},
			{"river-batches", "River, 10,000 a call", 200_000},
		},
		units: rate, steady: costs, bases: []string{"bare", "asynq", "river"}, axis: "tasks per second",
	},
	{
		name: "process", title: "Process: waiting tasks handled per second",
		sides: []side{
			{"bare", "bare franz-go", 1_000_000},
			{"bare-claims", "bare franz-go, claims in Redis", 500_000},
			{"tasktier", "tasktier without claims", 1_000_000},
			{"tasktier-claims", "tasktier", 500_000},
			{"watermill", "Watermill, a loop", 300_000},
			{"watermill-router", "Watermill, its router", 200_000},
			{"asynq", "asynq, one server", 60_000},
			{"asynq-4-servers", "asynq, four servers", 100_000},
			{"river", "River", 100_000},
		},
		units:  rate,
		steady: append(costs, unit{"redis-calls/task", "Redis calls per task"}, unit{"redis-cpu-us/task", "µs of Redis per task"}),
		bases:  []string{"bare", "bare-claims", "asynq", "river"}, axis: "tasks per second",
	},
	{
		name: "latency", title: "Latency: from enqueue to start at 200 tasks a second",
		sides: []side{
			{"bare", "bare franz-go", 1500},
			{"bare-claims", "bare franz-go, claims in Redis", 1500},
			{"tasktier", "tasktier without claims", 1500},
			{"tasktier-claims", "tasktier", 1500},
			{"watermill", "Watermill, a loop", 1500},
			{"asynq", "asynq, tuned", 1500},
			{"asynq-defaults", "asynq, defaults", 1500},
			{"river", "River, tuned", 1500},
			{"river-defaults", "River, defaults", 1500},
		},
		units: latencies, log: true, axis: "milliseconds",
		env: []string{"BENCH_LIGHT=1000000"}, // the number of tasks alone decides
	},
	{
		name: "lateness", title: "Lateness: from a delayed task's time to its start",
		sides: []side{
			{"tasktier-claims", "tasktier", 8_000},
			{"asynq", "asynq, tuned", 8_000},
			{"asynq-defaults", "asynq, defaults", 8_000},
			{"river", "River, tuned", 8_000},
		},
		units:  latencies,
		steady: []unit{{"early", "early"}, {"%<=20ms", "% within 20 ms"}, {"%<=1s", "% within 1 s"}},
		log:    true, axis: "milliseconds",
		env: []string{"BENCH_DELAYED=1000000", "BENCH_DELAY=20s"},
	},
	{
		name: "replay", title: "Replay: dead tasks brought back per second",
		sides: []side{
			{"tasktier", "tasktier without claims", 9_000},
			{"tasktier-claims", "tasktier", 9_000},
			{"watermill", "Watermill, requeuer", 9_000},
			{"asynq", "asynq, RunAllArchivedTasks", 9_000},
			{"river", "River, JobRetryTx", 9_000},
		},
		units: rate, bases: []string{"asynq", "river"}, log: true, axis: "tasks per second",
	},
}

// benchmark is the plan's name in the bench package.
func (p plan) benchmark() string { return "Benchmark" + strings.ToUpper(p.name[:1]) + p.name[1:] }

// label is what readers know a side by.
func (p plan) label(name string) string {
	for _, s := range p.sides {
		if s.name == name {
			return s.label
		}
	}
	return name
}
