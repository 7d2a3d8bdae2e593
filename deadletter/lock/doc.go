// Package lock keeps two operators from being at the dead letters of one queue at a time, and tells the second one who the
// first is.
//
// The lock is a key in etcd under a lease that its holder keeps alive: it ends with its holder, however that ends. It is
// created only if it is absent and deleted only if it is still ours. Whoever insists takes it over, and the former holder
// learns of it by the end of [Lock.Context].
//
// It is a courtesy: nothing depends on it. Two replays at once send letters twice, and claims run each task once; without
// claims a task may run twice.
package lock
