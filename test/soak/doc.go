// Package soak has a node work at a steady rate, and looks whether anything grows with the time that it does: the heap that
// is in use, goroutines, open files, what is kept in Redis, what is kept in etcd.
//
//	go test ./test/soak                                             # 45 s; under -short it does not run
//	SOAK=1h go test -run TestSoak -timeout 90m -v ./test/soak       # an hour
//
// # What is compared
//
// A sample is taken each second, or 200 times in all. Those of an early window (40 to 55 % of the time) stand against those
// of a late one (85 to 100 %), each by the least that was seen: what is in use for a moment is no growth. The windows in
// which Redis remembers finished tasks are so short that claims come and go many times.
//
//	heap         in use in the node after a collection that it was asked for
//	goroutines   in the node
//	files        that the node has open, from /proc
//	old claims   in Redis, of tasks that ended more than 20 s ago; they are kept for 12 s
//	details      of claims in Redis
//	counters     keys of counters in Redis: 16 a minute at most, kept for a day
//	other keys   all others in Redis
//	redis        bytes of the data there, beyond 300 for each claim, and without the indexes, of 10,000 tasks at most
//	etcd keys    in all
//	etcd bytes   in use by its database, which is compacted once a minute
//
// What each may grow by is in growth_test.go. By these bounds the short form sees what leaks some 350 bytes a task, and the
// hour some 5.
//
// Needs Linux (/proc), and the real servers.
package soak
