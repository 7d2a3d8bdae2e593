// Package lease is the unit of trust: how long a process may believe that it is alive in the eyes of the others.
//
// A [Lease] stands for one session of this process. Whoever keeps the session (package coord does, in etcd) extends its
// trust; whoever acts in its name asks [Lease.Trusted] before, and stops what runs when [Lease.Done] is closed.
//
// # States
//
//	unregistered   it was never given trust: neither trusted nor done
//	trusted        now is before the end of its trust
//	done           the trust has run out, or End was called; for good
//
// # Invariants
//
//   - Trusted tells by the clock. A process that was paused past its trust finds it false at once, before any timer had a
//     chance to fire, and whatever confirmation arrives then comes too late.
//   - Trust is measured with the monotonic clock of this process. A step of its wall clock changes nothing, and no clock
//     of another machine takes part.
//   - A lease that is done stays done. The session that follows has a lease of its own, with another id.
//
// # What it can't see
//
// The monotonic clock of some systems, Linux among them, stands still while the whole machine is suspended. After such a
// sleep a lease is trusted for what was left of it, until the next keepalive says that it is gone. What others took over
// meanwhile has to be guarded where it is written: by compare-and-set or by a fencing token.
package lease
