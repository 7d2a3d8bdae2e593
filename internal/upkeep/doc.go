// Package upkeep is what one node at a time does for a queue: it keeps a mirror of the queue's committed offsets in etcd,
// deletes the records that nobody needs any more, and measures the lag. Other nodes use what it keeps: Kafka forgets the
// offsets of a group that was empty for seven days, and [Resume] gives them back before history would run again.
//
// A [Duty] is a duty of the leader (see [coord.Membership.Lead]): one for each queue, and one for the retry tiers, which the
// forwarders' group reads. It makes a round at once and then one each minute. The parts of a round don't depend on each
// other: while etcd is away there is no mirroring, but trimming and lag go on. A leader that sees nothing of Kafka for three
// rounds gives the lead up, as another node may see more.
//
// # Keys in etcd
//
//	<prefix>/offsets/<queue>     JSON: {"version":1,"topics":{"<topic>":{"id":"<topic id>","offsets":[<partition 0>,…]}}}
//	<prefix>/offsets/.tiers      the same for the retry tiers
//
// An offset of -1 means that there is none. A key is written once a round at most, and only if something has changed: about
// 10 bytes for each partition. It has no lease: it is there for the time when no node is.
//
// # The mirror never passes unfinished work
//
// What the mirror has was read from Kafka, so it was committed, and what is committed is a watermark: everything below it is
// finished. Nothing unfinished ever appears below a watermark of a topic later, as logs grow at their ends. That holds for
// one topic: one that is created anew under the same name has another id, and for that the mirror counts for nothing. Nor
// does it count where it is beyond the end of the log, which has been cut then.
//
// A mirror that is behind is safe: finished work between the two is delivered again, and claims drop what they remember.
// So it holds watermarks only, not what is finished above them.
//
// Nodes only ever raise a commit, so a commit below the mirror is one that an operator has set back, and the mirror has to
// follow. It does, because each round reads the mirror before the commits, and writes it only if nobody wrote it since:
// what is lower then can't be what is older. Where there is no commit the mirror keeps what it has.
//
// A leader writes under [coord.Term.Lasts]: one of the past can't. Commands write without a term, by the same comparison.
//
// # Resuming
//
// Before a node joins a group it calls [Resume], which for each partition without a committed offset does this:
//
//	nothing is in it                               nothing: there is nothing to repeat
//	the mirror knows its offset                    commits that; or the start of the log, if that is higher
//	neither, and the log begins at 0               nothing: it was never trimmed, and runs from its start
//	neither, and something was trimmed             refuses with an [*UnknownOffsetError]: an operator decides, by [Reset]; what
//	                                               the mirror knows of other partitions is committed all the same
//	the mirror is beyond the end of the log        the same
//
// For the tiers there is no refusing: what is forwarded twice is dropped by claims, so they begin at the start of the log.
// Offsets can be committed from outside only while nobody is in the group. Whoever is in it has resumed before it joined, so
// the offsets are looked at again, a few times; if they stay unknown, somebody joined who did not resume, and it is too late.
//
// # Trimming
//
// A record is deleted when it is below the committed offset of its group, older than the history time, and below the
// committed offset of every group in keep_for. The least of the three counts; one that can't be read, or that a group of
// keep_for does not have, keeps everything in that partition. The tiers have no history: what is forwarded goes.
//
// Kafka frees the disk by whole segments, and never the one that is written to: what is trimmed can't be read any more, but
// its space comes back when its segment is full (segment.bytes) or old (segment.ms) and everything in it is trimmed.
//
// The permission for it is asked for once a term, by deleting what is below the first record there is. If it is refused,
// that is logged once, and trimming is left out until the next term.
//
// # What fails, and what follows
//
//	leader dies, or two lead       nothing: what a round does was right when it was planned, and stays right: a commit that is
//	                               older than thought trims less, and what is trimmed already is no error
//	leader was paused for long     it can't write to etcd any more; what it still trims was finished
//	etcd is away                   no mirroring. It is needed to resume only if Kafka has forgotten something
//	etcd lost its data             the mirror is written anew within a minute. If Kafka has forgotten the offsets too, nodes
//	                               refuse the partitions that were trimmed
//	a mirror that can't be read    is written anew by the leader; a node that needs it, as Kafka has forgotten something, says
//	                               so and does not start. One of a newer version is left alone
//	a partition has no leader      it is left out of the round; to resume it, a node waits some seconds and gives up
//	topic created anew             its mirror is replaced. Trimming compares the topic's id right before it asks: Kafka itself
//	                               knows topics by name there, so don't create a topic anew while nodes run
//	commit beyond the log's end    counts as none: nothing is mirrored nor trimmed by it
//	brokers without topic ids      no mirror (Kafka before 2.8)
package upkeep
