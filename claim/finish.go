package claim

// confirm says what becomes of a claim's write when Redis shows found instead of what was expected: the claim of this
// run, have. The result is written as next if write is true, exactly over found; otherwise it is lost, and nothing may be
// concluded from it.
//
// found.State 0 means that there is no claim. trusted says whether the session's lease still is.
func confirm(found, have, next Claim, trusted bool, now int64) (_ Claim, write bool) {
	own := found.Owner == have.Owner && found.Fence == have.Fence
	switch {
	case own && (found.State == Running || found.State == Dying):
		return next.heed(found, now), true // its flags changed meanwhile
	case next.State == Dead && found.State == 0:
		return next, true // the letter is written: whatever happened to Redis, this is how it ended
	case !trusted:
		return Claim{}, false
	case found.State == 0, found.before(have.Generation, have.Turn),
		found.State.waits() && found.Generation == have.Generation && found.Turn == have.Turn:
		return next, true // Redis was flushed, or went back at a fail-over
	default:
		return Claim{}, false
	}
}

// heed is what becomes of the outcome c of the run have, if an operator asked to cancel that: all but success and death
// end as canceled, and a run that goes on keeps the wish.
func (c Claim) heed(have Claim, now int64) Claim {
	switch {
	case have.Flags&CancelAsked == 0 && c.State != Running, c.State == Succeeded, c.State == Dying, c.State == Dead:
	case c.State == Running:
		c.Flags |= have.Flags & CancelAsked
	default:
		c.State, c.At = Canceled, now
		c.Generation, c.Turn = have.Generation, have.Turn
	}
	return c
}
