// Package testenv runs the real servers for tests: Apache Kafka, Redis and
// etcd, each a process of its own on free ports of 127.0.0.1, with its data in
// a temporary folder.
//
// Two ways to get one:
//
//   - [Kafka], [Redis], [RedisCluster] and [Etcd] give the addresses of servers
//     that all tests of a package share. They start at first use and stop in
//     [Main], which such a package calls from its TestMain. Nobody may stop or
//     flush them; [Unique] makes names for topics, groups and key prefixes. All
//     packages of one run share Kafka, Redis and etcd when they run under
//     `go run ./internal/testenv/cmd/testenv with go test ./...`, as in ./check.
//   - [StartKafka], [StartKafkaCluster], [StartRedis], [StartRedisCluster],
//     [StartEtcd] and [StartEtcdCluster] start servers that belong to one test,
//     which may kill, pause and restart them. Their data survives that: what a server has acknowledged
//     is with the operating system, which outlives the process. (A replica that
//     takes over from a killed Redis master may miss the last writes: Redis
//     replicates behind its answers.)
//
// Kafka comes from its Maven artifacts, etcd is built from its module, and
// redis-server is the distribution's package. The first use fetches or builds
// them into the user's cache folder; afterwards Kafka starts in about a second,
// the others in a tenth of one. A piece that is missing is installed when that
// can be done without asking (root on Debian and its kin) and is otherwise an
// error that names the command. Nothing is skipped silently: only
// TASKTIER_TEST_STACK=embedded in the environment skips the tests that need a
// real server, for machines without Java.
//
// No server outlives the process that started it. On Linux the kernel kills it,
// however that process ended; elsewhere a process that is itself killed leaves
// its servers behind. The package needs a Unix.
//
// A failed test keeps the logs of its own servers and prints where they are;
// the shared servers' logs are kept when the package fails.
package testenv
