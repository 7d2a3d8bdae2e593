// Package simulation has no code of its own, only tests. They run the whole pipeline except etcd in memory, in a bubble of
// testing/synctest, so that minutes pass in a fraction of a second.
//
// Three processes, each a consumer and a forwarder of the retry tiers, compete for tasks that succeed, fail, snooze, are not
// due yet, ignore their contexts or kill their process. Processes are killed, stopped, and lose their sessions; connections
// to Redis and Kafka break; brokers answer with errors, some of them after they did the work; records are written twice;
// tasks are canceled and replayed; and in every fourth simulation Redis loses its data. checks_test.go has the rules for
// tasks and claims, records_test.go and commits_test.go those for records and committed offsets.
//
//	./check simulate                                                                                  seeds 100 to 249
//	go test -tags synctests -run TestSimulation ./test/simulation                                     a few
//	TASKTIER_SEEDS=5000 go test -tags synctests -v -timeout 1h -run TestSimulation ./test/simulation  many, on all cores
//	TASKTIER_SEED=17 go test -tags synctests -count 10 -run TestSimulation ./test/simulation          one, repeatedly
//
// With -tags synctests, Kafka's client uses locks that a bubble understands. Only then can processes be members of one group,
// which waits for them when others join and leave, and only then can they be cut off from Kafka, and groups be disturbed.
// Without the tag, each process has groups of its own.
//
// The seed determines which events happen and when, and what handlers do. It does not determine the order of goroutines that
// are ready at the same time, the jitter of pauses, or the iteration order of Go's maps. So a seed that failed may have to be
// run several times to fail again. A failure prints the log of the simulation and the command that repeats it.
package simulation
