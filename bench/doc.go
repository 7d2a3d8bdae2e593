// Package bench measures tasktier on real servers beside what it is compared with. It is a module of its own, so that
// what it compares with never enters the product's go.mod.
//
//	go test -run '^$' -bench . -benchtime 20000x           that everything works; CI does this
//	go run ./cmd/compare -bench all -rounds 3 -out ../docs  figures: several rounds of every side in turn, into docs/benchmarks.md
//
// A side is a system that takes tasks in and hands each one to a handler; each has a file of its own, which says its
// settings. The benchmarks do the same with every side:
//
//   - BenchmarkEnqueue: how fast do b.N tasks get in, one at a time and in bulk?
//   - BenchmarkProcess: b.N tasks wait; how fast are they handled?
//   - BenchmarkLatency: 200 tasks a second come in; how long until each one starts?
//   - BenchmarkLateness: tasks with random delays; how late does each one start, and does any start early?
//   - BenchmarkReplay: how fast do dead tasks come back?
//   - BenchmarkBacklog, BenchmarkLocked, BenchmarkLockedLatency: does tasktier slow down when many tasks wait, or many locked
//     ones?
//
// Where tasks are handled, a side's clock runs from the start of the first handler to the end of the last one: connecting,
// joining a group and shutting down are left out, for all. All sides share the machine with their servers: read the ratios,
// not the figures. Kafka and Redis are those of internal/testenv, at the same settings for every side: both leave writes to
// the operating system, and so survive the process, not the machine. PostgreSQL's are in internal/postgres.
package bench
