// Package embedded runs Kafka, etcd and Redis inside this process, with nothing
// to install: kfake (franz-go's in-process Kafka, one broker), etcd's own server
// and miniredis. tasktier speaks to them over TCP with the same clients as in
// production, and so can any other process.
//
// It is for development and demonstration. It is not replicated, kfake and
// miniredis are not built for load, and there is no authentication: listen on
// loopback.
//
// # What a data folder keeps
//
// Without a data folder everything is gone after Close. With one:
//
//   - Kafka keeps topics, their settings, records, committed offsets, and
//     producer ids. Each is written when it is acknowledged, without fsync: a
//     killed process loses nothing, a crash of the machine may lose the last
//     moments. What only an orderly Close writes down is where DeleteRecords
//     had cut a partition, so after a crash deleted records may be there again
//     (always below the committed offsets, if trimming stays below them), and
//     the state of group members, who simply join again.
//   - etcd keeps its keys and leases, with fsync.
//   - Redis is saved by Close and read back by the next Start: strings, hashes,
//     lists, sets and sorted sets, with their expiry; time goes on for them
//     while nothing runs. Other types and the expiry of single hash fields are
//     not kept. A crash leaves Redis empty, as a flush would: an older state
//     would tell lies about work that was done since, whereas without claims
//     the pipeline runs at least once, as it promises.
//
// A crash at any moment leaves a folder that the next Start can read. One
// process at a time uses a folder: a lock file sees to that.
//
// # When the disk is full
//
// Kafka refuses what it can't write, and takes records again when there is
// room; meanwhile commits count as long as the process lives. Etcd goes on for
// as long as its file has room inside, and then ends the process, with a last
// word in the log: free space and start again. Nothing that was acknowledged is
// lost, but for commits of the while: what they covered is delivered again.
//
// # Where it differs from the real servers
//
// A Kafka partition with a data folder always keeps its last record:
// DeleteRecords stops before it. kfake numbers an empty partition from zero
// when it starts again, and consumers with a higher committed offset would miss
// what comes. (Retention and compaction can still empty a partition; tasktier's
// own topics have no retention.)
//
// Members of groups keep their sessions as on a broker, within a second: kfake
// forgets some, and this package sees to them.
//
// Redis keys expire in steps of 20 ms, and of up to 5 s when there are very many
// keys, because miniredis looks at every key at each step. A key may go one step
// too early.
package embedded
