// Package control is how operators steer a running cluster: what they say of queues, types and nodes is kept in etcd, and
// every node follows it.
//
// An [Operator] says something, [Read] reads what was said, and a [Watcher] follows it. What is said holds until it is
// taken back: through restarts of nodes, of etcd, and of all of them.
//
// What can be said is in [State], and it is all there is: that a queue or a type is paused, how many tasks of a type may run
// at once, that a node is drained. No command to execute ever comes from etcd.
//
// # Keys in etcd
//
//	<prefix>/control/queues/<queue>    a queue is paused
//	<prefix>/control/types/<type>      a type is paused, or has a limit that is not the configuration's
//	<prefix>/control/nodes/<node>      a node is drained; it is the node's name, so that a restart changes nothing
//
// Names are escaped as in the path of a URL. Keys are under no lease. A key that says nothing any more is deleted, so a
// cluster that nobody steers has none. The value is JSON:
//
//	{"v":1,"paused":true,"limit":3,"drained":true,"by":"ann@desk","at":"2027-01-31T08:00:00Z"}
//
// v is the version of the form; the fields that say nothing are left out; by and at tell people who said it last, and when
// by that one's clock.
//
// # Invariants
//
//   - A key is changed by compare-and-set on its revision, so what two operators say at once of one type, the one its limit
//     and the other its pause, is not lost.
//   - Each state that a watcher tells of is what was said at some moment: keys that one transaction has changed appear
//     together, and no state is older than the one told before it.
//   - What can't be understood is not obeyed: a key with a value that is not JSON, or of a later version, or with a name that
//     is escaped in another way. It is named in [State.Ignored] and logged, and what other keys say still holds. An operator
//     overwrites a value that can't be read, but one of a later version never ([ErrNewer]).
//   - A key costs etcd a write when an operator changes something. Nodes only read: all keys at their start and once a
//     minute, and what changes as it does.
//
// # What fails, and what follows
//
//	etcd is away at the start     [Open] returns an error when its context ends
//	etcd is away later            what was said last goes on holding; the watch is resumed where it was, within a second or
//	                              so of etcd's return
//	watch fell behind             etcd compacted what it had yet to tell: all keys are read anew
//	watch breaks off otherwise    the same, with a pause that grows to a second
//	watch is silent for ever      all keys are read anew each minute, whatever the watch says
//	etcd lost its data            likewise: nothing is said any more from then on, within a minute
//	etcd's quota is full          an operator is told so; what was said holds. Taking it back works where nothing else is said
//	                              of the same name: the key is deleted, which needs no room
//	key deleted by hand           it says nothing any more
//	operator's reply was lost     an error, and it may be said or not; saying it again is harmless
package control
