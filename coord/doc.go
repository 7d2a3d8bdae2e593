// Package coord is a node's place among the others, kept in etcd: who is alive, and how long this process may believe that
// it is.
//
// A [Membership] keeps one session of this process open: a lease of etcd and, under it, a key that says who this is. What
// a process may do in its session's name is a question of trust, and that is package coord/lease. [Members] lists
// everybody; [Membership.Alive] tells for certain whether a session is registered; Config.Gone hears early of those that
// left. [Membership.Lead] has a duty done by one member at a time.
//
// # Keys in etcd
//
//	<prefix>/nodes/<session>    JSON of an [Entry], written once, under the lease of the session
//	<prefix>/leaders/<duty>     JSON of a [Leader], under the lease of its session; its create revision is the term's number
//
// A session is 13 characters of a to z and 2 to 7, drawn at random by its process. The first one tells its kind: "s" was
// registered before anybody heard of it, "u" was used while etcd was away.
//
// # States of a membership
//
//	opening        no session, or none any more: Lease is nil, Wait waits, a new one is tried for with back-off
//	registered     Lease is trusted: its key exists, and keepalives are confirmed
//	unregistered   etcd has been away for a TTL since the last session was lost: Lease has an id that nobody knows and no
//	               trust. When etcd answers, that same lease is registered and becomes trusted
//	over           Run has returned
//
// A membership starts as opening, and before its first session it never becomes unregistered: a node that never reached
// etcd has no part in it.
//
// # Leaders
//
// Each duty has a leader of its own, so that one that can't be done holds up no other. Who finds no leader's key writes one,
// in one transaction that fails if there is a key; who finds one waits, by a watch, until it is gone. Only a registered
// session competes. The leader does its duty under a context that ends with the trust in its session, so before etcd can
// let anybody see the key gone; and when somebody deletes the key. It deletes the key itself, if that is still its own, when
// it is told to stop and when it can't do its duty. What a leader of the past may still be about to write is stopped by the
// condition of [Term.Lasts].
//
// # Time
//
// A keepalive is sent every third of the TTL, up to a fifth of that sooner, and each is given up after a quarter of the TTL;
// one that failed is repeated after a twentieth. A confirmed one is worth trust until its send time + TTL − margin, the
// margin being a fifth of the TTL, and at least half a second: for what stops when the trust has run out, before etcd lets
// others see the key gone. With a TTL of 10 s the trust lasts 8 s: after a keepalive that hangs,
// another one has time to be answered; after one that is refused, eight more.
//
// # Invariants
//
//   - While a session is trusted, its key is in etcd. The reverse doesn't hold, for a margin and longer.
//   - An id that lost its trust, or whose key is gone, is never used again: what follows has another one.
//   - The absence of an "s" id is final. The absence of a "u" id is believed only by a node that has itself been registered
//     for a TTL: after an outage all nodes come back within less (see [Reconnect]), so the living are not taken for dead.
//   - The lease is kept alive by the goroutine that asks Config.Healthy each time, and only while that returns nil.
//   - Once registered, a session costs etcd keepalives and no writes.
//   - The terms of a duty have growing numbers, and no two of them overlap, as long as duties end with their contexts and
//     nobody deletes a leader's key, of which its leader may hear later than the others.
//   - A session is given up by revoking its lease, so nothing but what is attached to it can be deleted.
//
// # What fails, and what follows
//
//	process is killed            its key vanishes when its lease runs out, at most a TTL after its last keepalive; etcd
//	                             looks twice a second
//	process is paused            the same; when it goes on, its lease is not trusted, and it opens a new session
//	its loops are wedged         Healthy says so: the session ends by itself, and there is none until they move again
//	leader is killed or paused   its key vanishes with its session, and another one leads within a TTL and half a second
//	leader is told to stop       another one leads at once; so too when it can't do its duty
//	leader's key deleted         its duty ends, and all compete anew
//	process is told to stop      Run ends the lease and revokes it at once, for which it takes 2 s at most; failing that,
//	                             the key vanishes as after a kill
//	etcd is away for moments     nothing, while keepalives are confirmed again before the trust runs out
//	etcd is away for longer      the session ends; after a TTL the node goes on unregistered. Alive returns errors, so nothing
//	                             is taken over
//	etcd is back                 the lease is registered within a fraction of the TTL, without an end
//	this node alone is cut off   the same, but the others see its session gone and take its work over; so too what it does
//	                             unregistered. Claims tell who was first
//	etcd's quota is full         what is registered stays; what is not can't be, as if etcd were away, but Alive answers
//	lease revoked by hand        the next keepalive, or the watch before it, ends the session; a new one is opened
//	key deleted by hand          the watch ends the session; a new one is opened
//	etcd lost its data           sessions end with their next keepalive. Until then the living can be taken for dead
//	watch fell behind            etcd compacted what it had yet to see: the registry is read anew, and what is missing left
//	wall clocks disagree         nothing: no time is compared between machines
package coord
