// Package inmemory has the servers of a node in memory, for tests: [Kafka], [Redis], and in place of etcd a [Registry] of
// sessions. They run in a bubble of testing/synctest (see internal/testenv/bubble), whose clock they follow, and outside one.
// The real servers are those of internal/testenv.
package inmemory

import "time"

// Timeout bounds every wait for what a test expects to happen: far more than a loaded machine needs. In a bubble it is
// measured by the bubble's clock.
const Timeout = 90 * time.Second
